"""All columns of a source, before anybody has said which of them is what."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.data.columns import Columns
from workbench.data.examples import Role
from workbench.data.folders import SPLIT_NAMES
from workbench.data.rows import unreadable
from workbench.data.sources import read_source
from workbench.errors import DataError, data_error
from workbench.recipe.schema import DataSpec, Splits
from workbench.recipe.sources import TABLE_SUFFIXES, is_conll

Layout = Literal["columns", "words", "classes"]
"""Rows with columns; words with tags in columns of their own; a folder of texts for each class."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a source holds.

    Attributes:
        spec: the source with the splits that it has itself.
        sizes: rows of each of these; train alone where it has none.
        ids: of all rows, those of train first.
        columns: all values by the name of their column, in its order.
        doubled: names of several columns, which are not read.
    """

    spec: DataSpec
    layout: Layout
    sizes: Mapping[Role, int]
    ids: tuple[str, ...]
    columns: Mapping[str, Sequence[Any]]
    doubled: tuple[str, ...] = ()


def preview(spec: DataSpec) -> Preview:
    """Reads every column of a source.

    Raises:
        DataError: nothing there, or nothing that can be read as rows.
    """
    spec = _with_splits(spec)
    splits = spec.splits or Splits()
    words = is_conll(spec.source) or any(map(is_conll, filter(None, splits.model_dump().values())))
    columns = Columns(text="", pair=None, label=None, everything=True)
    if words:
        columns = Columns(text=spec.text, pair=None, label=spec.label)
    found = read_source(spec, columns)
    for rows in found.values():
        if not rows.ids:
            nothing = DataError("no rows", where=rows.where, fix="check the file")
            raise data_error(rows.problems) if rows.problems else nothing
    first = next(iter(found.values()))
    values: dict[str, list[Any]]
    layout: Layout = "words" if words else "classes" if first.texts else "columns"
    if layout == "columns":
        names = [n for n in first.found if all(n in rows.found for rows in found.values())]
        values = {name: [] for name in names}
        for rows in found.values():
            at = {name: rows.found.index(name) for name in names}
            labels: Sequence[Any] = rows.labels
            for name in names:
                values[name] += [row[at[name]] for row in labels]
    else:
        values = {
            "text": [text for rows in found.values() for text in rows.texts],
            "label": [label for rows in found.values() for label in rows.labels],
        }
    return Preview(
        spec=spec,
        layout=layout,
        sizes={role: len(rows.ids) for role, rows in found.items()},
        ids=tuple(row_id for rows in found.values() for row_id in rows.ids),
        columns=values,
        doubled=first.doubled,
    )


def _with_splits(spec: DataSpec) -> DataSpec:
    """The source with the splits that its files or sub-folders are, by their names; a folder with
    one file is that file."""
    folder = Path(spec.source).expanduser()
    try:
        if spec.splits is not None or not folder.is_dir():
            return spec
        entries = sorted(e for e in folder.iterdir() if not e.name.startswith("."))
        files = [e for e in entries if e.suffix.lower() in TABLE_SUFFIXES and e.is_file()]
        folders = [e for e in entries if e.is_dir()]
    except OSError as error:
        raise unreadable(folder, error) from error
    if len(files) == 1 and not folders:
        return spec.model_copy(update={"source": str(files[0])})
    named: dict[Role, str] = {}
    for entry in files or folders:
        words = re.split(r"[^a-z]+", entry.stem.casefold() if files else entry.name.casefold())
        roles = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
        if len(roles) != 1:
            continue
        if (role := roles.pop()) in named:
            raise DataError(
                f"{named[role]} and {entry.name} both look like {role}",
                where=str(folder),
                why="one file is one split",
                fix="leave one of them in the folder, or write a recipe with data.splits",
            )
        named[role] = entry.name
    if "train" not in named or len(named) < 2:
        return spec
    return spec.model_copy(update={"splits": Splits(**named)})
