"""One file of rows: csv, tsv, jsonl, json, parquet, or the columns of CoNLL."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.data.columns import Columns, check_columns, empty, rows_of
from workbench.data.conll import read_conll
from workbench.data.json_files import read_json
from workbench.data.rows import SHOWN, Rows
from workbench.data.separated import read_separated
from workbench.data.text_files import MAX_FILE_BYTES, read_text
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec
from workbench.recipe.sources import CONLL_SUFFIXES, SEPARATORS, TABLE_SUFFIXES

_WEB_PAGE = re.compile(r"\s*<(!doctype html|html)\b", re.IGNORECASE)


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
            fix=_right_suffix(path) or "convert it, or rename it if only its suffix is wrong",
        )
    if suffix == ".parquet":
        return _read_parquet(path, columns, name)
    text = read_text(path, spec)
    if _WEB_PAGE.match(text.characters):
        raise DataError(
            "this is a web page, whatever its name says",
            where=str(path),
            why="files of rows were expected",
            fix="download the file itself: a link often leads to a page about it, or to an error",
        )
    if suffix in SEPARATORS:
        rows = read_separated(text.characters, path, columns, name, spec)
    elif suffix in CONLL_SUFFIXES:
        rows = read_conll(text.characters, path, name, columns)
        if not rows.ids:
            raise empty(path)
    else:
        rows = read_json(text.characters, path, columns, name)
    notes = [fallback_note({name: text.fallback}, spec)] if text.fallback else []
    notes += [doubt_note([name], spec)] if text.doubtful else []
    return replace(rows, notes=(*notes, *rows.notes))


def _right_suffix(path: Path) -> str | None:
    """What to call a file whose first line has columns; None where it has none."""
    try:
        with path.open("rb") as file:
            first = file.readline(10_000)
    except OSError:
        return None
    for separator, suffix in ((b"\t", ".tsv"), (b",", ".csv")):
        if separator in first:
            what = "if each line is a row and the first one names the columns"
            return f"rename it to {path.stem}{suffix}, {what}"
    return None


def doubt_note(names: Sequence[str], spec: DataSpec) -> str:
    """Says which files are valid UTF-8 and were read as something else."""
    rest = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return (
        f"Read as {spec.encoding}, as data.encoding says, but valid utf-8: "
        f"{', '.join(names[:SHOWN])}{rest}; letters such as é may have become others."
    )


def fallback_note(files: Mapping[str, str], spec: DataSpec) -> str:
    """Says which files were read in the fallback encoding; `files` maps name to first bad byte."""
    shown = "; ".join(f"{name} ({place})" for name, place in list(files.items())[:SHOWN])
    rest = f" and {len(files) - SHOWN:,} more" if len(files) > SHOWN else ""
    count = "1 file is" if len(files) == 1 else f"{len(files):,} files are"
    return (
        f"{count} not valid {spec.encoding} and read whole as {spec.encoding_fallback}: "
        f"{shown}{rest}."
    )


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
    except (pyarrow.ArrowException, OSError, ValueError) as error:  # names that are no Unicode
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
