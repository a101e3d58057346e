"""The queue of runs: one small file each, in order, which survives its readers.

runs/.queue/
    entries/<order>@<study>@<run>.json   one run each; the order is in the name, so that
                                         moving one is a rename
    lock                                 held for the moment of a change
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from workbench.errors import RunRefused
from workbench.store.files import read_json, write_json

QUEUE_DIR = ".queue"
ENTRIES_DIR = "entries"
STEP = 2**20
"""Distance between two orders: so often can a run be moved in between before all are renumbered."""

Place = Literal["first", "last"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run that waits, or that a worker has taken."""

    study: str
    name: str
    """Name of the run's folder."""
    recipe: str
    """The resolved recipe as YAML."""
    fields: dict[str, Any]
    """What is known about the run before it starts, as in status.json."""
    seed: int
    processes: int = 1
    devices: str | None = None
    """The devices it has to have, e.g. ``0,1``; None for any."""
    force: bool = False
    added_at: float = 0.0
    begun: bool = False
    """True when an earlier attempt was cut short and can be resumed."""
    attempts: int = 0
    """How often it died together with its worker."""
    job: str = ""
    """Name of the job that runs it; empty while it waits."""
    host: str = ""
    """The machine of that job."""
    slot: str = ""
    """The devices that it was given."""

    @property
    def id(self) -> str:
        """``study/folder``, as of its run."""
        return f"{self.study}/{self.name}"


class Queue:
    """The queue of a folder of runs."""

    def __init__(self, runs_dir: Path | str) -> None:
        self.root = Path(runs_dir).absolute()
        self.folder = self.root / QUEUE_DIR
        self._entries = self.folder / ENTRIES_DIR

    def changing(self) -> FileLock:
        """The lock under which the queue is changed; the same process may take it again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / "lock", timeout=30, is_singleton=True)

    def path_of(self, entry: Entry) -> Path:
        """The run folder of an entry."""
        return self.root / entry.study / entry.name

    def list(self) -> list[Entry]:
        """All entries in their order; one that cannot be read is left out."""
        read = (self._read(file) for file in self._files())
        return [entry for entry in read if entry is not None]

    def find(self, study: str, name: str) -> Entry | None:
        """The entry of a run folder, if it has one."""
        file = self._file_of(study, name)
        return self._read(file) if file is not None else None

    def add(self, entries: Sequence[Entry]) -> None:
        """Puts runs at the end.

        Raises:
            RunRefused: when one of them is in the queue already; then none is added.
        """
        with self.changing():
            there = {tuple(file.stem.split("@")[1:]) for file in self._files()}
            for entry in entries:
                if (entry.study, entry.name) in there:
                    raise RunRefused(
                        "this run is in the queue already",
                        where=entry.id,
                        fix="`workbench queue` lists what waits; `workbench queue move` reorders",
                    )
            self._entries.mkdir(parents=True, exist_ok=True)
            last = max((_order(file) for file in self._files()), default=0)
            now = time.time()
            for number, entry in enumerate(entries, 1):
                file = self._entries / _file_name(last + number * STEP, entry.study, entry.name)
                _write(file, replace(entry, added_at=now))

    def update(self, entry: Entry, **changes: Any) -> Entry | None:
        """Changes an entry where it stands; None when it has been cancelled meanwhile."""
        with self.changing():
            file = self._file_of(entry.study, entry.name)
            if file is None:
                return None
            changed = replace(entry, **changes)
            _write(file, changed)
            return changed

    def remove(self, entry: Entry) -> bool:
        """Takes an entry out; False when it is gone already."""
        with self.changing():
            file = self._file_of(entry.study, entry.name)
            if file is not None:
                file.unlink()
            return file is not None

    def move(self, entry: Entry, to: Place | Entry) -> None:
        """Moves an entry to the front, to the end, or before another one."""
        with self.changing():
            file = self._file_of(entry.study, entry.name)
            if file is None or to == entry:
                return
            others = [each for each in self._files() if each != file]
            index = self._index(others, to)
            before = _order(others[index - 1]) if index else 0
            after = _order(others[index]) if index < len(others) else before + 2 * STEP
            if after - before < 2:
                for number, each in enumerate([*others[:index], file, *others[index:]], 1):
                    each.rename(each.with_name(_file_name(number * STEP, *_run_of(each))))
            else:
                order = (before + after) // 2
                file.rename(file.with_name(_file_name(order, entry.study, entry.name)))

    def named(self, name: str) -> Entry:
        """The entry that a user means by its number in the list, run id or folder name.

        Raises:
            RunRefused: when no entry or several answer to the name.
        """
        entries = self.list()
        if name.isdigit() and 1 <= int(name) <= len(entries):
            return entries[int(name) - 1]
        fix = "`workbench queue` numbers its runs"
        return pick_by_name(name, entries, where=self.folder, fix=fix)

    def _index(self, others: Sequence[Path], to: Place | Entry) -> int:
        if isinstance(to, Entry):
            target = self._file_of(to.study, to.name)
            return others.index(target) if target in others else len(others)
        return 0 if to == "first" else len(others)

    def _files(self) -> Sequence[Path]:
        try:
            found = [f for f in self._entries.iterdir() if _is_entry(f.name)]
        except OSError:
            return []
        return sorted(found, key=lambda file: (_order(file), file.name))

    def _file_of(self, study: str, name: str) -> Path | None:
        end = f"@{study}@{name}.json"
        return next((file for file in self._files() if file.name.endswith(end)), None)

    def _read(self, file: Path) -> Entry | None:
        try:
            entry = _reader().validate_python(read_json(file) or {})
        except ValidationError:  # somebody has edited it
            return None
        # The name of the file is what everybody goes by.
        return entry if _run_of(file) == (entry.study, entry.name) else None


@cache
def _reader() -> TypeAdapter[Entry]:
    return TypeAdapter(Entry)


class Named(Protocol):
    """What a user may name: by ``study/folder``, by ``folder``, or by the start of either."""

    @property
    def id(self) -> str:
        """``study/folder``."""
        ...


T = TypeVar("T", bound=Named)


def pick_by_name(name: str, candidates: Sequence[T], *, where: Path, fix: str) -> T:
    """The candidate that a user means.

    Raises:
        RunRefused: when none or several answer to the name.
    """
    names = {each.id: (each.id, each.id.rpartition("/")[2]) for each in candidates}
    found = [each for each in candidates if name in names[each.id]] or [
        each for each in candidates if any(known.startswith(name) for known in names[each.id])
    ]
    if len(found) == 1:
        return found[0]
    listing = ", ".join(each.id for each in (found or candidates)[:5]) or "none"
    what = f"{'several runs' if found else 'no run'} called {name!r}"
    raise RunRefused(what, where=str(where), why=f"candidates: {listing}", fix=fix)


def _write(file: Path, entry: Entry) -> None:
    write_json(file, {"version": 1, **asdict(entry)})


def _file_name(order: int, study: str, name: str) -> str:
    return f"{order:016d}@{study}@{name}.json"


def _is_entry(name: str) -> bool:
    return name.endswith(".json") and name.partition("@")[0].isdigit() and name.count("@") == 2


def _order(file: Path) -> int:
    return int(file.name.partition("@")[0])


def _run_of(file: Path) -> tuple[str, str]:
    _, study, name = file.name.removesuffix(".json").split("@")
    return study, name
