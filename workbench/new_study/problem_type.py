"""Whether labels are classes, several of them at once, or a number to predict."""

from collections.abc import Sequence
from typing import get_args

from workbench.errors import UsageError
from workbench.new_study.columns import FEW, Column
from workbench.new_study.questions import OPTIONS, Given, Reason
from workbench.recipe.catalogue import MULTI, REGRESSION, SINGLE, ProblemType
from workbench.recipe.suggest import choice

TASK = "text-classification"


def check_problem_type(given: Given) -> Given:
    """What was said, with the task that it is for.

    Raises:
        UsageError: there is no such problem type, or it is for another task.
    """
    said = given.problem_type
    if said is None:
        return given
    where, known = OPTIONS["problem_type"], get_args(ProblemType)
    if said not in known:
        raise UsageError(f"no problem type {said!r}", where=where, fix=choice(said, known))
    if given.task not in (None, TASK):
        what = f"{given.task} has no problem type"
        raise UsageError(what, where=where, fix=f"leave it out, or say --task {TASK}")
    return given._replace(task=TASK)


def problem_type_of(labels: Sequence[Column], said: str | None) -> tuple[str, list[Reason]]:
    """The problem type of some columns of labels; with its reason where numbers could be classes
    as well as a number to predict."""
    column = labels[0]
    if len(labels) > 1 or column.kind == "labels" or said == MULTI:
        return said or MULTI, []
    whole = column.kind != "fraction"
    if not column.is_numeric or (whole and column.different <= 2):
        return said or SINGLE, []
    taken = said or (SINGLE if whole and column.different <= FEW else REGRESSION)
    kind = "whole numbers" if whole else "numbers, not all of them whole"
    why = f"column {column.name!r} holds {column.different:,} different {kind}"
    other = REGRESSION if taken == SINGLE else SINGLE
    return taken, [Reason("problem_type", taken, "as said" if said else why, other)]
