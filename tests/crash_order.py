"""What a power cut may leave of the files that a process writes, at each of its calls.

Content is there then only as far as its file was synced, and names only as far as their folder was.
The recorder looks at a folder before each call that changes it, and keeps what a disk may come up
with: all that was written, what was synced of it, the names of one with the content of the other,
and mixtures.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHANGES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}
"""Audit events of CPython that come before a change on the disk (or a read)."""

Names = dict[str, int]
"""What a folder holds, as numbers of its files and folders."""
Tree = frozenset[tuple[str, str]]
"""Relative path and hash of each file; folders end in a slash."""


@dataclass
class Recorder:
    """The states of a folder that a power cut may leave, with ``known`` as of that moment."""

    root: Path
    known: dict[str, Any] = field(default_factory=dict)
    states: dict[Tree, dict[str, Any]] = field(default_factory=dict)
    """Each once, with the first ``known`` that it may follow."""
    blobs: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._looking = False
        self._number: dict[int, int] = {}
        """Inode -> number; an inode that was free in between is another file."""
        self._numbers = 0
        self._now: dict[int, Names | str] = {}
        self._synced: dict[int, Names | str] = {}
        self._read: dict[int, tuple[tuple[int, int], str]] = {}
        self._draw = random.Random(0)
        self._look()
        self._synced = dict(self._now)

    def start(self) -> None:
        """From now on, in this process."""
        fsync = os.fsync

        def synced(descriptor: int) -> None:
            self.see()
            fsync(descriptor)
            self._look()
            number = self._number.get(os.fstat(descriptor).st_ino)
            if number in self._now:
                self._synced[number] = self._now[number]
            self.see()

        os.fsync = synced  # type: ignore[assignment]
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CHANGES or self._looking:
            return
        if event == "open" and not str(arguments[0]).startswith(str(self.root)):
            return
        self.see()

    def see(self) -> None:
        """A moment at which the power may go."""
        for tree in self.possible():
            self.states.setdefault(tree, dict(self.known))

    def possible(self) -> list[Tree]:
        """What the folder may be after a power cut now."""
        self._look()
        draw, root = self._draw, self._number[self.root.stat().st_ino]
        found = []
        for names, content in (
            (lambda _: True, lambda _: True),
            (lambda _: False, lambda _: False),
            (lambda _: True, lambda _: False),
            (lambda _: False, lambda _: True),
            (lambda _: draw.random() < 0.5, lambda _: draw.random() < 0.5),
        ):
            found.append(frozenset(self._walk(root, "", names, content)))
        return found

    def _walk(
        self,
        folder: int,
        path: str,
        names: Callable[[int], bool],
        content: Callable[[int], bool],
    ) -> Iterator[tuple[str, str]]:
        """What is found when ``names`` and ``content`` say of which numbers the latest is there."""
        inside = (self._now if names(folder) and folder in self._now else self._synced).get(folder)
        for name, number in inside.items() if isinstance(inside, dict) else ():
            latest = self._now.get(number, self._synced.get(number))
            if isinstance(latest, dict) or isinstance(self._synced.get(number), dict):
                yield f"{path}{name}/", ""
                yield from self._walk(number, f"{path}{name}/", names, content)
            else:
                kept = latest if content(number) else self._synced.get(number)
                yield f"{path}{name}", str(kept if kept is not None else self._keep(b""))

    def _look(self) -> None:
        self._looking = True
        try:
            before, self._now = self._number, {}
            self._number = {}
            self._look_into(self.root, before)
        finally:
            self._looking = False

    def _look_into(self, path: Path, before: dict[int, int]) -> int:
        about = path.lstat()
        if about.st_ino not in before:
            self._numbers += 1
        number = self._number[about.st_ino] = before.get(about.st_ino, self._numbers)
        if stat.S_ISDIR(about.st_mode):
            self._now[number] = {
                each.name: self._look_into(each, before) for each in sorted(path.iterdir())
            }
            return number
        age = about.st_mtime_ns, about.st_size
        if self._read.get(number, ((0, 0), ""))[0] != age:
            self._read[number] = age, self._keep(path.read_bytes())
        self._now[number] = self._read[number][1]
        return number

    def _keep(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        self.blobs[digest] = content
        return digest


def save_states(recorder: Recorder, folder: Path) -> None:
    """Keeps what was recorded for another process."""
    folder.mkdir()
    states = [[sorted(tree), known] for tree, known in recorder.states.items()]
    (folder / "states.json").write_text(json.dumps(states))
    for digest, content in recorder.blobs.items():
        (folder / digest).write_bytes(content)


def read_states(folder: Path) -> list[tuple[Tree, dict[str, Any]]]:
    """Each state with what was known then."""
    states = json.loads((folder / "states.json").read_text())
    return [(frozenset((name, digest) for name, digest in tree), known) for tree, known in states]


def lay_out(tree: Tree, kept: Path, place: Path) -> None:
    """Writes a state as files."""
    place.mkdir(parents=True)
    for name, digest in sorted(tree):
        if name.endswith("/"):
            (place / name).mkdir(exist_ok=True)
        else:
            shutil.copyfile(kept / digest, place / name)
