"""The queue of runs: one small file each, in order, which survives its readers.

runs/.queue/
    entries/<order>@<study>@<run>.json   one run each; moving one is a rename
    lock                                 held for the moment of a change
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from workbench.errors import RunRefused
from workbench.store.files import make_folder, publish, read_record, write_json
from workbench.store.locks import Lock, lock_of

QUEUE_DIR = ".queue"
ENTRIES_DIR = "entries"
STEP = 2**20
"""Distance between two orders: so often can a run be moved in between before all are renumbered."""

_NAME = r"\d+@[^@]*@[^@]*\.json"
Place = Literal["first", "last"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    study: str
    name: str  # of the run's folder
    recipe: str  # resolved, as YAML
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
    job: str = ""  # that runs it; empty while it waits
    host: str = ""  # the machine of that job
    slot: str = ""  # the devices that it was given
    command: str = ""
    """The machine and process that added it for itself, and with which it ends unless begun."""

    @property
    def id(self) -> str:
        """``study/folder``, as of its run."""
        return f"{self.study}/{self.name}"


class Queue:
    def __init__(self, runs_dir: Path | str) -> None:
        self.root = Path(runs_dir).absolute()
        self.folder = self.root / QUEUE_DIR
        self._entries = self.folder / ENTRIES_DIR

    def changing(self) -> Lock:
        """The lock under which the queue is changed; the same process may take it again."""
        return lock_of(self.folder / "lock", timeout=30, is_singleton=True)

    def path_of(self, entry: Entry) -> Path:
        return self.root / entry.study / entry.name

    def list(self) -> list[Entry]:
        read = (self._read(file) for file in self._files())
        return [entry for entry in read if entry is not None]

    def find(self, study: str, name: str) -> Entry | None:
        """The entry of a run folder, if it has one."""
        file = self._file_of(study, name)
        return self._read(file) if file is not None else None

    def add(self, entries: Sequence[Entry]) -> None:
        """Puts runs at the end, or none (RunRefused) when one of them is in the queue already."""
        with self.changing():
            there = {tuple(file.stem.split("@")[1:]) for file in self._files()}
            for entry in entries:
                if (entry.study, entry.name) in there:
                    raise RunRefused(
                        "this run is in the queue already",
                        where=entry.id,
                        fix="`workbench queue` lists what waits; `workbench queue move` reorders",
                    )
            make_folder(self._entries)
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

    def clear(self) -> Sequence[Entry]:
        """Takes out all that wait; what was started stays."""
        with self.changing():
            waiting = [entry for entry in self.list() if not entry.job]
            return [entry for entry in waiting if self.remove(entry)]

    def move(self, entry: Entry, to: Place | Entry) -> None:
        """Moves an entry to the front, to the end, or before another one."""
        with self.changing():
            file = self._file_of(entry.study, entry.name)
            if file is None or to == entry:
                return
            others = [each for each in self._files() if each != file]
            index = 0 if to == "first" else len(others)
            if isinstance(to, Entry) and (target := self._file_of(to.study, to.name)) in others:
                index = others.index(target)
            before = _order(others[index - 1]) if index else 0
            after = _order(others[index]) if index < len(others) else before + 2 * STEP
            order = (before + after) // 2
            renamed = [(file, order)]
            if after - before < 2:
                together = [*others[:index], file, *others[index:]]
                renamed = [(each, number * STEP) for number, each in enumerate(together, 1)]
            for each, order in renamed:
                publish(each, each.with_name(_file_name(order, *_run_of(each))))

    def named(self, name: str) -> Entry:
        """The entry that a user means by its number, run id or folder name; else RunRefused."""
        entries = self.list()
        if name.isdigit() and 1 <= int(name) <= len(entries):
            return entries[int(name) - 1]
        fix = "`workbench queue` numbers its runs"
        by_id = {entry.id: entry for entry in entries}
        return pick_by_name(name, by_id, where=self.folder, fix=fix)

    def _files(self) -> Sequence[Path]:
        try:
            found = [f for f in self._entries.iterdir() if re.fullmatch(_NAME, f.name)]
        except OSError:
            return []
        return sorted(found, key=lambda file: (_order(file), file.name))

    def _file_of(self, study: str, name: str) -> Path | None:
        end = f"@{study}@{name}.json"
        return next((file for file in self._files() if file.name.endswith(end)), None)

    def _read(self, file: Path) -> Entry | None:
        try:
            entry = _READER.validate_python(read_record(file) or {})
        except ValidationError:  # somebody has edited it
            return None
        # The name of the file is what everybody goes by.
        return entry if _run_of(file) == (entry.study, entry.name) else None


_READER = TypeAdapter(Entry)


T = TypeVar("T")


def pick_by_name(name: str, by_id: Mapping[str, T], *, where: Path, fix: str) -> T:
    """What is meant by ``study/folder``, ``folder``, or the start of either; else RunRefused."""
    names = {id: (id, id.rpartition("/")[2]) for id in by_id}
    found = [id for id in by_id if name in names[id]] or [
        id for id in by_id if any(known.startswith(name) for known in names[id])
    ]
    if len(found) == 1:
        return by_id[found[0]]
    listing = ", ".join((found or list(by_id))[:5]) or "none"
    what = f"{'several runs' if found else 'no run'} called {name!r}"
    raise RunRefused(what, where=str(where), why=f"candidates: {listing}", fix=fix)


def _write(file: Path, entry: Entry) -> None:
    write_json(file, {"version": 1, **asdict(entry)})


def _file_name(order: int, study: str, name: str) -> str:
    return f"{order:016d}@{study}@{name}.json"


def _order(file: Path) -> int:
    return int(file.name.partition("@")[0])


def _run_of(file: Path) -> tuple[str, str]:
    _, study, name = file.name.removesuffix(".json").split("@")
    return study, name
