"""Where labelled rows come from: an embedded asset, a file, a folder or the Hub."""

import stat
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from workbench import assets
from workbench.data.columns import Columns
from workbench.data.examples import Role
from workbench.data.folders import read_folder, read_split_of_folder
from workbench.data.hub import read_hub
from workbench.data.rows import Rows, all_of
from workbench.data.tables import read_table
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec, Splits
from workbench.recipe.sources import ASSET_PREFIX, TABLE_SUFFIXES, is_hub_id

Provided = Mapping[Role, Rows]
"""The splits that a source provides itself; train always."""


def read_source(spec: DataSpec, columns: Columns) -> Provided:
    """Read the rows that `data.source` names.

    Raises:
        DataError: nothing there, or not readable as labelled rows.
        AssetError: an asset that is unknown or could not be fetched.
    """
    if spec.source.startswith(ASSET_PREFIX):
        return _read_asset(_not_of_the_hub(spec), columns)
    path, kind = _found(spec.source)
    if kind == "folder":
        return _read_folder(path, _not_of_the_hub(spec), columns)
    if kind == "file" or path.suffix.lower() in TABLE_SUFFIXES:
        return _read_file(path, _not_of_the_hub(spec), columns)
    if not is_hub_id(spec.source):
        raise DataError(
            f"{spec.source!r} is not a file or folder here, and no Hub id either",
            where="data.source",
            why="a Hub id is one name, or two with a slash between: nyu-mll/glue",
            fix="correct the path; it is relative to the folder the command runs in "
            f"({Path.cwd()})",
        )
    splits = spec.splits or Splits()
    return _read_splits(lambda name: read_hub(spec, columns, name), splits)


def _found(source: str) -> tuple[Path, Literal["folder", "file", "nothing"]]:
    """The path that a source names and what stands there.

    Raises:
        DataError: it cannot be a path, or is a device or pipe, which may never end.
    """
    try:
        path = Path(source).expanduser()
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return path, "nothing"
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, an unknown ~user
        raise DataError(
            f"{source[:80]!r} cannot be read: {getattr(error, 'strerror', None) or error}",
            where="data.source",
            fix="correct the path, or its permissions",
        ) from error
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise DataError(
            "a device or pipe, which is no file",
            where=source,
            fix="write its content to a file and name that",
        )
    return path, "folder" if stat.S_ISDIR(mode) else "file"


def _not_of_the_hub(spec: DataSpec) -> DataSpec:
    for key, value in (("config", spec.config), ("revision", spec.revision)):
        if value is not None:
            raise DataError(
                f"data.{key} is {value!r}, but {spec.source} is not a Hub data set",
                where="data.source",
                why="only data sets of the Hub have configurations and revisions",
                fix=f"leave data.{key} out; if you mean a Hub data set, run where no file or "
                "folder has its name",
            )
    return spec


def _read_asset(spec: DataSpec, columns: Columns) -> Provided:
    asset = assets.get(spec.source)
    if asset.kind != "data":
        raise DataError(
            f"{spec.source} is a {asset.kind}, not a data set",
            where="data.source",
            fix="name it in model.source; embedded data sets: "
            + ", ".join(f"asset:{a.name}" for a in assets.ASSETS.values() if a.kind == "data"),
        )
    encodings = {
        "encoding": asset.encoding,
        "encoding_fallback": spec.encoding_fallback or asset.encoding_fallback,
    }
    folder, spec = assets.fetch(asset.name), spec.model_copy(update=encodings)
    if asset.file:
        return _read_file(folder / asset.file, spec, columns)
    return _read_folder(folder, spec, columns)


def _read_folder(folder: Path, spec: DataSpec, columns: Columns) -> Provided:
    if spec.splits is None:
        return {"train": read_folder(folder, spec, columns)}
    return _read_splits(lambda name: read_split_of_folder(folder, name, spec, columns), spec.splits)


def _read_file(path: Path, spec: DataSpec, columns: Columns) -> Provided:
    if spec.splits is not None:
        raise DataError(
            "data.splits with a single file",
            where=str(path),
            why="one file is one split; the others are cut from it",
            fix="leave data.splits out, or name the folder in data.source and the files in it "
            "in data.splits",
        )
    return {"train": read_table(path, spec, columns, path.name)}


def _read_splits(read: Callable[[str], Rows], splits: Splits) -> Provided:
    names: dict[Role, str] = {"train": splits.train}
    if splits.validation is not None:
        names["validation"] = splits.validation
    if splits.test is not None:
        names["test"] = splits.test
    if len(set(names.values())) < len(names):
        raise DataError(
            "the same split under two names: "
            + ", ".join(f"{role}: {name}" for role, name in names.items()),
            where="data.splits",
            why="a model would be tested on what it was trained on",
            fix="name different splits, or leave validation or test out to have it cut from train",
        )
    read_rows = all_of(*(partial(read, name) for name in names.values()))
    return dict(zip(names, read_rows, strict=True))
