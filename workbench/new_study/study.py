"""From some data to a study, in steps: read, guess, check, complete, write.

The command takes them all at once; a page may stop after each and ask.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench.data.columns import OtherSeparator
from workbench.data.preview import Preview, preview
from workbench.errors import UsageError
from workbench.new_study.check import Checked, Remedy, check
from workbench.new_study.draft import Choices, Draft, draft, shared_overrides
from workbench.new_study.guess import guess
from workbench.new_study.plan import complete, plans, what_it_shows
from workbench.new_study.questions import Guess
from workbench.new_study.unpack import is_zip, unpack
from workbench.recipe import Recipe
from workbench.recipe.schema import DataSpec
from workbench.recipe.sources import resolve_source

READ = ("encoding", "encoding_fallback", "quoting", "separator")
"""Keys of ``data`` that say how a file becomes columns."""


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """Data that was read, and what was made of it before anything heavy."""

    choices: Choices
    found: Preview
    guess: Guess
    checked: Checked

    @property
    def unread(self) -> list[str]:
        """Columns that no recipe reads."""
        data = self.checked.draft.base["data"]
        read = {name for value in data.values() for name in _names(value)}
        return [n for n in self.found.columns if n not in read and self.found.layout == "columns"]


def _names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value if isinstance(value, list) else []


def inspect(choices: Choices, unpacked: Path) -> Inspected:
    """Reads the data and says what it is for, which rows cannot be used, and what would help.

    Args:
        unpacked: folder in which a zip becomes a folder of data.

    Raises:
        WorkbenchError: the data cannot be read, or it is unclear what it is for.
    """
    found = _read(_spec(choices, unpacked))
    guessed = guess(found, choices.given)
    return Inspected(
        choices=choices,
        found=found,
        guess=guessed,
        checked=check(draft(found, guessed, choices), guessed),
    )


def _read(spec: DataSpec) -> Preview:
    """The rows, cut by what separates them where that is not what the file's name says."""
    try:
        return preview(spec)
    except OtherSeparator as error:
        if spec.separator != "auto":
            raise
        return preview(spec.model_copy(update={"separator": error.separator}))


def _spec(choices: Choices, unpacked: Path) -> DataSpec:
    source = resolve_source(choices.source, Path.cwd())
    if choices.source and is_zip(path := Path(choices.source).expanduser()):
        source = str(unpack(path, unpacked).resolve())
    said = shared_overrides(choices.overrides).get("data", {})
    how = {key: said[key] for key in said if key in READ}
    where = {key: said[key] for key in said if key in ("config", "revision")}
    given = choices.given
    columns = {"text": given.text, "label": given.label}
    named = {key: value for key, value in columns.items() if value}
    return DataSpec.model_validate({"source": source, **how, **where, **named})


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A study that can be written: its recipes, what each takes, what all of them can show, and
    notes that reading the rows did not give yet."""

    draft: Draft
    recipes: list[Recipe]
    plans: list[dict[str, Any]]
    shows: str
    notes: list[str] = field(default_factory=list)


def plan_study(inspected: Inspected) -> Planned:
    """What the study will take; loads torch, and no weights.

    Raises:
        WorkbenchError: model, methods or texts do not work out.
    """
    checked = inspected.checked
    if checked.data is None or checked.problems:
        raise UsageError("the data has problems", fix="settle them first")
    completed, notes = complete(checked.draft, checked.data)
    recipes = completed.recipes()
    return Planned(
        draft=completed,
        recipes=recipes,
        plans=plans(recipes),
        shows=what_it_shows(completed, checked.data),
        notes=[each for each in notes if each not in checked.notes],
    )


def with_all_remedies(inspected: Inspected) -> Choices:
    """The choices with the first remedy of each problem."""
    choices = inspected.choices
    for remedy in (each.remedies[0] for each in inspected.checked.problems if each.remedies):
        choices = _both(choices, remedy)
    return choices


def _both(choices: Choices, remedy: Remedy) -> Choices:
    data = {**choices.data, **remedy.choices.data}
    labels = {
        **(choices.data.get("merge_labels") or {}),
        **(remedy.choices.data.get("merge_labels") or {}),
    }
    if labels:
        data["merge_labels"] = labels
    return replace(choices, data=data, keep_labels=choices.keep_labels)
