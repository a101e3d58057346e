"""The worker of a queue: it starts queued runs, one per slot, whatever became of earlier ones.

Each run is a job of its own. A worker that dies takes no run with it; the next one finds them in
the queue, waits for those that live and resumes those that do not.
"""

import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import yaml
from pydantic import ValidationError

from workbench.errors import WorkbenchError
from workbench.jobs.job_records import JOBS_DIR, Job, read_job, tail
from workbench.jobs.launch import new_name, resume, start
from workbench.jobs.stop_run import ask, wait_or_kill
from workbench.jobs.webhook import VARIABLE, announce, check_webhook
from workbench.jobs.worker_records import (
    WorkerRecord,
    as_slot,
    default_slots,
    devices_of,
    environment_of,
    list_workers,
    registered,
    size_of,
)
from workbench.recipe import Recipe
from workbench.recipe.renamed import as_today
from workbench.store import ACTIVE, Entry, Queue, open_run, read_run

LOOK_SECONDS = 0.5
MOST_ATTEMPTS = 3
"""So often is a run begun that dies together with its worker: it may be what kills the machine."""

Observer = Callable[[str], None]


def fits(entry: Entry, slot: str) -> bool:
    """True when a run may have a slot: the devices it asked for, and enough for its processes."""
    size = size_of(slot)
    return entry.devices in (None, ",".join(devices_of(slot))) and (
        size is None or entry.processes <= size
    )


def work(runs_dir: Path | str, slots: Sequence[str], say: Observer) -> None:
    """Works on a queue in this process until nothing waits that it can run.

    Args:
        slots: the devices, one run at a time on each; empty for one slot per GPU.

    Raises:
        RunRefused: when another worker has one of the devices.
    """
    worker = Worker(runs_dir, [as_slot(slot) for slot in slots] or default_slots(), say)
    worker.run()
    worker.tell()


class Worker:
    def __init__(
        self,
        runs_dir: Path | str,
        slots: Sequence[str],
        say: Observer,
        warn: Observer | None = None,
    ) -> None:
        self.queue = Queue(runs_dir)
        self.slots = tuple(slots)
        self.say, self.warn = say, warn or say
        self._host = socket.gethostname()
        self._leave = False
        self._held: set[str] = set()
        """Runs that this worker does not begin again."""
        self._ended: list[Path] = []

    def run(self) -> None:
        check_webhook()
        with registered(self.queue, self.slots) as record:
            self._catch_signals()
            self.say(f"works on {self.queue.folder} with devices {' '.join(self.slots)}")
            for entry in self._taken():
                self._look_after(entry, adopted=True)
            self._begin()
            while not self._leave:
                for entry in self._taken():
                    self._look_after(entry)
                stopping = self._asked_to_stop(record)
                if not stopping:
                    self._fill()
                # Under the lock: what is added now is found here, or finds no worker any more.
                with self.queue.changing():
                    if not self._taken() and (stopping or self._next(self.slots) is None):
                        record.file.unlink(missing_ok=True)
                        break
                self._look()
                time.sleep(LOOK_SECONDS)
        self.say("left; started runs continue" if self._leave else "done")

    def tell(self) -> None:
        """Tells the webhook of the runs that have ended."""
        if failed := announce([read_run(path) for path in self._ended]):
            self.say(failed)

    def _begin(self) -> None:
        """Once the devices are held."""

    def _look(self) -> None:
        """Before each wait."""

    def _environment(self, slot: str) -> dict[str, str]:
        return environment_of(slot)

    def _catch_signals(self) -> None:
        def leave(_number: int, _frame: FrameType | None) -> None:
            self._leave = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, leave)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _taken(self) -> list[Entry]:
        """What runs on this worker's slots, and on those of workers that are no more."""
        others = {
            slot
            for worker in list_workers(self.queue)
            if worker.host == self._host and not set(worker.slots) & set(self.slots)
            for slot in worker.slots
        }
        entries = self.queue.list()
        return [e for e in entries if e.job and e.host == self._host and e.slot not in others]

    def _next(self, slots: Sequence[str]) -> Entry | None:
        waiting = (e for e in self.queue.list() if not e.job and e.id not in self._held)
        return next((e for e in waiting if any(fits(e, slot) for slot in slots)), None)

    def _fill(self) -> None:
        busy = {entry.slot for entry in self._taken()}
        # Of a worker that is no more, which may have shared devices otherwise.
        left = {device for slot in busy - {*self.slots} for device in devices_of(slot)}
        free = [slot for slot in self.slots if slot not in busy and not left & {*devices_of(slot)}]
        for slot in free:
            with self.queue.changing():
                found = self._next([slot])
                marks = {"job": new_name(), "host": self._host, "slot": slot}
                entry = self.queue.update(found, **marks) if found is not None else None
            if entry is not None:
                self._start(entry)

    def _start(self, entry: Entry) -> None:
        path = self.queue.path_of(entry)
        before = read_run(path, job=entry.job)
        # This process tells the webhook of all of them.
        environment = self._environment(entry.slot) | {VARIABLE: ""}
        try:
            saved = any(path.is_dir() for path in (before.path / "checkpoints").glob("*"))
            if entry.begun and saved and before.state in ("stopped", "interrupted"):
                self.say(f"{entry.id}: resumed")
                resume(before, name=entry.job, environment=environment)
            else:
                self.say(f"{entry.id}: started")
                start(
                    [_recipe_of(entry)],
                    self.queue.root,
                    seeds=[entry.seed],
                    force=entry.force,
                    processes=entry.processes,
                    name=entry.job,
                    environment=environment,
                )
        except (WorkbenchError, ValidationError, OSError) as error:
            self.warn(f"{entry.id}: cannot be started now and stays queued\n{error}")
            self._hold(entry)

    def _hold(self, entry: Entry, *, begun: bool = False) -> None:
        """Leaves a run to the next worker."""
        self._held.add(entry.id)
        self.queue.update(entry, job="", begun=entry.begun or begun)

    def _look_after(self, entry: Entry, *, adopted: bool = False) -> None:
        """Sees whether a run has ended, and what that means for its place in the queue."""
        path = self.queue.path_of(entry)
        job = read_job(self.queue.root / JOBS_DIR / entry.job)
        if job is not None and job.alive:
            return  # before the run is read: the last words of a job are about that
        run = read_run(path, job=entry.job)
        opened = run.status.get("job") == entry.job
        if opened and run.state in ACTIVE:
            return
        died = run.state in ("stopped", "interrupted") if opened else run.state != "finished"
        # What was ended because the command that ran it was killed is not to blame for it.
        orphan = bool(opened and run.status.get("ended_with_command"))
        adopted, attempts = adopted or orphan, entry.attempts + (not orphan)
        if adopted and died and attempts < MOST_ATTEMPTS:
            # What died together with an earlier worker waits again, unless that keeps happening.
            self.queue.update(entry, job="", begun=True, attempts=attempts)
        elif adopted and died:
            many = f"{MOST_ATTEMPTS} attempts that died with their worker"
            self.say(f"{entry.id}: given up after {many}")
            self._remove(entry)
        elif opened and run.state == "stopped":
            # Not by `workbench stop`, which takes it out: perhaps the machine is going down.
            self.say(f"{entry.id}: stopped from outside; the next worker resumes it")
            self._hold(entry, begun=True)
        else:
            if not opened and run.state != "finished":
                self._record_failure(entry, path, job)
            self.say(f"{entry.id}: {read_run(path, job=entry.job).state}")
            self._remove(entry)

    def _remove(self, entry: Entry) -> None:
        self.queue.remove(entry)
        self._ended.append(self.queue.path_of(entry))

    def _record_failure(self, entry: Entry, path: Path, job: Job | None) -> None:
        """A run whose job ended before it could open the folder has failed, visibly."""
        said = tail(job.folder / "log.txt", 2000).strip() if job is not None else ""
        reason = f"its process ended before the run began\n{said or 'no output'}"
        try:
            writer = open_run(
                self.queue.root,
                _recipe_of(entry),
                entry.seed,
                force=entry.force,
                resume=path.exists(),
                job=entry.job,
            )
        except WorkbenchError as error:  # another process has the run, and reports it
            self.say(f"{entry.id}: {error}")
            return
        writer.close("failed", reason)

    def _asked_to_stop(self, record: WorkerRecord) -> bool:
        """True once somebody asked; with ``now``, what runs is stopped and waits again."""
        if not record.stop_file.exists():
            return False
        if record.stop_file.read_text(encoding="utf-8") == "now":
            read = (read_run(self.queue.path_of(e), job=e.job) for e in self._taken())
            running = [run for run in read if run.state in ACTIVE and run.status.get("pid")]
            for run in running:
                ask(run)
            for run in running:
                wait_or_kill(run)
        return True


def _recipe_of(entry: Entry) -> Recipe:
    return Recipe.model_validate(as_today(yaml.safe_load(entry.recipe)))
