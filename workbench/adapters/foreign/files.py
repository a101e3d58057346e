"""Takes the files of a foreign adapter out of a folder or a zip: named ones, bounded, no links.

Nothing of what arrives is executed, and nothing is written but these names into one new folder.
"""

import os
import stat
import zipfile
import zlib
from pathlib import Path
from typing import IO

from workbench.errors import UsageError
from workbench.store import open_regular
from workbench.store.disk import shortage

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

_MEGABYTE = 1_000_000
ALLOWED = {
    CONFIG: _MEGABYTE,
    WEIGHTS: 16_000 * _MEGABYTE,
    "README.md": 10 * _MEGABYTE,
    # what an export of the workbench adds
    "workbench.json": _MEGABYTE,
    "config.json": _MEGABYTE,
    # the files of a tokenizer
    "tokenizer.json": 100 * _MEGABYTE,
    "tokenizer_config.json": 10 * _MEGABYTE,
    "special_tokens_map.json": _MEGABYTE,
    "added_tokens.json": 10 * _MEGABYTE,
    "vocab.json": 100 * _MEGABYTE,
    "vocab.txt": 100 * _MEGABYTE,
    "merges.txt": 100 * _MEGABYTE,
    "chat_template.jinja": _MEGABYTE,
}
"""The files that are taken, and how many bytes each may have."""

MAX_MEMBERS = 64
"""Entries of a zip; an export has about ten."""
MAX_RATIO = 200
"""How many times larger than in the zip a file may be; trained weights hardly shrink at all."""

_PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz"}
_OTHER_EXPORTS = {
    "model.safetensors": "a whole model is not an adapter: name the folder as model.source in a "
    "recipe",
    "trained_weights.safetensors": "it holds some of the model's own weights, which are no PEFT "
    "adapter; train it again with a method such as lora",
}
_CHUNK = 1 << 20


def receive(source: Path, target: Path) -> None:
    """Copies the allowed files of a folder, or of a zip, into an existing empty folder.

    Hidden entries of a folder (``.git``, ``.cache``) stay where they are.

    Raises:
        UsageError: when there is no such source, or it holds anything that is not taken: another
            file, a pickle, a link, a name that leads out of the folder, more than the limits.
    """
    if source.is_dir():
        _from_folder(source, target)
    elif zipfile.is_zipfile(source):
        _from_zip(source, target)
    else:
        raise UsageError(
            "neither a folder nor a zip file" if source.exists() else "no such file or folder",
            where=str(source),
            fix=f"name the folder that holds {CONFIG} and {WEIGHTS}, or a zip of it",
        )
    for name in (CONFIG, WEIGHTS):
        if not (target / name).is_file():
            raise UsageError(
                f"there is no {name}",
                where=str(source),
                why=f"a PEFT adapter is a {CONFIG} and a {WEIGHTS}",
                fix="name the folder that PEFT's save_pretrained wrote",
            )


def _from_folder(folder: Path, target: Path) -> None:
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    for name in names:
        _refuse_name(name, str(folder))
    for name in names:
        with _opened(folder / name) as file:
            _copy(file, target / name, os.fstat(file.fileno()).st_size, str(folder / name))


def _opened(path: Path) -> IO[bytes]:
    """A regular file; neither a link is followed nor a pipe waited for."""
    try:
        return open_regular(path)
    except OSError as error:
        if path.is_symlink():
            raise UsageError(
                f"a link, to {os.readlink(path)}",
                where=str(path),
                why="what it points at lies outside of the adapter",
                fix="copy the files themselves, e.g. `hf download REPO --local-dir FOLDER`",
            ) from error
        fix = "leave folders and devices out" if path.exists() and not path.is_file() else ""
        what = "not a regular file" if fix else f"cannot be read: {error.strerror}"
        raise UsageError(what, where=str(path), fix=fix) from error


def _from_zip(path: Path, target: Path) -> None:
    _refuse_huge_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path)
            for name, info in members.items():
                with archive.open(info) as file:
                    _copy(file, target / name, info.file_size, f"{path}: {name}")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise UsageError(
            f"the zip is damaged: {error}", where=str(path), fix="download or pack it again"
        ) from error


def _refuse_huge_directory(path: Path) -> None:
    """Refuses by the end record alone: zipfile reads every entry before it says how many."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 22 - 0xFFFF - 20))
        end = file.read()
    at = end.rfind(b"PK\5\6")
    count = int.from_bytes(end[at + 10 : at + 12], "little")
    # The locator of a 64-bit end record stands right before; its counts would win.
    if count > MAX_MEMBERS or end[max(0, at - 20) : at].startswith(b"PK\6\7"):
        raise UsageError(
            f"a zip of more than {MAX_MEMBERS} entries or 4 GB",
            where=str(path),
            why="an adapter is a handful of files",
            fix="unpack it, look at what it holds, and import the folder",
        )


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The entries by plain name; one folder around all of them, as the UI packs it, is left off."""
    entries = [info for info in archive.infolist() if not info.is_dir()]
    if len(archive.infolist()) > MAX_MEMBERS:
        raise UsageError(f"a zip of more than {MAX_MEMBERS} entries", where=str(path))
    for info in archive.infolist():
        _refuse_entry(info, path)
    tops = {info.filename.partition("/")[0] for info in entries if "/" in info.filename}
    wrapped = len(tops) == 1 and all("/" in info.filename for info in entries)
    members: dict[str, zipfile.ZipInfo] = {}
    for info in entries:
        name = info.filename.partition("/")[2] if wrapped else info.filename
        _refuse_name(name, str(path))
        if name in members:
            raise UsageError(
                f"{name} is in it twice",
                where=str(path),
                why="which of the two is meant cannot be known",
                fix="pack it again",
            )
        members[name] = info
    return members


def _refuse_entry(info: zipfile.ZipInfo, path: Path) -> None:
    name = info.orig_filename
    parts = name.rstrip("/").split("/")
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        reason = "is a link"
    elif mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or not stat.S_IFMT(mode)):
        reason = "is not a regular file"
    elif info.filename != name or "\\" in name or ":" in name or not name.isprintable():
        reason = "has a name that is not the same everywhere"
    elif name.startswith("/") or any(part in ("", ".", "..") for part in parts):
        reason = "leads out of its folder"
    elif info.flag_bits & 0x1:
        reason = "is encrypted"
    elif info.file_size > MAX_RATIO * max(info.compress_size, 1_000):
        reason = f"would grow from {info.compress_size:,} to {info.file_size:,} bytes"
    else:
        return
    raise UsageError(
        f"the entry {name[:80]!r} {reason}",
        where=str(path),
        why="a zip from somebody else is taken only if every entry is a plain file of its folder",
        fix="ask for a zip of the adapter's files alone",
    )


def _refuse_name(name: str, where: str) -> None:
    if name in ALLOWED:
        return
    shown, suffix = repr(name[:80]), Path(name).suffix.lower()
    if suffix in _PICKLES:
        raise UsageError(
            f"{shown} is a pickle",
            where=where,
            why="a pickle runs code of whoever wrote it as soon as it is loaded",
            fix=f"ask for {WEIGHTS}, or leave the file out if {WEIGHTS} is there",
        )
    raise UsageError(
        f"{shown} is not a file of an adapter",
        where=where,
        why=_OTHER_EXPORTS.get(name, f"only these are taken: {', '.join(ALLOWED)}"),
        fix="leave it out",
    )


def _copy(file: IO[bytes], path: Path, size: int, where: str) -> None:
    """Copies ``size`` bytes at most, whatever the archive or a growing file goes on to say."""
    limit = min(size, ALLOWED[path.name])
    if size > limit:
        raise UsageError(
            f"{size:,} bytes",
            where=where,
            why=f"more than {limit:,} bytes are refused",
            fix="an adapter is smaller; is this the right file?",
        )
    if short := shortage(path.parent, size):
        raise UsageError(
            f"it needs {short}",
            where=str(path.parent),
            fix="make room, or name another place with --output",
        )
    written = 0
    with open(path, "xb") as out:
        while chunk := file.read(_CHUNK):
            written += len(chunk)
            if written > limit:
                raise UsageError(
                    f"more than the {limit:,} bytes that it says it has",
                    where=where,
                    fix="download or pack it again",
                )
            out.write(chunk)
