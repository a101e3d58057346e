"""Which checkpoints of a run exist, which are needed, and which one it resumes from.

    step-000040/   everything that the training resumes from; the newest two are kept
    best-000030/   the best state on validation so far; that of every step-* that is kept

Nothing is deleted before what replaces it has been written, renamed and read back.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import TrainingError
from workbench.store import drop_folder, leftovers, publish
from workbench.store.leftovers import number_of
from workbench.training import checkpoint_files

KEPT = 2
"""Checkpoints to resume from, so that one that is damaged leaves another."""
MOST = KEPT + 1
"""Checkpoints of a kind that lie there at once: the next one is written before the oldest goes."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint that was found whole."""

    path: Path
    tensors: checkpoint_files.Tensors
    state: dict[str, Any]


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints of one run; only its main process writes."""

    path: Path

    def step(self, number: int) -> Path:
        """Where a training can resume after so many steps."""
        return self.path / f"step-{number:06}"

    def best(self, number: int) -> Path:
        """Where the weights lie that were the best after so many steps."""
        return self.path / f"best-{number:06}"

    def save_step(
        self,
        number: int,
        tensors: checkpoint_files.Tensors,
        state: dict[str, Any],
        best: int | None,
    ) -> int:
        """Writes what the training resumes from, then drops the oldest; returns bytes written.

        Args:
            best: step of the best state so far, which this one refers to.
        """
        written = checkpoint_files.save(self.step(number), tensors, state)
        for old in self.newest_first()[KEPT:]:
            drop_folder(old)
        self.drop_unneeded(best)
        return written

    def save_best(
        self, number: int, tensors: checkpoint_files.Tensors, state: dict[str, Any]
    ) -> int:
        """Writes the best state, then drops those that nothing refers to; returns bytes written."""
        written = checkpoint_files.save(self.best(number), tensors, state)
        self.drop_unneeded(number)
        return written

    def newest_first(self) -> list[Path]:
        """The checkpoints that a training can resume from, without a look inside."""
        return sorted(self.path.glob("step-*"), key=number_of, reverse=True)

    def latest_valid(self, *, with_best: bool) -> tuple[Loaded | None, list[str]]:
        """The newest one that is whole, with the best state that it refers to if that is wanted.

        Also returns, in words, what is wrong with each newer one. Those are set aside as
        ``damaged-*``: nothing is lost that somebody may want to look into.
        """
        damages: list[str] = []
        for path in self.newest_first():
            try:
                tensors, state = checkpoint_files.load(path)
                _refuse_incomplete(path, tensors, state)
                number = state["best"]["step"]
                if with_best and number is not None:
                    checkpoint_files.load(self.best(number))
            except TrainingError as error:
                damages.append(f"{Path(error.where).name}: {error.what}")
                aside = path.with_name(f"damaged-{path.name}")
                shutil.rmtree(aside, ignore_errors=True)
                publish(path, aside)
                continue
            return Loaded(path, tensors, state), damages
        return None, damages

    def drop_unneeded(self, best: int | None) -> None:
        """Drops best states but the present one and those that a kept checkpoint refers to."""
        needed = {best}
        for path in self.newest_first():
            state = checkpoint_files.read_state(path) or {}
            needed.add((state.get("best") or {}).get("step"))
        for path in self.path.glob("best-*"):
            if number_of(path) not in needed:
                drop_folder(path)

    def remove_leftovers(self) -> None:
        """Removes what processes left behind that died while writing.

        A run has one writer, so at its start nobody else is writing.
        """
        for left in leftovers.half_written(self.path):
            leftovers.remove(left)

    def finish(self) -> None:
        """Leaves nothing but the best state once the run has its result."""
        leftovers.keep_best(self.path)


def _refuse_incomplete(
    path: Path, tensors: checkpoint_files.Tensors, state: dict[str, Any]
) -> None:
    """Raises where a checkpoint is as it was written and still not enough to resume from."""
    lacking = [
        name for name in ("trainable", "optimizer", "random", "method") if name not in tensors
    ]
    random = tensors.get("random", {})
    for process in range(state.get("processes", 0)):
        if not any(name.startswith(f"{process}|") for name in random):
            lacking.append(f"the random state of process {process}")
    if lacking:
        raise TrainingError(f"{' and '.join(lacking)} is missing", where=str(path))
