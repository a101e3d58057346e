"""A disk that fills in the middle of a run and stays full: the run says so, and resumes."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.killed_runs import begin, exported_difference, the_recipe
from tests.small_disk import fill_bytes, fill_inodes, small_disk
from tests.training.killing import nth, wrap
from workbench.pipeline import pipeline, runner, setup
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, RunWriter, read_run, run_path
from workbench.store.run_writer import RESERVE
from workbench.training.checkpoint_folder import CheckpointFolder

Make = Callable[..., Recipe]
Train = Callable[..., Run]

STAGES: dict[str, tuple[Any, str, int, str]] = {
    "before the run is opened": (runner, "open_run", 1, "a run could not be written"),
    "at its first event": (pipeline.Pipeline, "_phase", 1, "status could not be written"),
    "while the base is loaded": (setup, "load_base", 1, "could not be written"),
    "in a step": (CheckpointFolder, "save_best", 1, "could not be written"),
    "in a checkpoint": (CheckpointFolder, "save_step", 2, "the checkpoint could not be written"),
    "before the test": (pipeline, "score_split", 1, "the predictions could not be written"),
    "in the export": (pipeline, "write_weights", 1, "the adapter could not be written"),
    "at the result": (RunWriter, "finish", 1, "result.json could not be written"),
}
"""Where it fills (owner, function, call), and what cannot be written then."""


def fill_quota(_: Path) -> None:
    """From now on nothing new is kept and a deleted file gives nothing back, as over a quota: only
    what lies in blocks that were written before can be changed."""
    fsync = os.fsync

    def over_quota(descriptor: int) -> None:
        if os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")) != RESERVE:
            folder = os.path.isdir(f"/proc/self/fd/{descriptor}")
            if not folder:
                raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        fsync(descriptor)

    os.fsync = over_quota  # type: ignore[assignment]


FILLS = {"bytes": fill_bytes, "inodes": fill_inodes, "quota": fill_quota}
WORDS = {
    "bytes": ("the disk is full", "bytes needed", " 0 bytes free"),
    "inodes": ("the disk is full", "needed (one for each file), ", "delete files"),
    "quota": ("the disk is full by its owner's quota", "bytes needed", "bytes free"),
}
ALWAYS = {("in a checkpoint", "bytes"), ("in the export", "inodes"), ("at the result", "quota")}


@contextmanager
def disk(place: Path, fill: str) -> Iterator[Path]:
    """A runs folder that may be filled; the quota is made up, and needs no disk of its own."""
    with nullcontext(place) if fill == "quota" else small_disk(place, "size=40m,nr_inodes=400"):
        yield place


@pytest.mark.parametrize(
    ("stage", "fill"),
    [
        pytest.param(stage, fill, marks=() if (stage, fill) in ALWAYS else pytest.mark.slow)
        for stage in STAGES
        for fill in FILLS
    ],
)
def test_a_run_on_a_disk_that_stays_full_says_so_and_resumes(
    stage: str, fill: str, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    owner, name, call, told = STAGES[stage]
    recipe = the_recipe(make_recipe, "lora")
    whole = train(recipe, 0, tmp_path / "whole")
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(recipe))
    with disk(tmp_path / "disk", fill) as runs:
        ballast = runs / "ballast"

        def filled(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
            FILLS[fill](ballast)
            return function(*arguments, **options)

        def prepare() -> None:
            wrap(owner, name, nth(call, filled))

        child = begin("run", str(file), "--runs", str(runs), prepare=prepare)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        run = read_run(run_path(runs, recipe, 0))
        if stage == "before the run is opened":
            assert not run.path.exists()
        else:
            assert run.state == "failed" and run.status["failure"] == "disk", run.reason
            assert run.status["exit_code"] == 1 and str(runs) in run.reason
            assert told in run.reason and all(each in run.reason for each in WORDS[fill])
        shutil.rmtree(ballast, ignore_errors=True)
        resumed = train(recipe, 0, runs, resume=run.path.exists())
        assert resumed.state == "finished", resumed.reason
        assert not exported_difference(whole, resumed)
        assert not (run.path / RESERVE).exists()
