"""The one table of how the data of each task is read, checked and hashed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.data.answers import check_answers, read_answers
from workbench.data.classes import check_classes, class_as_hashed, read_classes
from workbench.data.completions import read_completions
from workbench.data.examples import Role
from workbench.data.reading import Reading, read_texts
from workbench.data.rows import Rows
from workbench.data.tags import check_tags, read_tags, tags_as_hashed
from workbench.recipe.schema import DataSpec

Splits = Mapping[Role, Sequence[int]]
"""Row indices of each split."""


def _nothing_to_check(
    reading: Reading, splits: Splits, spec: DataSpec, task: Any
) -> tuple[str, ...]:
    return ()


def _as_it_is(label: object, names: Sequence[str]) -> object:
    return label


@dataclass(frozen=True)
class Form:
    """How the data of a task is read.

    Attributes:
        read: rows of all splits to examples; refuses those that the task cannot use.
        check: what the splits hold once they are cut, as notes; refuses what cannot be trained.
        as_hashed: a label in the content hash, whatever the order of the label names.
    """

    read: Callable[[Mapping[Role, Rows], DataSpec, Any], Reading]
    check: Callable[[Reading, Splits, DataSpec, Any], tuple[str, ...]] = _nothing_to_check
    as_hashed: Callable[[Any, Sequence[str]], object] = _as_it_is


FORMS: dict[str, Form] = {
    "text-classification": Form(read_classes, check=check_classes, as_hashed=class_as_hashed),
    "token-classification": Form(read_tags, check=check_tags, as_hashed=tags_as_hashed),
    "question-answering": Form(read_answers, check=check_answers),
    "causal-lm": Form(read_texts),
    "instruction": Form(read_completions),
    "masked-lm": Form(read_texts),
}
"""By the task's name in the recipe."""
