"""One trial: a runs folder of its own, real processes in it, and what was found wrong."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.killed_runs import Unchecked
from tests.torture import invariants
from tests.torture.cells import Cell
from tests.training.killing import without_forecast, wrap
from workbench import cli
from workbench.jobs.supervisor import PR_SET_CHILD_SUBREAPER
from workbench.pipeline import pipeline, runner
from workbench.store import Run, read_run, run_path
from workbench.training.checkpoint_folder import CheckpointFolder

LONGEST_SECONDS = 120.0
CLONE_NEWNS = 0x20000
GO_ON = ("stopped", "failed", "interrupted")

Prepare = Callable[[], object]


def nothing() -> None:
    """The preparation of a process that nothing is to happen to."""


@dataclass
class Trial:
    """An event that befalls the run of a cell, in a runs folder of its own."""

    cell: Cell
    index: int
    root: Path
    draw: random.Random
    kills: int = 0
    """Processes that a SIGKILL ended."""
    survivors: int = 0
    mounted: bool = False
    """The runs folder is a file system of its own."""
    faults: list[tuple[str, str]] = field(default_factory=list)
    """What did not hold: an invariant (or the row's own claim, ``own``), and how."""

    def __post_init__(self) -> None:
        # Beside the runs folder, whose disk may be full.
        self.said = self.root.with_name(f"{self.root.name}.txt")
        self.path = run_path(self.root, self.cell.recipe, 0)
        self.path.parent.mkdir(parents=True)
        self._neighbour = self.path.with_name("neighbour-s0-00000000")
        shutil.copytree(self.cell.reference, self._neighbour)
        self._before = [invariants.digest(p) for p in (self._neighbour, self.cell.base)]
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def mount(self, size: str) -> None:
        """Puts a file system of some size in the place of the runs folder, if that is allowed."""
        if self.mount_at(self.root, f"size={size}"):
            self.path.parent.mkdir(parents=True)
            shutil.copytree(self.cell.reference, self._neighbour)
            self.mounted = True

    def mount_at(self, place: Path, options: str) -> bool:
        """Mounts a file system in memory, if that is allowed; false otherwise.

        Only this process and those below it see it, and it goes with them.
        """
        if ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0:
            return False
        commands = (
            ["mount", "--make-rprivate", "/"],
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
        )
        return all(
            subprocess.run(each, check=False, capture_output=True).returncode == 0
            for each in commands
        )

    @property
    def run(self) -> Run:
        """The run as anybody would read it now."""
        return read_run(self.path)

    def one_of(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, drawn by this trial."""
        return self.draw.randint(low, high)

    def expect(self, holds: object, words: str, claim: str = "own") -> None:
        """Notes a fault unless something holds."""
        if not holds:
            self.faults.append((claim, words))

    # --- processes --------------------------------------------------------------------------

    def begin(self, prepare: Prepare = nothing, *options: str) -> int:
        """Forks a process that runs the recipe, or continues with it; returns its pid."""
        goes_on = self.run.state in GO_ON
        what = ["resume", str(self.path)] if goes_on else ["run", str(self.cell.file)]
        return self.fork(lambda: cli.main([*what, "--runs", str(self.root), *options]), prepare)

    def fork(self, work: Callable[[], int | None], prepare: Prepare = nothing) -> int:
        """Forks a process for some work; what it prints goes to ``said``."""
        child = os.fork()
        if child:
            return child
        code = 70
        try:
            said = os.open(self.said, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
            os.dup2(said, 1)
            os.dup2(said, 2)
            wrap(CheckpointFolder, "finish", lambda _: CheckpointFolder.remove_leftovers)
            wrap(pipeline, "check_folder", lambda _: lambda *_: 0.0)
            wrap(runner, "PlainLoader", lambda _: Unchecked)
            without_forecast()
            prepare()
            code = work() or 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def end(self, child: int, seconds: float = LONGEST_SECONDS) -> int:
        """Waits for a child; its exit code, negative for a signal, as ``subprocess`` has it."""
        deadline = time.monotonic() + seconds
        while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > deadline:
                self.expect(False, f"it had not ended after {seconds:.0f} s", "I4")
                os.kill(child, signal.SIGKILL)
            time.sleep(0.002)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.kills += code == -signal.SIGKILL
        return code

    def live(self, prepare: Prepare = nothing, *options: str) -> int:
        """Runs, or goes on, until the end that ``prepare`` has set up; returns the exit code."""
        return self.end(self.begin(prepare, *options))

    # --- checks -----------------------------------------------------------------------------

    def check(self, *, checkpoints: bool = True) -> None:
        """I1 to I4, I7 and I8; a run that has finished undisturbed keeps no checkpoints."""
        found = invariants.after_event(self.path, self.cell.whole)
        self._note(each for each in found if checkpoints or each[0] != "I2")
        for claim, place, before in zip(
            ("I7", "I8"), (self._neighbour, self.cell.base), self._before, strict=True
        ):
            self.expect(invariants.digest(place) == before, f"{place} has changed", claim)

    def go_on(self, *options: str) -> None:
        """Goes on to the end, unless it is there: I5 and I6, and the others once more."""
        if self.run.state != "finished":
            code = self.live(nothing, *options)
            self.expect(code == 0, f"to go on ended with exit code {code}", "I5")
        self.compare()
        self.check()

    def compare(self, *, saved: bool = True, but: Sequence[str] = ()) -> None:
        """I5 and I6 of the run that has come to its end."""
        self._note(invariants.after_resume(self.path, self.cell.whole, saved=saved, but=but))

    def event(self, prepare: Prepare = nothing, *options: str) -> int:
        """An attempt that something happens to, and the checks after it."""
        code = self.live(prepare, *options)
        self.check()
        return code

    def _note(self, found: Iterable[tuple[str, str]]) -> None:
        for claim, words in found:
            self.faults.append((claim, words))
            self.survivors += claim == "I4" and words.startswith("still alive")
