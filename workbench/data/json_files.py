"""Rows in JSON: an object a line, a list of objects, what pandas writes, or SQuAD's own file."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.data.columns import Columns, check_columns, empty, rows_of
from workbench.data.rows import Rows, listed, show_rows
from workbench.data.squad_file import is_squad, squad_rows
from workbench.errors import DataError

_FIX = "write one object per line (.jsonl), or a list of objects (.json)"

Item = tuple[int | str, Any]
"""What stands at a line, row or id."""


def read_json(characters: str, path: Path, columns: Columns, name: str) -> Rows:
    """The rows of a json or jsonl file; ids are ``name:line``, ``name:row`` or SQuAD's own.

    Raises:
        DataError: no rows, none that can be read, or a column is missing.
    """
    problems: list[DataError] = []
    items = _items(characters, path, columns, problems)
    if not items and not problems:
        raise empty(path)
    rows = [(place, item) for place, item in items if isinstance(item, dict)]
    if len(rows) < len(items):
        others = [(place, item) for place, item in items if not isinstance(item, dict)]
        problems.append(_not_an_object(others, path))
    if not rows:
        raise problems[0]
    found: dict[str, None] = {}
    for _, item in rows:
        if not item.keys() <= found.keys():
            found.update(dict.fromkeys(item))
    check_columns(list(found), columns, str(path))
    values = {c: [item.get(c) for _, item in rows] for c in columns.wanted(found)}
    ids = [f"{name}:{place}" for place, _ in rows]
    read = rows_of(values, ids, columns, str(path), list(found))
    return replace(read, problems=tuple(problems), left_out=len(items) - len(rows))


def _items(
    characters: str, path: Path, columns: Columns, problems: list[DataError]
) -> Sequence[Item]:
    # Many .json files are JSON lines.
    start = characters.lstrip()[:1] if path.suffix.lower() == ".json" else ""
    if start == "[":
        return list(enumerate(_parsed(characters, path, 1)))
    if start == "{" and (document := _whole(characters, path)) is not None:
        return list(_rows_of_document(document, columns, path))
    items: list[Item] = []
    broken: list[tuple[int, DataError]] = []
    # Not splitlines(): that also cuts at characters such as U+2028 inside a text.
    for line, text in enumerate(characters.split("\n"), start=1):
        if text.strip():
            try:
                items.append((line, _parsed(text, path, line)))
            except DataError as error:
                broken.append((line, error))
    if broken:
        problems.append(_broken_lines(broken))
    return items


def _whole(characters: str, path: Path) -> dict[str, Any] | None:
    """A file that is one object; None where each line is one.

    Raises:
        DataError: neither the file is one, nor its first line.
    """
    try:
        document: dict[str, Any] = json.loads(characters)
        return document
    except (ValueError, RecursionError):
        first = characters.lstrip().partition("\n")[0]
        try:
            json.loads(first)
        except json.JSONDecodeError:
            _parsed(characters, path, 1)
        except (ValueError, RecursionError):  # said of its line
            pass
        return None


def _rows_of_document(document: Mapping[str, Any], columns: Columns, path: Path) -> Iterable[Item]:
    """The rows in one object, as SQuAD, pandas' ``to_json`` and others lay them out."""
    data = document.get("data")
    if is_squad(document):
        return squad_rows(document, path)
    if isinstance(data, list) and isinstance(names := document.get("columns"), list):
        return enumerate(_record(names, row) for row in data)  # orient="split"
    if isinstance(data, list) and all(isinstance(row, dict) for row in data):
        return enumerate(data)  # orient="table"
    values = list(document.values())
    if values and all(isinstance(value, dict) for value in values):
        if columns.text in document or all(key.isdigit() for key in values[0]):
            indices = dict.fromkeys(index for value in values for index in value)
            return enumerate(  # orient="columns", what pandas writes if nothing is said
                {name: value.get(index) for name, value in document.items()} for index in indices
            )
        return enumerate(values)  # orient="index"
    named = columns.everything or columns.text in document
    if named and all(isinstance(value, list) for value in values):
        if len({len(value) for value in values}) == 1:
            return enumerate(_record(list(document), row) for row in zip(*values, strict=True))
    if columns.text in document:
        return [(1, document)]
    raise DataError(
        f"one object with {listed(list(document), 10) or 'nothing in it'} instead of rows",
        where=str(path),
        why="read are lists of objects, the layouts of pandas' to_json, and SQuAD's own file",
        fix=f'{_FIX}; with pandas: to_json(path, orient="records")',
    )


def _record(names: Sequence[str], row: object) -> object:
    if isinstance(row, list | tuple) and len(row) == len(names):
        return dict(zip(names, row, strict=True))
    return row


def _not_an_object(items: Sequence[Item], path: Path) -> DataError:
    (place, item), *others = items
    what = f"a {type(item).__name__} where an object was expected"
    if others:
        shown = show_rows([str(place) for place, _ in others], [item for _, item in others])
        what += f", and {len(others):,} more: {shown}"
    return DataError(
        what,
        where=f"{path}:{place}",
        why='each row is one object, e.g. {"text": "...", "label": "..."}',
        fix=_FIX,
    )


def _broken_lines(broken: Sequence[tuple[int, DataError]]) -> DataError:
    (_, first), *others = broken
    more = ""
    if others:
        shown = ", ".join(str(line) for line, _ in others[:5])
        more = f"; the same in {len(others):,} more lines ({shown}{', ...' * (len(others) > 5)})"
    return DataError(first.what + more, where=first.where, why=first.why, fix=first.fix)


def _parsed(text: str, path: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"not valid JSON: {error.msg} (column {error.colno})",
            where=f"{path}:{line + error.lineno - 1}",
            fix=_FIX,
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
