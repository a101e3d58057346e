"""Compare: recipes side by side, seeds taken together, with intervals and what they cost."""

from compare import tabs
from compare.selection import choose
from layout import empty, heading, remarks
from workbench.formatting import plural


def page() -> None:
    """The view: the choice, what to know before believing it, and a tab for each question."""
    heading(
        "Compare",
        "Finished runs by recipe: scores with intervals, costs, and what differences are worth.",
    )
    selection = choose()
    if selection is None:
        return
    warnings = selection.comparison.warnings
    remarks(plural(len(warnings), "warning"), warnings, ":material/info:")
    if not selection.comparison.rows:
        empty("Nothing to compare here", "None of these runs has a result that can be read.")
        return
    tabs.show(selection)


page()
