"""Rows as a source delivers them: nothing mapped, split or removed yet."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.data.examples import Role
from workbench.errors import DataError, DataErrors, data_error

MAX_TEXT_CHARACTERS = 1_000_000
"""Longest text accepted: some 200,000 tokens, more than any encoder reads."""

SHOWN = 5
"""Rows that a message shows before it says how many more there are."""


class BadRows(DataError):
    """Rows that cannot be used, by their ids; the others may be looked at all the same."""

    def __init__(
        self, what: str, ids: Collection[str] = (), *, where: str = "", why: str = "", fix: str = ""
    ) -> None:
        self.ids = frozenset(ids)
        super().__init__(what, where=where, why=why, fix=fix)


def problems_of(error: DataError) -> tuple[DataError, ...]:
    """The single problems of an error."""
    return error.problems if isinstance(error, DataErrors) else (error,)


def all_of(*reads: Callable[[], Any]) -> tuple[Any, ...]:
    """What each of several readings gives.

    Raises:
        DataError: with the problems of all of them.
    """
    found: list[Any] = []
    problems: list[DataError] = []
    for read in reads:
        try:
            found.append(read())
        except DataError as error:
            problems += problems_of(error)
    if problems:
        raise data_error(problems)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The columns that the recipe asks for, as read.

    Attributes:
        where: file, folder or Hub split, for messages.
        ids: see `Examples.ids`.
        labels: values of the label column, or one tuple per row for several label columns; empty
            where none was read.
        class_names: names of the classes where the source itself numbers them.
        groups: values of the column `data.group`, or None.
        splits: values of the column `data.split_column`, or None.
        found: names of all columns of the source, where it has any.
        doubled: names of several columns, where every column was to be read and these were not.
        notes: sentences for the user.
        problems: what kept other rows from being read.
        left_out: rows that were here and have a problem of their own.
    """

    where: str
    ids: Sequence[str]
    texts: Sequence[object]
    pairs: Sequence[object] | None
    labels: Sequence[object]
    class_names: tuple[str, ...] = ()
    groups: Sequence[object] | None = None
    splits: Sequence[object] | None = None
    found: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[DataError, ...] = ()
    left_out: int = 0

    def column(self, name: object, values: Sequence[Any]) -> Column:
        """Values of these rows under the name of their column."""
        return Column(
            where=self.where, ids=self.ids, values=values, name=name, left_out=self.left_out
        )

    def without(self, ids: Collection[str]) -> Rows:
        """The rows with other ids."""
        kept = [row for row, row_id in enumerate(self.ids) if row_id not in ids]
        if len(kept) == len(self.ids):
            return self

        def of(values: Sequence[Any] | None) -> list[Any]:
            return [values[row] for row in kept] if values else []

        return replace(
            self,
            ids=of(self.ids),
            texts=of(self.texts),
            pairs=None if self.pairs is None else of(self.pairs),
            labels=of(self.labels),
            groups=None if self.groups is None else of(self.groups),
            splits=None if self.splits is None else of(self.splits),
            left_out=self.left_out + len(self.ids) - len(kept),
        )


@dataclass(frozen=True, kw_only=True)
class Column:
    """The values of one column and where each stands, to refuse those that cannot be used."""

    where: str
    ids: Sequence[str]
    values: Sequence[Any]
    name: object = None
    """For messages; None where the source has no columns or the message names it itself."""
    class_names: tuple[str, ...] = ()
    """Names of the classes where the source itself numbers them."""
    left_out: int = 0
    """Rows that have a problem already."""

    @classmethod
    def of_labels(cls, splits: Mapping[Role, Rows], source: str) -> Column:
        """The labels of all splits of a source, one after the other."""
        return cls(
            where=next(iter(splits.values())).where if len(splits) == 1 else source,
            ids=[row_id for rows in splits.values() for row_id in rows.ids],
            values=[label for rows in splits.values() for label in rows.labels],
            class_names=next((r.class_names for r in splits.values() if r.class_names), ()),
            left_out=sum(rows.left_out for rows in splits.values()),
        )

    def refuse(
        self, bad: Callable[[Any], bool] | Iterable[int], what: str, *, why: str = "", fix: str = ""
    ) -> None:
        """Raises if there are bad values, naming the first of them and their rows.

        Args:
            bad: whether a value is, or the rows (indices) that are.
        """
        if callable(bad):
            bad = [row for row, value in enumerate(self.values) if bad(value)]
        if rows := list(dict.fromkeys(bad)):
            what += "" if self.name is None else f" in column {self.name!r}"
            shown = show_rows([self.ids[i] for i in rows], [self.values[i] for i in rows])
            count = f"{len(rows):,} of {len(self.values) + self.left_out:,} rows"
            ids = [self.ids[row] for row in rows]
            raise BadRows(f"{what}, {count}: {shown}", ids, where=self.where, why=why, fix=fix)


def is_missing(value: object) -> bool:
    """True for None, NaN and blank text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and not value.strip()


def checked_texts(
    rows: Rows, column: str, values: Sequence[object], *, allow_empty: bool = False
) -> tuple[str, ...]:
    """The values as texts.

    Raises:
        DataError: a text is missing, blank, no text, longer than MAX_TEXT_CHARACTERS, or holds
            invalid Unicode (a lone surrogate, which no tokenizer accepts); rows are named.
    """

    found = rows.column(column, values)
    found.refuse(
        lambda value: is_missing(value) and not (allow_empty and isinstance(value, str)),
        "missing or empty text",
        why="a row without text teaches nothing and its score means nothing",
        fix="remove these rows from the file, or name the right column in data.text",
    )
    found.refuse(
        lambda value: not isinstance(value, str),
        "something that is not text",
        why="texts must be strings",
        fix="turn the column into text, or name the right column in data.text",
    )
    found.refuse(
        lambda text: len(text) > MAX_TEXT_CHARACTERS,
        "a text of more than one million characters",
        why=f"the limit is {MAX_TEXT_CHARACTERS:,} characters a text",
        fix="cut these texts, or check that the file is split into rows as you expect",
    )
    found.refuse(
        lambda text: not is_encodable(text),
        "invalid Unicode (a lone surrogate)",
        why="no tokenizer can read it",
        fix="repair the program that wrote the file; often an emoji was cut in two",
    )
    return tuple(map(str, values))


def is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def unreadable(path: object, error: OSError) -> DataError:
    """The refusal of a file or folder that the system does not open."""
    fix = "check its name and permissions"
    return DataError(f"cannot be read: {error.strerror or error}", where=str(path), fix=fix)


def show_rows(ids: Iterable[str], values: Iterable[object]) -> str:
    """``file.csv:12 (''), file.csv:19 (None), ... and 14 more``."""
    pairs = [f"{place} ({_shortened(value)})" for place, value in zip(ids, values, strict=True)]
    rest = f", and {len(pairs) - SHOWN:,} more" if len(pairs) > SHOWN else ""
    return ", ".join(pairs[:SHOWN]) + rest


def _shortened(value: object, limit: int = 60) -> str:
    # A slice first: the repr of a text of 100 MB is another 100 MB.
    shown = repr(value[:limit]) if isinstance(value, str) else repr(value)
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def listed(names: Collection[str], limit: int = 40) -> str:
    shown = ", ".join(_shortened(name) for name in list(names)[:limit])
    return shown + (f" and {len(names) - limit:,} more" if len(names) > limit else "")
