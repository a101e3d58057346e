"""Which columns of a table are read, and what is said where one is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.data.rows import Rows, listed
from workbench.errors import DataError, nearest
from workbench.recipe.schema import DataSpec
from workbench.recipe.sources import NAMED_SEPARATORS
from workbench.recipe.tasks import Need

MAX_COLUMNS = 10_000
"""Most columns accepted in a table."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the columns that a task reads.

    Attributes:
        label: one name, several for 0/1 columns, or None where no labels are read.
        label_optional: True if the source may do without it.
        group: says which rows belong together.
        split: says which split a row is in.
        everything: read every column that has a name of its own, and none by its part.
    """

    text: str
    pair: str | None
    label: str | list[str] | None
    label_optional: bool = False
    group: str | None = None
    split: str | None = None
    everything: bool = False

    @classmethod
    def of(cls, spec: DataSpec, label: Need) -> Columns:
        """Those that the recipe names and the task has a use for."""
        read = None if label == "unread" else spec.label
        return cls(
            text=spec.text,
            pair=spec.text_pair,
            label=read,
            label_optional=label == "optional",
            group=spec.group,
            split=spec.split_column,
        )

    def named(self, *, labels: bool = True) -> list[str]:
        """All names, those of the labels too or not, without repetition."""
        if self.everything:
            return []
        several = self.label if isinstance(self.label, list) else [self.label]
        names = (self.text, self.pair, *(several if labels else ()), self.group, self.split)
        return list(dict.fromkeys(name for name in names if name is not None))

    def wanted(self, found: Collection[str]) -> list[str]:
        """Names of those to read from a source with these columns."""
        if self.everything:
            return [name for name, count in Counter(list(found)).items() if count == 1]
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
    names = columns.named(labels=not columns.label_optional)
    refuse_missing(names, found, where, group=columns.group)
    if columns.everything and (separator := separator_in(found)):
        what, fix = f"one column, {listed(found)}", _separator_fix(separator)
        refused = OtherSeparator(what, where=where, fix=fix)
        refused.separator = separator
        raise refused
    repeated = [name for name in columns.wanted(found) if list(found).count(name) > 1]
    if repeated:
        raise DataError(
            f"column {listed(repeated)} occurs more than once",
            where=where,
            why="it is unclear which of them to read",
            fix="rename one of them",
        )


def refuse_missing(
    required: Sequence[str], found: Sequence[str], where: str, *, group: str | None = None
) -> None:
    """Refuse a table that lacks one of the required columns, that of the groups among them."""
    missing = [name for name in required if name not in found]
    if missing:
        raise DataError(
            f"no column {listed(missing)}",
            where=where,
            why=f"columns found: {listed(found, 20)}; required: {listed(required)}",
            fix=_column_fix(missing, found, group),
        )


def _column_fix(missing: Sequence[str], found: Sequence[str], group: str | None) -> str:
    keys, names = "data.text, data.text_pair and data.label", "the names of your columns"
    if list(missing) == [group]:
        keys, names = "data.group", "the name of one of your columns"
    elif group in missing:
        keys += ", and data.group,"
    fix = f"set {keys} to {names}, which a csv or tsv file has in its first line"
    if any(f'"{name}"' in found for name in missing):
        fix = "double quotes enclose the names here: set data.quoting: standard"
    for name in missing:
        if near := nearest(name, found):
            fix += f"; the nearest to {name!r} is {near!r}"
    separator = separator_in(found)
    return _separator_fix(separator) if separator else fix


class OtherSeparator(DataError):
    """One column that seems to be several, with ``data.separator`` as it should be."""

    separator = ""


def separator_in(found: Sequence[str]) -> str | None:
    """What seems to separate columns where one was found, as ``data.separator`` names it."""
    (only,) = found if len(found) == 1 else ("",)
    names = (name for name, each in NAMED_SEPARATORS.items() if each != "," and each in only)
    return next(names, None)


def _separator_fix(separator: str) -> str:
    return f"the columns seem to be separated by {separator}s: set data.separator: {separator}"


def rows_of(
    values: Mapping[str, Sequence[object]],
    ids: Sequence[str],
    columns: Columns,
    where: str,
    found: Sequence[str],
) -> Rows:
    """Pick text, pair and label out of what was read."""
    labels: Sequence[object] = ()
    if columns.everything:
        labels = list(zip(*values.values(), strict=True))
        return Rows(
            where=where,
            ids=ids,
            texts=(),
            pairs=None,
            labels=labels,
            found=tuple(values),
            doubled=tuple(n for n in dict.fromkeys(found) if n and n not in values),
        )
    if isinstance(columns.label, list):
        labels = list(zip(*(values[name] for name in columns.label), strict=True))
    elif columns.label is not None and columns.label in values:
        labels = values[columns.label]
    return Rows(
        where=where,
        ids=ids,
        texts=values[columns.text],
        pairs=values[columns.pair] if columns.pair else None,
        groups=values[columns.group] if columns.group else None,
        splits=values[columns.split] if columns.split else None,
        labels=labels,
        found=tuple(found),
    )


def empty(path: Path) -> DataError:
    """The refusal of a file without rows."""
    return DataError(
        "no rows: the file is empty",
        where=str(path),
        fix="check that the program that wrote it has finished, and that this is the right file",
    )
