"""Labelled texts, split and ready for a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

Role = Literal["train", "validation", "test"]
ROLES: tuple[Role, ...] = ("train", "validation", "test")

Label = int | float | tuple[int, ...]
"""A class index, a number, or one 0/1 per label."""

Labels = tuple[Any, ...]
"""One per row, in the form of the task: a `Label` for text classification, a tuple of tag indices
(one per word), the right answers to a question as ``(start, text)`` pairs, or a completion. Empty
strings where a task has none."""

_T = TypeVar("_T")


def take(column: Sequence[_T], rows: Sequence[int]) -> tuple[_T, ...]:
    """The values of a column at the given row indices, in their order."""
    return tuple(column[i] for i in rows)


@dataclass(frozen=True, kw_only=True)
class Examples:
    """One split: columns of equal length.

    Attributes:
        ids: where each row comes from: a file's name within its folder ("sport/001.txt"), the
            line of a csv or jsonl file ("reviews.csv:12"), or the row, counted from 0 as pandas
            and datasets do, of a parquet file or Hub split ("train:12").
        texts: the first or only text of each row.
        pairs: the second text of each row, or None.
        labels: see `Labels`.
        parts: what each text is made of, where the task needs that: its words for
            token-classification, its chat messages as ``(role, content)`` for instruction.
        groups: which rows belong together (`data.group`), or None.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: Labels
    pairs: tuple[str, ...] | None = None
    parts: tuple[tuple[Any, ...], ...] | None = None
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: Sequence[int]) -> Examples:
        """The given rows (indices), in their order."""
        pairs = None if self.pairs is None else take(self.pairs, rows)
        return Examples(
            ids=take(self.ids, rows),
            texts=take(self.texts, rows),
            pairs=pairs,
            labels=take(self.labels, rows),
            parts=None if self.parts is None else take(self.parts, rows),
            groups=None if self.groups is None else take(self.groups, rows),
        )


@dataclass(frozen=True, kw_only=True)
class Data:
    """A data set as a run sees it.

    Attributes:
        train, validation, test: the splits; validation may be empty.
        label_names: name of each class index or 0/1 position; empty for regression.
        content_hash: sha256 (hex) of the rows as read, before any was removed or split.
        split_hash: sha256 (hex) of the ids of each split, in order.
        comparable_split: the same where it decides which runs may be compared: with
            `train_draw: run` the size of train stands for its ids, which every seed has others of.
        duplicates_removed: rows left out because their text occurs elsewhere.
        notes: sentences that the user should read.
    """

    train: Examples
    validation: Examples
    test: Examples
    label_names: tuple[str, ...]
    content_hash: str
    split_hash: str
    comparable_split: str
    duplicates_removed: int
    notes: tuple[str, ...]

    def without_test(self) -> Data:
        """The same with an empty test split, so that nothing after this can have read it."""
        return replace(self, test=self.test.select(()))
