"""Tables of plain text: fields separated by commas (csv) or tabs (tsv), one row a line."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.data.columns import Columns, check_columns, empty, rows_of
from workbench.data.rows import MAX_TEXT_CHARACTERS, Rows, show_rows
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec
from workbench.recipe.sources import NAMED_SEPARATORS, SEPARATORS

QUOTED = "data.quoting: standard"


_Record = tuple[int, int, list[str]]
"""One row of a file: its first line, how many lines it takes, and its fields."""


def is_quoted(path: Path, quoting: str) -> bool:
    """Whether double quotes enclose a field: always in a csv file, never in a tsv file, unless
    the recipe says otherwise."""
    return path.suffix.lower() == ".csv" if quoting == "auto" else quoting == "standard"


def read_separated(
    characters: str, path: Path, columns: Columns, name: str, spec: DataSpec
) -> Rows:
    """The rows of a csv or tsv file; ids are ``name:line``, the line on which a row starts.

    Raises:
        DataError: the file is empty, or a column is missing.
    """
    table = _Table(
        characters=characters,
        separator=NAMED_SEPARATORS.get(spec.separator) or SEPARATORS[path.suffix.lower()],
        quoted=is_quoted(path, spec.quoting),
        path=path,
        name=name,
    )
    problems: list[DataError] = []
    odd = _Odd()
    ids: list[str] = []
    with table.records(problems) as records:
        _, _, found = next(records, (1, 1, []))
        if not found:
            raise problems[0] if problems else empty(path)
        check_columns(found, columns, str(path))
        positions = {column: found.index(column) for column in columns.wanted(found)}
        values: dict[str, list[object]] = {column: [] for column in positions}
        for record in records:
            line, lines, fields = record
            if len(fields) != len(found):
                odd.ragged.append(record)
                continue
            if fields == found:
                odd.again.append(record)
                continue
            ids.append(f"{name}:{line}")
            for column, at in positions.items():
                values[column].append(fields[at])
            if lines > 1 or not table.quoted:
                table.notice(record, positions.values(), odd)
    if odd.ragged:
        problems.append(table.ragged(odd.ragged, found))
    if odd.again:
        problems.append(table.header_again(odd.again))
    return replace(
        rows_of(values, ids, columns, str(path), found),
        problems=tuple(problems),
        left_out=len(odd.ragged) + len(odd.again),
        notes=table.notes(odd, len(ids)),
    )


@dataclass
class _Odd:
    """Records that are no rows, and rows that may not be what they look like."""

    ragged: list[_Record] = field(default_factory=list)
    again: list[_Record] = field(default_factory=list)
    spanning: list[_Record] = field(default_factory=list)
    enclosed: list[tuple[str, str]] = field(default_factory=list)
    """Id and text."""


@dataclass(frozen=True, kw_only=True)
class _Table:
    """The text of a file and how it is cut into records."""

    characters: str
    separator: str
    quoted: bool
    path: Path
    name: str

    def ids(self, records: Sequence[_Record]) -> list[str]:
        return [f"{self.name}:{line}" for line, _, _ in records]

    @contextmanager
    def records(self, problems: list[DataError]) -> Iterator[Iterator[_Record]]:
        """The records; blank lines are skipped. An error ends them, as one of the problems."""

        def found() -> Iterator[_Record]:
            start = 1
            try:
                for fields in reader:
                    if fields:
                        yield start, reader.line_num + 1 - start, fields
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
        (line, _, fields), *others = records
        what = f"{len(fields):,} fields where the header has {len(header):,}"
        if others:
            shown = show_rows(self.ids(others), [len(each) for _, _, each in others])
            what += f", and the same in {len(others):,} more (with their fields): {shown}"
        fix = "put double quotes around texts that hold the separator, and write a quote inside "
        fix += "them twice"
        if not self.quoted:
            fix = "write texts without tabs and line ends; if double quotes enclose some texts "
            fix += f"here, set {QUOTED}"
        return DataError(
            what,
            where=f"{self.path}:{line}",
            why=f"fields are separated by {self.separator!r}",
            fix=fix,
        )

    def header_again(self, records: Sequence[_Record]) -> DataError:
        """The refusal of rows that are the header once more."""
        shown = show_rows(self.ids(records), [fields[0] for _, _, fields in records])
        return DataError(
            f"the names of the columns stand in {len(records):,} rows again: {shown}",
            where=f"{self.path}:{records[0][0]}",
            why="they would be read as a text and its label",
            fix="remove these rows; often several files were put together",
        )

    def notice(self, record: _Record, read: Iterable[int], odd: _Odd) -> None:
        """Remember a row that quotes may have changed, of which these columns are read."""
        line, lines, fields = record
        if self.quoted and lines > 1:
            odd.spanning.append(record)
        for text in () if self.quoted else (fields[at] for at in read):
            if len(text) > 1 and text[0] == text[-1] == '"':
                odd.enclosed.append((f"{self.name}:{line}", text))
                return

    def notes(self, odd: _Odd, rows: int) -> tuple[str, ...]:
        """What quotes may have done to the columns that are read."""
        notes = []
        if odd.enclosed:
            shown = show_rows(*zip(*odd.enclosed, strict=True))
            notes.append(
                f"{len(odd.enclosed):,} of {rows:,} rows have a text in double quotes, which are "
                f"read as part of it: {shown}; if they only enclose it, set {QUOTED}."
            )
        if records := self._swallowing(odd.spanning):
            shown = show_rows(self.ids(records), [f"{lines} lines" for _, lines, _ in records])
            notes.append(
                f"{len(records):,} rows take several lines, as a double quote opens a text and the "
                f"next one closes it: {shown}; if quotes are part of the texts, set "
                "data.quoting: none."
            )
        return tuple(notes)

    def _swallowing(self, records: Sequence[_Record]) -> Sequence[_Record]:
        """In a csv file texts of several lines are usual, unless the lines look like rows."""
        if not records or self.path.suffix.lower() != ".csv":
            return records
        in_file = list(io.StringIO(self.characters, newline=""))
        separators = len(records[0][2]) - 1
        return [
            (line, lines, fields)
            for line, lines, fields in records
            if any(
                text.count(self.separator) == separators
                for text in in_file[line : line + lines - 1]
            )
        ]


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
