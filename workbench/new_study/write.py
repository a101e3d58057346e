"""A new study as files: whole or not there, and never over others."""

import os
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path

import psutil

from workbench.errors import StorageError, UsageError
from workbench.new_study.draft import Draft
from workbench.recipe import Recipe, build
from workbench.recipe.layers import merge, with_paths
from workbench.recipe.sources import is_local, resolve_source
from workbench.recipe.yaml_reader import dump, read_text
from workbench.store.files import read_whole, sync

BASE = "_base.yaml"
WIDTH = 100


def files_of(draft: Draft, folder: Path) -> dict[str, str]:
    """The text of each file of the study, for that folder."""
    base = dict(draft.base)
    for section in ("model", "data"):
        source = base[section]["source"]
        base[section] = {**base[section], "source": _seen_from(source, folder)}
    made_by = " ".join(draft.choices.command().split())
    about = [
        "All recipes of the study share this.",
        *(f"{each.key}: {each.value} ({each.why})" for each in draft.reasons),
    ]
    files = {BASE: f"# Made by: {made_by}\n{_comment(about)}{dump(base)}"}
    for name, own in draft.own.items():
        files[f"{name}.yaml"] = _comment([draft.origin[name]]) + dump({"base": BASE, **own})
    return files


def _seen_from(source: str, folder: Path) -> str:
    """A local source relative to the study if it lies beside it, so that both can be moved."""
    path = resolve_source(source, Path.cwd())
    if not is_local(path):
        return path
    if Path(path).is_relative_to(folder.resolve().parent.parent):
        return os.path.relpath(path, folder.resolve())
    return path


def _comment(lines: list[str]) -> str:
    plain = [" ".join(line.split()) for line in lines]
    wrapped = [part for line in plain for part in textwrap.wrap(line, WIDTH - 2)]
    return "".join(f"# {line}\n" for line in wrapped)


def write_study(draft: Draft, folder: Path) -> bool:
    """Writes the study; False where this study is there already, comments aside.

    Raises:
        UsageError: something else is there.
    """
    return write_files(files_of(draft, folder), folder)


def write_files(files: Mapping[str, str], folder: Path) -> bool:
    """The same for the texts of its files."""
    if folder.exists() or folder.is_symlink():
        if _holds(folder, files):
            return False
        raise _taken(folder)
    try:
        _remove_left_over(folder)
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        temporary.mkdir(parents=True)
        try:
            for name, text in files.items():
                (temporary / name).write_text(text, encoding="utf-8")
                sync(temporary / name)
            sync(temporary)
            temporary.rename(folder)  # refused where a folder with files has come to be there
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync(folder.parent)
    except OSError as error:
        if folder.exists():
            raise _taken(folder) from None
        raise StorageError(f"cannot be written: {error.strerror}", where=str(folder)) from None
    return True


def _taken(folder: Path) -> UsageError:
    return UsageError(
        "a study of this name is there, with other content",
        where=str(folder),
        why="nothing is overwritten",
        fix=f"choose another name; `workbench run {folder}` runs what is there",
    )


def _holds(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether a folder has the same recipes: an older version may have written other comments, and
    left out what is as usual."""
    try:
        there = {path.name: read_whole(path) for path in folder.glob("*.yaml")}
    except (OSError, UnicodeDecodeError):
        return False
    if there == files:
        return True
    recipes = _meant(there, folder)
    return None not in recipes and recipes == _meant(files, folder)


def _meant(files: Mapping[str, str], folder: Path) -> list[Recipe | None]:
    """The recipes of a study's files, with all values written out; None for one that is none."""
    found = []
    for name in sorted(files.keys() - {BASE}):
        own = read_text(files[name], name)[0]
        base = read_text(files.get(str(own.values.pop("base", "")), ""), BASE)[0]
        values = with_paths(merge(base, own), folder).values
        recipe, problems = build({"study": "this", "name": Path(name).stem, **values}, file=name)
        found.append(None if problems else recipe)
    return found


def _remove_left_over(folder: Path) -> None:
    """What a killed process had begun to write."""
    for path in folder.parent.glob(f".{folder.name}.*.tmp"):
        pid = path.name.rsplit(".", 2)[1]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(path, ignore_errors=True)
