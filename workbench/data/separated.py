"""Tables of plain text: fields separated by commas (csv) or tabs (tsv), one row a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from workbench.data.columns import Columns, check_columns, empty, rows_of
from workbench.data.rows import MAX_TEXT_CHARACTERS, Rows, show_rows
from workbench.errors import DataError
from workbench.recipe.sources import SEPARATORS

QUOTED = "data.quoting: standard"


@dataclass(frozen=True, kw_only=True)
class _Record:
    """One row of a file: its fields, and the lines of the file that it takes."""

    line: int
    lines: int
    fields: list[str]


def is_quoted(path: Path, quoting: str) -> bool:
    """Whether double quotes enclose a field: always in a csv file, never in a tsv file, unless
    the recipe says otherwise."""
    return path.suffix.lower() == ".csv" if quoting == "auto" else quoting == "standard"


def read_separated(characters: str, path: Path, columns: Columns, name: str, quoting: str) -> Rows:
    """The rows of a csv or tsv file; ids are ``name:line``, the line on which a row starts.

    Raises:
        DataError: the file is empty, or a column is missing.
    """
    table = _Table(
        characters=characters,
        separator=SEPARATORS[path.suffix.lower()],
        quoted=is_quoted(path, quoting),
        path=path,
        name=name,
    )
    problems: list[DataError] = []
    with table.records(problems) as records:
        header = next(records, None)
        every = list(records)
    if header is None:
        raise problems[0] if problems else empty(path)
    found = header.fields
    check_columns(found, columns, str(path))
    kept = [r for r in every if len(r.fields) == len(found) and r.fields != found]
    if ragged := [record for record in every if len(record.fields) != len(found)]:
        problems.append(table.ragged(ragged, found))
    if again := [record for record in every if record.fields == found]:
        problems.append(table.header_again(again))
    positions = {column: found.index(column) for column in columns.wanted(found)}
    values = {c: [record.fields[at] for record in kept] for c, at in positions.items()}
    rows = rows_of(values, [table.id(r) for r in kept], columns, str(path), found)
    return replace(
        rows,
        problems=tuple(problems),
        left_out=len(every) - len(kept),
        notes=table.notes(kept, list(positions.values())),
    )


@dataclass(frozen=True, kw_only=True)
class _Table:
    """The text of a file and how it is cut into records."""

    characters: str
    separator: str
    quoted: bool
    path: Path
    name: str

    def id(self, record: _Record) -> str:
        return f"{self.name}:{record.line}"

    @contextmanager
    def records(self, problems: list[DataError]) -> Iterator[Iterator[_Record]]:
        """The records; blank lines are skipped. An error ends them, as one of the problems."""

        def found() -> Iterator[_Record]:
            start = 1
            try:
                for fields in reader:
                    if fields:
                        yield _Record(line=start, lines=reader.line_num + 1 - start, fields=fields)
                    start = reader.line_num + 1
            except csv.Error as error:
                problems.append(_bad_csv(error, self.path, start))

        # newline="" keeps line ends inside quotes as they are; strict reports unbalanced quotes.
        reader = csv.reader(
            io.StringIO(self.characters, newline=""),
            delimiter=self.separator,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            strict=True,
        )
        # The csv module has one limit for the whole process; its default is 131,072 characters.
        limit = csv.field_size_limit(MAX_TEXT_CHARACTERS)
        try:
            yield found()
        finally:
            csv.field_size_limit(limit)

    def ragged(self, records: Sequence[_Record], header: Sequence[str]) -> DataError:
        """The refusal of rows that have more or fewer fields than the header."""
        first, *others = records
        what = f"{len(first.fields):,} fields where the header has {len(header):,}"
        if others:
            shown = show_rows([self.id(r) for r in others], [len(r.fields) for r in others])
            what += f", and the same in {len(others):,} more (with their fields): {shown}"
        fix = "put double quotes around texts that hold the separator, and write a quote inside "
        fix += "them twice"
        if not self.quoted:
            fix = "write texts without tabs and line ends; if double quotes enclose some texts "
            fix += f"here, set {QUOTED}"
        return DataError(
            what,
            where=f"{self.path}:{first.line}",
            why=f"fields are separated by {self.separator!r}",
            fix=fix,
        )

    def header_again(self, records: Sequence[_Record]) -> DataError:
        """The refusal of rows that are the header once more."""
        shown = show_rows(map(self.id, records), [r.fields[0] for r in records])
        return DataError(
            f"the names of the columns stand in {len(records):,} rows again: {shown}",
            where=f"{self.path}:{records[0].line}",
            why="they would be read as a text and its label",
            fix="remove these rows; often several files were put together",
        )

    def notes(self, records: Sequence[_Record], read: Sequence[int]) -> tuple[str, ...]:
        """What quotes may have done to the columns that are read, at these positions."""
        if self.quoted:
            return self._spanning([record for record in records if record.lines > 1])
        marked = [r for r in records if any(_is_enclosed(r.fields[at]) for at in read)]
        if not marked:
            return ()
        shown = show_rows(map(self.id, marked), [r.fields[read[0]] for r in marked])
        return (
            f"{len(marked):,} of {len(records):,} rows have a text in double quotes, which are "
            f"read as part of it: {shown}; if they only enclose it, set {QUOTED}.",
        )

    def _spanning(self, records: Sequence[_Record]) -> tuple[str, ...]:
        """In a csv file texts of several lines are usual, unless the lines look like rows."""
        if records and self.path.suffix.lower() == ".csv":
            lines = list(io.StringIO(self.characters, newline=""))
            separators = len(records[0].fields) - 1
            records = [
                record
                for record in records
                if any(
                    line.count(self.separator) == separators
                    for line in lines[record.line : record.line + record.lines - 1]
                )
            ]
        if not records:
            return ()
        shown = show_rows(map(self.id, records), [f"{r.lines} lines" for r in records])
        return (
            f"{len(records):,} rows take several lines, as a double quote opens a text and the "
            f"next one closes it: {shown}; if quotes are part of the texts, set "
            "data.quoting: none.",
        )


def _is_enclosed(field: str) -> bool:
    return len(field) > 1 and field[0] == field[-1] == '"'


def _bad_csv(error: csv.Error, path: Path, line: int) -> DataError:
    where = f"{path}:{line}"
    if "field limit" in str(error):
        return DataError(
            f"a field of more than {MAX_TEXT_CHARACTERS:,} characters in the row that starts here",
            where=where,
            why=f"the limit is {MAX_TEXT_CHARACTERS:,} characters a text",
            fix="cut the text, or close the quote if one is open",
        )
    return DataError(
        f"unbalanced quotes in the row that starts here ({error})",
        where=where,
        why='a text that starts with a double quote has to end with one, and "" stands for a '
        "quote inside it; the rows after it were not read",
        fix="correct the quotes of this row, or set data.quoting: none if quotes are part of the "
        "texts and no text holds the separator",
    )
