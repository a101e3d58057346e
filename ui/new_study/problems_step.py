"""All that is wrong with the rows, each with a button for what settles it."""

from functools import partial

import streamlit as st

from cards import card
from layout import by_history, plain, remarks
from new_study import address
from workbench.formatting import plural
from workbench.new_study import Choices, Inspected


def show(inspected: Inspected) -> bool:
    """The list; True where there is nothing to settle."""
    if by_history():  # what was done since is undone
        st.session_state.pop(address.SETTLED, None)
    problems = inspected.checked.problems
    notes = list(inspected.checked.notes)
    # They need no decision; what follows does.
    remarks(plural(len(notes), "note") + " on the rows", notes, ":material/info:", fold_above=0)
    for number, problem in enumerate(problems):
        with card(f"problem-{number}", gap="small"):
            st.markdown(f":material/error: {plain(problem.what)}")
            said = (problem.where, problem.why, "" if problem.remedies else problem.fix)
            st.caption(plain(". ".join(part for part in said if part)))
            with st.container(horizontal=True):
                for option, about, choices in problem.remedies:
                    words = plain(about[:1].upper() + about[1:])
                    action = partial(_settle, inspected.choices, choices)
                    st.button(words, key=f"{number}:{option}", on_click=action, help=plain(option))
    if problems:
        st.caption("The model, the methods and the plan follow once these are settled.")
    return not problems


def _settle(before: Choices, after: Choices) -> None:
    """Puts what one remedy adds beside what others have put there since the page was drawn."""
    known, merged = (each.data.get("merge_labels") or {} for each in (before, after))
    dropped = before.data.get("unusable_rows") != after.data.get("unusable_rows")
    address.settle(
        {
            "drop": ["1"] * dropped,
            "merge": [f"{one}={other}" for one, other in merged.items() if one not in known],
            "keep": ["1"] * (after.keep_labels and not before.keep_labels),
        }
    )
