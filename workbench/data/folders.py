"""Folders of data: one sub-folder per class, or one file (or folder) per split."""

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

from workbench.data.columns import Columns
from workbench.data.examples import Role
from workbench.data.rows import SHOWN, Rows, unreadable
from workbench.data.tables import doubt_note, fallback_note, read_table
from workbench.data.text_files import read_text
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec
from workbench.recipe.sources import TABLE_SUFFIXES

# Sub-folders with these names are splits that somebody forgot to declare, never classes.
SPLIT_NAMES: dict[str, Role] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def read_folder(folder: Path, spec: DataSpec, columns: Columns) -> Rows:
    """All texts of a folder with one sub-folder per class.

    Raises:
        DataError: the folder is laid out in another way; says which.
    """
    sub_folders = [entry.name for entry in _entries(folder) if entry.is_dir()]
    if sub_folders and {name.casefold() for name in sub_folders} <= SPLIT_NAMES.keys():
        raise DataError(
            f"the sub-folders {', '.join(sub_folders)} look like splits, not classes",
            where=str(folder),
            why="without data.splits every sub-folder is taken as a class",
            fix="set data.splits, for example {train: train, test: test}",
        )
    if not sub_folders:
        _refuse_program(folder)
        files = [e.name for e in _entries(folder) if e.suffix.lower() in TABLE_SUFFIXES]
        raise DataError(
            f"no sub-folders; files with rows: {', '.join(files[:20]) or 'none'}",
            where=str(folder),
            why="a folder needs one sub-folder of .txt files per class, or data.splits",
            fix="name the file itself in data.source, or say in data.splits which file is what",
        )
    return _read_classes(folder, spec, columns, prefix="")


def read_split_of_folder(folder: Path, split: str, spec: DataSpec, columns: Columns) -> Rows:
    """One split of a folder: the file ``split`` (with or without its suffix), or a sub-folder
    of that name with one sub-folder per class.

    Raises:
        DataError: nothing of that name, or more than one file.
    """
    names = [split, *(split + suffix for suffix in TABLE_SUFFIXES)]
    # Only direct children: a name such as ../x must not reach outside the folder.
    found = [entry for entry in _entries(folder) if entry.name in names]
    if len(found) != 1:
        _refuse_program(folder)
        there = ", ".join(entry.name for entry in _entries(folder)[:20]) or "nothing"
        raise DataError(
            f"{len(found) or 'no'} files or folders for split {split!r}"
            + (f": {', '.join(entry.name for entry in found)}" if found else ""),
            where=str(folder),
            why=f"the folder holds: {there}",
            fix="write the full name of the file in data.splits",
        )
    path = found[0]
    if path.is_dir():
        return _read_classes(path, spec, columns, prefix=f"{path.name}/")
    return read_table(path, spec, columns, path.name)


def _refuse_program(folder: Path) -> None:
    """Refuses a folder whose data is what a loading script would make, as before datasets 4.

    Raises:
        DataError: naming the script.
    """
    scripts = [entry.name for entry in _entries(folder) if entry.suffix.lower() == ".py"]
    if scripts:
        raise DataError(
            f"this data set comes as a program, {', '.join(scripts[:5])}, which is not run",
            where=str(folder),
            why="code that comes with data could do anything on this machine",
            fix="look for a copy with plain files: parquet, jsonl, csv, or .txt files per class",
        )


def _read_classes(folder: Path, spec: DataSpec, columns: Columns, prefix: str) -> Rows:
    if columns.pair or columns.group or columns.split or isinstance(columns.label, list):
        raise DataError(
            "a folder per class gives one text and one label a file",
            where=str(folder),
            why="data.text_pair, data.group, data.split_column and a list in data.label need a "
            "file with columns",
            fix="leave them out, or use csv, jsonl or parquet",
        )
    ids: list[str] = []
    texts: list[object] = []
    labels: list[object] = []
    fallbacks: dict[str, str] = {}
    doubtful: list[str] = []
    failed: list[tuple[str, DataError]] = []
    others = [entry.name for entry in _entries(folder) if not entry.is_dir()]
    for class_folder in (entry for entry in _entries(folder) if entry.is_dir()):
        for path in _entries(class_folder):
            name = f"{prefix}{class_folder.name}/{path.name}"
            if path.suffix.lower() != ".txt" or not path.is_file():
                others.append(f"{class_folder.name}/{path.name}")
                continue
            try:
                text = read_text(path, spec)
            except DataError as error:
                failed.append((name, error))
                continue
            ids.append(name)
            texts.append(text.characters)
            labels.append(class_folder.name)
            if text.fallback:
                fallbacks[name] = text.fallback
            if text.doubtful:
                doubtful.append(name)
    notes = [fallback_note(fallbacks, spec)] if fallbacks else []
    notes += [doubt_note(doubtful, spec)] if doubtful else []
    notes += [_not_read(folder, others)] if others else []
    return Rows(
        where=str(folder),
        ids=ids,
        texts=texts,
        pairs=None,
        labels=labels,
        notes=tuple(notes),
        problems=(_unread(failed),) if failed else (),
        left_out=len(failed),
    )


def _not_read(folder: Path, others: Sequence[str]) -> str:
    rest = f" and {len(others) - SHOWN:,} more" if len(others) > SHOWN else ""
    return (
        f"Not read from {folder.name}, being no .txt files of a class: "
        f"{', '.join(others[:SHOWN])}{rest}."
    )


def _unread(failed: Sequence[tuple[str, DataError]]) -> DataError:
    """The refusal of files, the first with its reason and the others by name."""
    (_, first), *others = failed
    more = ""
    if others:
        names = ", ".join(name for name, _ in others[:SHOWN])
        rest = f" and {len(others) - SHOWN:,} more" if len(others) > SHOWN else ""
        more = f"; {len(others):,} more files cannot be read either: {names}{rest}"
    return DataError(first.what + more, where=first.where, why=first.why, fix=first.fix)


def _entries(folder: Path) -> list[Path]:
    """Visible entries by name, so that ids do not depend on the file system's order."""
    try:
        seen = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        return sorted(seen, key=attrgetter("name"))
    except OSError as error:
        raise unreadable(folder, error) from error
