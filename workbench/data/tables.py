"""One file of rows: csv, tsv, jsonl, json, parquet, or the columns of CoNLL."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.data.conll import read_conll
from workbench.data.rows import MAX_TEXT_CHARACTERS, SHOWN, Columns, Rows, check_columns
from workbench.data.text_files import MAX_FILE_BYTES, read_text
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec
from workbench.recipe.sources import CONLL_SUFFIXES, SEPARATORS, TABLE_SUFFIXES


def read_table(path: Path, spec: DataSpec, columns: Columns, name: str) -> Rows:
    """The rows of one file; ids are ``name:line`` or ``name:row``.

    Raises:
        DataError: no table, damaged, or a column is missing; names file and line.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise DataError(
            f"a {path.suffix or 'suffixless'} file",
            where=str(path),
            why=f"files of rows are {', '.join(TABLE_SUFFIXES)}",
            fix="convert it, or rename it if only its suffix is wrong",
        )
    if suffix == ".parquet":
        return _read_parquet(path, columns, name)
    text = read_text(path, spec)
    if suffix in SEPARATORS:
        rows = _read_csv(text.characters, SEPARATORS[suffix], path, columns, name)
    elif suffix in CONLL_SUFFIXES:
        rows = read_conll(text.characters, path, name)
        if not rows.ids:
            raise _empty(path)
    else:
        rows = _read_json(text.characters, path, columns, name)
    notes = (fallback_note({name: text.fallback}, spec),) if text.fallback else ()
    return replace(rows, notes=notes)


def fallback_note(files: Mapping[str, str], spec: DataSpec) -> str:
    """Says which files were read in the fallback encoding; `files` maps name to first bad byte."""
    shown = "; ".join(f"{name} ({place})" for name, place in list(files.items())[:SHOWN])
    rest = f" and {len(files) - SHOWN:,} more" if len(files) > SHOWN else ""
    count = "1 file is" if len(files) == 1 else f"{len(files):,} files are"
    return (
        f"{count} not valid {spec.encoding} and read whole as {spec.encoding_fallback}: "
        f"{shown}{rest}."
    )


def rows_of(
    values: Mapping[str, Sequence[object]],
    ids: Sequence[str],
    columns: Columns,
    where: str,
    found: Sequence[str],
) -> Rows:
    """Pick text, pair and label out of what was read."""
    labels: Sequence[object] = ()
    if isinstance(columns.label, list):
        labels = list(zip(*(values[name] for name in columns.label), strict=True))
    elif columns.label is not None and columns.label in values:
        labels = values[columns.label]
    return Rows(
        where=where,
        ids=ids,
        texts=values[columns.text],
        pairs=values[columns.pair] if columns.pair else None,
        labels=labels,
        found=tuple(found),
    )


def _empty(path: Path) -> DataError:
    return DataError(
        "no rows: the file is empty",
        where=str(path),
        fix="check that the program that wrote it has finished, and that this is the right file",
    )


def _read_csv(characters: str, separator: str, path: Path, columns: Columns, name: str) -> Rows:
    ids: list[str] = []
    with _csv_records(characters, separator, path) as records:
        _, header = next(records, (1, []))
        if not header:
            raise _empty(path)
        check_columns(header, columns, str(path))
        positions = {column: header.index(column) for column in columns.wanted(header)}
        values: dict[str, list[object]] = {column: [] for column in positions}
        for line, record in records:
            if len(record) != len(header):
                raise DataError(
                    f"{len(record):,} fields where the header has {len(header):,}",
                    where=f"{path}:{line}",
                    why=f"fields are separated by {separator!r}",
                    fix="put double quotes around texts that hold the separator, and write a "
                    "quote inside them twice",
                )
            ids.append(f"{name}:{line}")
            for column, position in positions.items():
                values[column].append(record[position])
    return rows_of(values, ids, columns, str(path), header)


@contextmanager
def _csv_records(
    characters: str, separator: str, path: Path
) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """The records of a csv text with the line on which each starts; blank lines are skipped."""

    def records() -> Iterator[tuple[int, list[str]]]:
        start = 1
        try:
            for record in reader:
                if record:
                    yield start, record
                start = reader.line_num + 1
        except csv.Error as error:
            raise _bad_csv(error, path, start) from error

    # newline="" keeps line ends inside quotes as they are; strict reports unbalanced quotes.
    reader = csv.reader(io.StringIO(characters, newline=""), delimiter=separator, strict=True)
    # The csv module has one limit for the whole process; its default is 131,072 characters.
    limit = csv.field_size_limit(MAX_TEXT_CHARACTERS)
    try:
        yield records()
    finally:
        csv.field_size_limit(limit)


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
        "quote inside it",
        fix="correct the quotes of this row",
    )


def _read_json(characters: str, path: Path, columns: Columns, name: str) -> Rows:
    # Many .json files are JSON lines; only a list tells that it is one document.
    if path.suffix.lower() == ".json" and characters.lstrip()[:1] == "[":
        items = [(row, item) for row, item in enumerate(_parsed(characters, path, 1))]
    else:
        # Not splitlines(): that also cuts at characters such as U+2028 inside a text.
        lines = enumerate(characters.split("\n"), start=1)
        items = [(line, _parsed(text, path, line)) for line, text in lines if text.strip()]
    if not items:
        raise _empty(path)
    found: dict[str, None] = {}
    for place, item in items:
        if not isinstance(item, dict):
            raise DataError(
                f"a {type(item).__name__} where an object was expected",
                where=f"{path}:{place}",
                why='each row is one object, e.g. {"text": "...", "label": "..."}',
                fix="write one object per line (.jsonl), or a list of objects (.json)",
            )
        if not item.keys() <= found.keys():
            found.update(dict.fromkeys(item))
    check_columns(list(found), columns, str(path))
    values = {c: [item.get(c) for _, item in items] for c in columns.wanted(found)}
    ids = [f"{name}:{place}" for place, _ in items]
    return rows_of(values, ids, columns, str(path), list(found))


def _parsed(text: str, path: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"not valid JSON: {error.msg} (column {error.colno})",
            where=f"{path}:{line + error.lineno - 1}",
            fix="write one object per line (.jsonl), or a list of objects (.json)",
        ) from error
    except RecursionError as error:
        raise DataError(
            "JSON nested too deeply to be read",
            where=f"{path}:{line}",
            why="a row is a flat object with a text and a label",
            fix="write one flat object per line",
        ) from error
    except ValueError as error:  # an integer of more than 4,300 digits
        raise DataError(f"not valid JSON: {error}", where=f"{path}:{line}") from error


def _read_parquet(path: Path, columns: Columns, name: str) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            found = file.schema_arrow.names
            check_columns(found, columns, str(path))
            wanted = columns.wanted(found)
            _refuse_huge_parquet(file.metadata, wanted, path)
            table = file.read(columns=wanted)
        values = {column: table.column(column).to_pylist() for column in wanted}
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"cannot be read as parquet: {error}",
            where=str(path),
            fix="check that the file is complete and really is parquet",
        ) from error
    ids = [f"{name}:{row}" for row in range(table.num_rows)]
    return rows_of(values, ids, columns, str(path), found)


def _refuse_huge_parquet(metadata: Any, wanted: Sequence[str], path: Path) -> None:
    """Refuse before unpacking: a parquet file of kilobytes can unpack to gigabytes."""
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    chunks = (group.column(index) for group in groups for index in range(group.num_columns))
    size = sum(
        c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".")[0] in wanted
    )
    if size > MAX_FILE_BYTES:
        raise DataError(
            f"{size:,} bytes of text and labels once unpacked",
            where=str(path),
            why=f"more than {MAX_FILE_BYTES:,} bytes are refused",
            fix="take a sample of the rows",
        )
