"""The runs of one command, several at once: a worker for its own runs, which end with it."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from workbench.jobs.job_records import JOBS_DIR, Job, read_job
from workbench.jobs.launch import ENDS_WITH_VARIABLE, command_of
from workbench.jobs.queue_runs import enqueue, ensure_worker
from workbench.jobs.stop_run import end_job, request_stop
from workbench.jobs.worker import LOOK_SECONDS, Observer, Worker
from workbench.jobs.worker_records import WorkerRecord, devices_of, environment_of
from workbench.recipe import Recipe
from workbench.store import ACTIVE, BESIDE_VARIABLE, Entry, read_run, run_path
from workbench.store.turns import TURNS_VARIABLE

ECHO_SECONDS = 0.5
"""A second signal this soon is the first once more, as for a run by itself."""


@dataclass(frozen=True)
class Wanted:
    """A run that a command is to make."""

    recipe: Recipe
    seed: int
    force: bool = False
    """Whether a finished one is run again."""


def run_at_once(
    wanted: Sequence[Wanted],
    runs_dir: Path,
    slots: Sequence[str],
    *,
    look: Callable[[], None],
    warn: Observer,
) -> int | None:
    """Makes runs, one on each slot at a time, and waits for them all.

    The first Ctrl-C or TERM asks what runs to save and stop and leaves the rest out, the second
    ends it at once. They stand in the queue meanwhile; what others add there waits, and is
    left to a worker in the background.

    Args:
        look: called about twice a second.
        warn: told what could not be started, and why.

    Returns the signal that ended it early, if one did.

    Raises:
        RunRefused: when one of the runs is active, or another worker has one of the devices.
    """
    worker, began = _StudyWorker(wanted, runs_dir, slots, warn), time.time()
    worker.watch = look
    try:
        with _signals_kept():
            worker.run()
    finally:
        worker.leave()
    look()
    if any(not entry.job and entry.added_at > began for entry in worker.queue.list()):
        ensure_worker(runs_dir)
    return worker.signal_number


class _StudyWorker(Worker):
    def __init__(
        self,
        wanted: Sequence[Wanted],
        runs_dir: Path,
        slots: Sequence[str],
        warn: Observer,
    ) -> None:
        super().__init__(runs_dir, slots, lambda _routine: None, warn)
        self._wanted = wanted
        self.watch: Callable[[], None] = lambda: None
        paths = (run_path(self.queue.root, each.recipe, each.seed) for each in wanted)
        self._own = {f"{path.parent.name}/{path.name}" for path in paths}
        self._command = command_of(os.getpid())
        self.signal_number: int | None = None
        self._at_once = False

    def leave(self) -> None:
        """Takes out of the queue what was not begun, or stopped from outside."""
        for entry in self._entries():
            if not entry.job and entry.command == self._command:
                self.queue.remove(entry)

    def _begin(self) -> None:
        root, command = self.queue.root, self._command
        with self.queue.changing():
            there = {entry.id: entry for entry in self.queue.list()}  # of one that was killed
            for each in self._wanted:
                path = run_path(root, each.recipe, each.seed)
                if found := there.get(f"{path.parent.name}/{path.name}"):
                    self.queue.update(found, command=command)
                else:
                    seeds, force = [each.seed], each.force
                    enqueue([each.recipe], root, seeds=seeds, force=force, command=command)

    def _look(self) -> None:
        self.watch()

    def _entries(self) -> list[Entry]:
        return [entry for entry in self.queue.list() if entry.id in self._own]

    def _next(self, slots: Sequence[str]) -> Entry | None:
        found = super()._next(slots)
        while found is not None and found.id not in self._own:
            self._held.add(found.id)  # somebody else's, for another worker
            found = super()._next(slots)
        return found

    def _environment(self, slot: str) -> dict[str, str]:
        devices = {*devices_of(slot)}
        sharing = sum(bool(devices & {*devices_of(other)}) for other in self.slots)
        beside = min(sharing, len(self._wanted)) - 1
        given = environment_of(slot) | {ENDS_WITH_VARIABLE: str(os.getpid())}
        if beside:
            name = f"{self._host}@{'+'.join(sorted(devices)).replace('/', '-')}.turns"
            given[TURNS_VARIABLE] = str(self.queue.folder / "slots" / name)
            given[BESIDE_VARIABLE] = str(beside)
        return given

    def _catch_signals(self) -> None:
        asked_at = 0.0

        def stop(number: int, _frame: FrameType | None) -> None:
            nonlocal asked_at
            if self.signal_number is None:
                self.signal_number, asked_at = number, time.monotonic()
            elif time.monotonic() - asked_at >= ECHO_SECONDS:
                self._at_once = True

        for number in _numbers():
            signal.signal(number, stop)

    def _asked_to_stop(self, record: WorkerRecord) -> bool:
        if self.signal_number is None:
            return super()._asked_to_stop(record)
        found = (self._ask(entry) for entry in self._entries())
        jobs = [job for job in found if job is not None]
        while alive := [job for job in jobs if job.alive]:
            for job in alive if self._at_once else ():
                end_job(job)
            self._look()
            time.sleep(LOOK_SECONDS)
        return True

    def _ask(self, entry: Entry) -> Job | None:
        """Takes a run out of the queue and asks it to stop; returns the job that it has."""
        run = read_run(self.queue.path_of(entry))
        request_stop(run) if run.state in ACTIVE else self.queue.remove(entry)
        return read_job(self.queue.root / JOBS_DIR / entry.job) if entry.job else None


def _numbers() -> list[int]:
    hangup = getattr(signal, "SIGHUP", None)
    kept = hangup is not None and signal.getsignal(hangup) == signal.SIG_IGN  # as under nohup
    return [signal.SIGINT, signal.SIGTERM, *([hangup] if hangup is not None and not kept else [])]


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Whatever handles signals now does so again afterwards."""
    before = {number: signal.getsignal(number) for number in _numbers()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
