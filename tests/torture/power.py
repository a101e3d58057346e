"""K27: the power goes at a call of a run, and the disk comes up with what it may come up with."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock

from tests.crash_order import lay_out, read_states
from tests.pipeline.test_crash_order import faults, record
from tests.torture.cells import Cell
from tests.torture.trials import Trial
from tests.training.killing import wrap
from workbench.pipeline import pipeline
from workbench.store import read_run, run_path
from workbench.training.checkpoint_folder import CheckpointFolder


def power_cut(trial: Trial) -> None:
    """K27: one of all states that a power cut may leave of a run; it is whole, and goes on."""
    place = _recorded(trial.cell)
    kept, recorded = place / "kept", run_path(place / "runs", trial.cell.recipe, 0)
    tree, known = trial.draw.choice(read_states(kept))
    state = trial.root / "state"
    lay_out(tree, kept, state)
    shutil.copytree(state, trial.root, dirs_exist_ok=True)
    shutil.rmtree(state)
    for fault in faults(trial.run, known, read_run(recorded)):
        trial.expect(False, fault, "I2")
    trial.check()
    trial.go_on()


def _recorded(cell: Cell) -> Path:
    """All that a power cut may leave of a cell's run; made by the first who needs it."""
    place = cell.file.parent / f"recorded-{cell.name}"
    with FileLock(f"{place}.lock"):
        if not (place / "kept").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            wrap(CheckpointFolder, "finish", lambda _: CheckpointFolder.remove_leftovers)
            wrap(pipeline, "check_folder", lambda _: lambda *_: 0.0)
            record(cell.recipe, place, place / "unfinished")
            (place / "unfinished").rename(place / "kept")
    return place
