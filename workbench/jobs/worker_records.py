"""Who works on a queue, and on which devices: one worker each, and no device twice.

runs/.queue/
    workers/<host>-<pid>.json   a worker and its slots
    workers/<host>-<pid>.stop   it was asked to stop: ``now``, or after what is running
    slots/<host>@<device>.lock  held by the worker that uses a device
    log.txt                     what workers in the background said
"""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import Timeout
from pydantic import BaseModel, ValidationError

from workbench.errors import RunRefused, UsageError
from workbench.store import (
    Queue,
    describe_process,
    is_alive,
    lock_of,
    read_record,
    write_json,
    write_text,
)

WHOLE_MACHINE = "all"
"""The slot of a machine without GPUs: one run at a time, which sees whatever there is."""
CPU = "cpu"
SHARED = "#"
"""Before the number of a slot whose devices other slots of its worker have too."""
HANDOVER_SECONDS = 2.0
"""How long to wait for the devices of a worker that is just leaving."""


class WorkerRecord(BaseModel, frozen=True):
    """A worker as it has written itself down."""

    file: Path
    host: str
    pid: int
    slots: tuple[str, ...]
    """The devices of each run that it executes at the same time."""

    @property
    def stop_file(self) -> Path:
        """Where it looks for a request to stop."""
        return self.file.with_suffix(".stop")

    @property
    def stopping(self) -> bool:
        return self.stop_file.exists()


def list_workers(queue: Queue) -> list[WorkerRecord]:
    """The living workers of a queue; those of other machines are believed."""
    found = []
    for file in sorted(_folder(queue).glob("*.json")):
        record = read_record(file) or {}
        with suppress(ValidationError, TypeError):
            worker = WorkerRecord(file=file, **record)
            if worker.host != socket.gethostname() or is_alive(record):
                found.append(worker)
    return found


def _folder(queue: Queue) -> Path:
    return queue.folder / "workers"


@contextmanager
def registered(queue: Queue, slots: Sequence[str]) -> Iterator[WorkerRecord]:
    """Holds the devices of some slots and says so, as long as the context lasts.

    Raises:
        RunRefused: when another worker of this machine has one of the devices.
    """
    host = socket.gethostname()
    file = _folder(queue) / f"{host}-{os.getpid()}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for device in sorted({device for slot in slots for device in devices_of(slot)}):
            lock = lock_of(queue.folder / "slots" / f"{host}@{device}.lock")
            try:
                stack.enter_context(lock.acquire(timeout=HANDOVER_SECONDS))
            except Timeout:
                here = [worker for worker in list_workers(queue) if worker.host == host]
                owners = [w.pid for w in here if any(device in devices_of(s) for s in w.slots)]
                who = f"process {owners[0]}" if owners else "another worker"
                raise RunRefused(
                    f"{who} works on this queue with device {device} already",
                    where=str(queue.folder),
                    why="a device has one worker, and a run has its devices for itself",
                    fix="`workbench queue` shows what it does; `workbench queue stop` ends it",
                ) from None
        living = {worker.file for worker in list_workers(queue)}
        for dead in {*file.parent.glob(f"{host}-*.json")} - living:
            dead.with_suffix(".stop").unlink(missing_ok=True)
            dead.unlink(missing_ok=True)
        record = {"host": host, **describe_process(os.getpid()), "slots": list(slots)}
        write_json(file, record | {"started_at": time.time()})
        worker = WorkerRecord(file=file, **record)
        try:
            yield worker
        finally:
            # Before the locks go: a successor may have this pid.
            for each in (worker.stop_file, file):
                each.unlink(missing_ok=True)


def ask_to_stop(worker: WorkerRecord, *, now: bool) -> None:
    """Asks a worker to stop: after what is running, or together with it."""
    write_text(worker.stop_file, "now" if now else "")


def default_slots() -> tuple[str, ...]:
    """One slot per GPU of this machine, or the whole machine when it has none.

    Asked of ``CUDA_VISIBLE_DEVICES`` or nvidia-smi, because importing torch for it would cost a
    long-lived process hundreds of megabytes.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return _names(visible) or (WHOLE_MACHINE,)
    return tuple(row[0] for row in query_gpus("index") if row[0].isdigit()) or (WHOLE_MACHINE,)


def query_gpus(*fields: str, timeout: float = 60) -> list[list[str]]:
    """The fields of each GPU as nvidia-smi prints them; empty where it does not answer."""
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [[part.strip() for part in line.split(",")] for line in shown.stdout.splitlines()]


def as_slot(devices: str) -> str:
    """A slot as a user writes it, put in one form.

    Raises:
        UsageError: when it names no devices, or one twice.
    """
    names = _names(devices)
    usual = all(name.replace("-", "").replace("/", "").isalnum() for name in names)
    if not names or not usual or len(set(names)) < len(names):
        raise UsageError(
            f"--devices {devices}",
            why="a slot is some devices that one run has for itself",
            fix="e.g. --devices 0 or --devices 0,1 (GPUs), --devices cpu",
        )
    return ",".join(names)


def shared_slots(devices: str, runs: int) -> tuple[str, ...]:
    """The slots of so many runs at once on the same devices: ``0#1`` and ``0#2``."""
    return tuple(f"{devices}{SHARED}{number}" for number in range(1, runs + 1))


def devices_of(slot: str) -> tuple[str, ...]:
    """The devices of a slot, which it may share with others."""
    return tuple(slot.partition(SHARED)[0].split(","))


def size_of(slot: str) -> int | None:
    """How many processes a slot has devices for; None where that is not limited."""
    devices = devices_of(slot)
    return None if devices in ((CPU,), (WHOLE_MACHINE,)) else len(devices)


def environment_of(slot: str) -> dict[str, str]:
    """What a run is given so that it sees the devices of its slot alone."""
    devices = ",".join(devices_of(slot))
    if devices == WHOLE_MACHINE:
        return {}
    if devices == CPU:
        return {"CUDA_VISIBLE_DEVICES": ""}
    # nvidia-smi counts in the order of the bus, CUDA by speed unless it is told to.
    order = {} if "CUDA_VISIBLE_DEVICES" in os.environ else {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return {"CUDA_VISIBLE_DEVICES": devices, **order}


def _names(devices: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in devices.split(",") if name.strip())
