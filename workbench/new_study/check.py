"""All that is wrong with the data of a draft, in one list, each with what would settle it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from workbench.data.examples import Data
from workbench.data.load import load_data
from workbench.data.rows import BadRows, problems_of
from workbench.errors import DataError
from workbench.new_study.columns import Column
from workbench.new_study.draft import Choices, Draft
from workbench.new_study.questions import Guess, Reason
from workbench.recipe import Recipe

RARE = 0.25
"""A label of at most that many rows of another one's, and a name like it, may be a slip."""
ALIKE = 0.8
"""Share of letters that two names have in common, as difflib counts it."""


class Remedy(NamedTuple):
    """What settles a problem: an option of the command, and the choices with it."""

    option: str
    about: str
    choices: Choices


@dataclass(frozen=True, kw_only=True)
class Found:
    """One problem of the data."""

    what: str
    where: str = ""
    why: str = ""
    fix: str = ""
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What came of reading the data as the draft says.

    Attributes:
        draft: with what follows from the rows themselves.
        data: the splits; None where there is a problem.
    """

    draft: Draft
    problems: tuple[Found, ...] = ()
    data: Data | None = None
    notes: tuple[str, ...] = ()


def check(draft: Draft, guess: Guess) -> Checked:
    """Reads the data of a draft.

    Raises:
        RecipeError: the draft is no recipe.
    """
    spellings, alike = _labels(draft, guess)
    if spellings:
        reason = Reason("normalise_labels", "true", f"{spellings} differ only in case or spaces")
        draft = draft.with_value("data", reason, True)
    problems = [] if draft.choices.keep_labels else [_alike(draft, *each) for each in alike]
    recipe = draft.recipes()[0]
    try:
        data = load_data(recipe.data, recipe.task)
    except DataError as error:
        found = [_problem(draft.choices, recipe, each) for each in problems_of(error)]
        return Checked(draft=draft, problems=(*found, *problems))
    return Checked(draft=draft, problems=tuple(problems), data=data, notes=data.notes)


def _problem(choices: Choices, recipe: Recipe, error: DataError) -> Found:
    remedies: tuple[Remedy, ...] = ()
    if isinstance(error, BadRows) and recipe.data.unusable_rows == "error":
        dropped = replace(choices, data={**choices.data, "unusable_rows": "drop"})
        remedies = (Remedy("--drop-unusable", "leave these rows out", dropped),)
    return Found(
        what=error.what, where=error.where, why=error.why, fix=error.fix, remedies=remedies
    )


def _labels(draft: Draft, guess: Guess) -> tuple[str, list[tuple[str, int, str, int]]]:
    """Spellings of one label, and rare labels with the frequent one that each looks like."""
    label, task = draft.base["data"].get("label"), draft.recipes()[0].task
    if (
        not isinstance(label, str)
        or label not in guess.columns
        or "labels" not in task.model_dump()
    ):
        return "", []
    column = guess.columns[label]
    if column.kind != "category":
        return "", []
    merged = draft.base["data"].get("merge_labels") or {}
    counts = _folded(column, merged)
    several = [each for each in counts.values() if len(each) > 1]
    shown = "; ".join(", ".join(map(repr, sorted(each))) for each in several)
    totals = {max(each, key=lambda n: (each[n], n)): sum(each.values()) for each in counts.values()}
    return shown, list(_look_alikes(totals))


def _folded(column: Column, merged: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """How often each spelling occurs, by what the spellings of a label have in common."""
    counts: dict[str, dict[str, int]] = {}
    for name, count in column.counts.items():
        name = merged.get(name, name)
        of_label = counts.setdefault(" ".join(name.split()).casefold(), {})
        of_label[name] = of_label.get(name, 0) + count
    return counts


def _look_alikes(counts: Mapping[str, int]) -> Sequence[tuple[str, int, str, int]]:
    found = []
    for rare, count in counts.items():
        near = [
            (usual, often)
            for usual, often in counts.items()
            if usual != rare and count <= RARE * often and _are_alike(rare, usual)
        ]
        if near:
            found.append((rare, count, *max(near, key=lambda each: each[1])))
    return found


def _are_alike(one: str, other: str) -> bool:
    one, other = one.casefold(), other.casefold()
    if any(c.isdigit() for c in one + other):
        return False  # 1 and 10, or phase-1 and phase-2, are different things
    short, long = sorted((one, other), key=len)
    cut = len(short) > 1 and long.startswith(short)
    return cut or SequenceMatcher(None, one, other).ratio() >= ALIKE


def _alike(draft: Draft, rare: str, count: int, usual: str, often: int) -> Found:
    choices = draft.choices
    merged: dict[str, Any] = {**(choices.data.get("merge_labels") or {}), rare: usual}
    merge = replace(choices, data={**choices.data, "merge_labels": merged})
    rows = f"{count:,} row{'s' * (count > 1)}"
    return Found(
        what=f"label {rare!r} ({rows}) may be a slip for {usual!r} ({often:,} rows)",
        where=f"column {draft.base['data']['label']!r}",
        why="it would be a class of its own",
        remedies=(
            Remedy(f"--merge-labels {rare}={usual}", f"read it as {usual!r}", merge),
            Remedy("--keep-labels", "they are different", replace(choices, keep_labels=True)),
        ),
    )
