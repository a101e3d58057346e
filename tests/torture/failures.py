"""K9 to K12 and K14: a disk that fills or fails, a folder that is read-only, memory, numbers."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import torch

from tests.torture.cells import PARTS, STEPS
from tests.torture.trials import Trial
from tests.training.killing import nth, wrap
from workbench import cli
from workbench.errors import StorageError
from workbench.pipeline import pipeline
from workbench.store import RunWriter
from workbench.training import checkpoint_files
from workbench.training.accumulation import Accumulation
from workbench.training.checkpoint_folder import CheckpointFolder

DISK = "40m"
ALLOCATION = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000 bytes"


def full_disk(trial: Trial) -> None:
    """K9: the disk fills in the first, second or a later save; a real one where one may mount."""
    call = 1 + trial.index % 4
    ballast = trial.root / "ballast"
    # The smallest checkpoint has six files, which take 4 KiB each.
    spare = trial.draw.choice([0, 4096, 12_000, 20_000])

    def filled(save: Callable[..., int], *arguments: Any) -> int:
        if trial.mounted:
            fill(ballast, spare)
        else:
            wrap(os, "fsync", lambda _: _failing_with(errno.ENOSPC))
        return save(*arguments)

    trial.mount(DISK)
    code = trial.event(lambda: wrap(CheckpointFolder, "save_step", nth(call, filled)))
    ballast.unlink(missing_ok=True)
    trial.expect(code != 0, "it ended as if nothing had happened")
    told = trial.run.reason
    trial.expect("the disk is full" in told, f"the reason is {told!r}", "I3")
    if "checkpoint" in told:
        where = str(trial.path / "checkpoints")
        trial.expect(where in told and "needed" in told and "free" in told, told)
    trial.expect(not list((trial.path / "checkpoints").glob(".*.tmp")), "a part was left", "I1")
    trial.go_on()


def fill(ballast: Path, spare: int) -> None:
    """Takes all space of a file system but a few bytes."""
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(2**16))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - spare))


def _failing_with(code: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def read_only_folder(trial: Trial) -> None:
    """K10: refused before anything is loaded. Root may write anywhere but on such a mount."""
    locked = trial.root / "locked"
    locked.mkdir(mode=0o555)
    if os.geteuid() == 0 and not trial.mount_at(locked, "size=1m,ro"):
        return

    def start() -> int:
        return cli.main(["run", str(trial.cell.file), "--runs", str(locked)])

    def die_if_loading() -> None:
        wrap(pipeline, "make_accelerator", lambda _: lambda *_: os._exit(99))

    code = trial.end(trial.fork(start, die_if_loading))
    trial.expect(code == StorageError.exit_code, f"exit code {code}")
    said = trial.said.read_text()
    words = "Read-only file system" if os.geteuid() == 0 else "Permission denied"
    trial.expect(str(locked) in said and words in said, said)
    trial.expect(not list(locked.iterdir()), "something was left there", "I1")
    trial.go_on()


def failing_disk(trial: Trial) -> None:
    """K11: a quota or an input/output error at some fsync of a save."""
    code = (errno.EIO, errno.EDQUOT)[trial.index % 2]
    call, sync = trial.one_of(1, 3), trial.one_of(1, 7)

    def failing(save: Callable[..., int], *arguments: Any) -> int:
        wrap(os, "fsync", nth(sync, _failing_with(code)))
        return save(*arguments)

    def prepare() -> None:
        wrap(RunWriter, "_beat", lambda _: lambda _: None)  # it syncs too, and may fail in peace
        wrap(CheckpointFolder, "save_step", nth(call, failing))

    trial.event(prepare)
    words = "quota" if code == errno.EDQUOT else "Input/output error"
    trial.expect(trial.run.state == "failed", f"it is {trial.run.state}", "I3")
    trial.expect(words in trial.run.reason, trial.run.reason, "I3")
    trial.go_on()


def out_of_memory(trial: Trial) -> None:
    """K12: the error that torch raises, in some micro-batch; by hand, or at a real limit."""

    def fail(*_: object) -> None:
        raise RuntimeError(ALLOCATION)

    def exceed(*_: object) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        used = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, hard))
        try:
            torch.empty(2**30)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    call = trial.one_of(1, STEPS * PARTS)
    trial.event(
        lambda: wrap(Accumulation, "_losses", nth(call, exceed if trial.index % 2 else fail))
    )
    trial.expect(trial.run.state == "failed", f"it is {trial.run.state}", "I3")
    trial.expect(trial.run.reason.startswith("out of memory"), trial.run.reason, "I3")
    trial.go_on()


def not_finite(trial: Trial) -> None:
    """K14: a loss or gradient of nan or inf ends the run before the optimizer steps."""
    step, value = trial.one_of(1, STEPS), trial.draw.choice([float("nan"), float("inf")])
    in_gradient = trial.index % 2 == 0

    def spoilt(accumulate: Callable[..., Any], self: Accumulation, *arguments: Any) -> Any:
        done = accumulate(self, *arguments)
        if not in_gradient:
            return replace(done, loss=value)
        gradients = (each.grad for each in self.adapted.trainable().values())
        next(each for each in gradients if each is not None).fill_(value)
        return done

    trial.event(lambda: wrap(Accumulation, "accumulate", nth(step, spoilt)))
    trial.expect(trial.run.state == "failed", f"it is {trial.run.state}", "I3")
    told = trial.run.reason
    trial.expect(f"step {step}" in told and ("nan" in told or "inf" in told), told, "I3")
    for path in CheckpointFolder(trial.path / "checkpoints").newest_first():
        trained = checkpoint_files.load(path)[0]["trainable"].values()
        trial.expect(all(torch.isfinite(t).all() for t in trained), f"{path.name}: {value}", "I2")
    trial.go_on()
