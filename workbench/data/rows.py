"""Rows as a source delivers them: nothing mapped, split or removed yet."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.data.examples import Role
from workbench.errors import DataError, nearest
from workbench.recipe.schema import DataSpec
from workbench.recipe.tasks import Need

MAX_TEXT_CHARACTERS = 1_000_000
"""Longest text accepted: some 200,000 tokens, more than any encoder reads."""

MAX_COLUMNS = 10_000
"""Most columns accepted in a table."""

SHOWN = 5
"""Rows that a message shows before it says how many more there are."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The columns that the recipe asks for, as read.

    Attributes:
        where: file, folder or Hub split, for messages.
        ids: see `Examples.ids`.
        labels: values of the label column, or one tuple per row for several label columns; empty
            where none was read.
        class_names: names of the classes where the source itself numbers them.
        found: names of all columns of the source, where it has any.
        notes: sentences for the user.
    """

    where: str
    ids: Sequence[str]
    texts: Sequence[object]
    pairs: Sequence[object] | None
    labels: Sequence[object]
    class_names: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def column(self, name: object, values: Sequence[Any]) -> Column:
        """Values of these rows under the name of their column."""
        return Column(where=self.where, ids=self.ids, values=values, name=name)


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

    @classmethod
    def of_labels(cls, splits: Mapping[Role, Rows], source: str) -> Column:
        """The labels of all splits of a source, one after the other."""
        return cls(
            where=next(iter(splits.values())).where if len(splits) == 1 else source,
            ids=[row_id for rows in splits.values() for row_id in rows.ids],
            values=[label for rows in splits.values() for label in rows.labels],
            class_names=next((r.class_names for r in splits.values() if r.class_names), ()),
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
            count = f"{len(rows):,} of {len(self.values):,} rows"
            raise DataError(f"{what}, {count}: {shown}", where=self.where, why=why, fix=fix)


@dataclass(frozen=True)
class Columns:
    """Names of the columns that a task reads.

    Attributes:
        label: one name, several for 0/1 columns, or None where no labels are read.
        label_optional: True if the source may do without it.
    """

    text: str
    pair: str | None
    label: str | list[str] | None
    label_optional: bool = False

    @classmethod
    def of(cls, spec: DataSpec, label: Need) -> Columns:
        """Those that the recipe names and the task has a use for."""
        read = None if label == "unread" else spec.label
        return cls(spec.text, spec.text_pair, read, label == "optional")

    def named(self, *, labels: bool = True) -> list[str]:
        """All names, those of the labels too or not, without repetition."""
        several = self.label if isinstance(self.label, list) else [self.label]
        names = (self.text, self.pair, *(several if labels else ()))
        return list(dict.fromkeys(name for name in names if name is not None))

    def wanted(self, found: Collection[str]) -> list[str]:
        """Names of those to read from a source with these columns."""
        return [name for name in self.named() if name in found]


def check_columns(found: Sequence[str], columns: Columns, where: str) -> None:
    """Refuse a table that lacks a column, has it twice, or has too many.

    Raises:
        DataError: lists the columns found and required, and the nearest of them.
    """
    if len(found) > MAX_COLUMNS:
        raise DataError(
            f"{len(found):,} columns",
            where=where,
            why=f"tables of more than {MAX_COLUMNS:,} columns are refused",
            fix="keep the columns with the text and the label only",
        )
    refuse_missing(columns.named(labels=not columns.label_optional), found, where)
    repeated = [name for name in columns.wanted(found) if list(found).count(name) > 1]
    if repeated:
        raise DataError(
            f"column {_listed(repeated)} occurs more than once",
            where=where,
            why="it is unclear which of them to read",
            fix="rename one of them",
        )


def refuse_missing(required: Sequence[str], found: Sequence[str], where: str) -> None:
    """Refuse a table that lacks one of the required columns."""
    missing = [name for name in required if name not in found]
    if missing:
        raise DataError(
            f"no column {_listed(missing)}",
            where=where,
            why=f"columns found: {_listed(found, 20)}; required: {_listed(required)}",
            fix=_column_fix(missing, found),
        )


def _column_fix(missing: Sequence[str], found: Sequence[str]) -> str:
    fix = "set data.text, data.text_pair and data.label to the names of your columns"
    for name in missing:
        if near := nearest(name, found):
            fix += f"; the nearest to {name!r} is {near!r}"
    if len(found) == 1:
        for separator, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if separator in found[0]:
                fix = f"the columns seem to be separated by {word}: a .csv file needs commas and "
                fix += "a .tsv file tabs"
    return fix


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
        lambda text: not _is_encodable(text),
        "invalid Unicode (a lone surrogate)",
        why="no tokenizer can read it",
        fix="repair the program that wrote the file; often an emoji was cut in two",
    )
    return tuple(map(str, values))


def _is_encodable(text: str) -> bool:
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


def _listed(names: Collection[str], limit: int = 40) -> str:
    shown = ", ".join(_shortened(name) for name in list(names)[:limit])
    return shown + (f" and {len(names) - limit:,} more" if len(names) > limit else "")
