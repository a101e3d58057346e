"""A power cut at any call of a run: what is found then is whole, and a resume goes on from it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.crash_order import Recorder, Tree, lay_out, read_states, save_states
from tests.killed_runs import Unchecked, exported_difference, the_recipe
from tests.training.killing import in_child, without_forecast, wrap
from workbench.pipeline import pipeline
from workbench.recipe.schema import Recipe
from workbench.store import Run, RunWriter, read_run, run_path
from workbench.training.checkpoint_files import STATE, find_damage
from workbench.training.checkpoint_folder import CheckpointFolder

Make = Callable[..., Recipe]
Train = Callable[..., Run]
FINAL = ("result.json", "predictions.parquet", "recipe.yaml", "environment.json")


def record(recipe: Recipe, place: Path, kept: Path) -> None:
    """Keeps all that a power cut may leave of a run, which is trained in a process of its own."""

    def work() -> None:
        from workbench.pipeline.runner import run_recipe

        without_forecast()
        wrap(RunWriter, "_beat", lambda _: lambda _: None)  # another thread, and writes no more
        runs = place / "runs"
        runs.mkdir()
        recorder = Recorder(runs)

        def noted(save: Callable[..., int]) -> Callable[..., int]:
            def saved(folder: CheckpointFolder, step: int, *arguments: Any) -> int:
                written = save(folder, step, *arguments)
                recorder.known["saved"] = step
                return written

            return saved

        wrap(CheckpointFolder, "save_step", noted)
        recorder.start()
        run = run_recipe(recipe, 0, runs, loader=Unchecked())  # type: ignore[arg-type]
        recorder.see()
        assert run.state == "finished", run.reason
        save_states(recorder, kept)

    assert in_child(work) is None


def faults(run: Run, known: dict[str, Any], whole: Run) -> list[str]:
    """What is wrong with a state, whichever it is."""
    if not run.path.exists():
        return ["a saved run is gone"] if known else []
    if run.state not in ("interrupted", "finished", "failed") or not run.recipe_text():
        return [f"it is {run.state}: {run.reason}"]
    found = []
    folder = CheckpointFolder(run.path / "checkpoints")
    named = [*folder.path.glob("step-*"), *folder.path.glob("best-*")]
    found += [f"{path.name}: {damage}" for path in named if (damage := find_damage(path))]
    if run.state == "finished":
        names = [*FINAL, *(f"adapter/{path.name}" for path in whole.adapter.iterdir())]
        return found + [f"{name} is not whole" for name in names if _differs(name, run, whole)]
    steps = folder.newest_first()
    newest = json.loads((steps[0] / STATE).read_text()) if steps and not found else {"step": 0}
    if newest["step"] < known.get("saved", 0):
        found.append(f"step {known['saved']} was saved, the newest is {newest['step']}")
    elif steps and not found:
        best = newest["best"]["step"]
        if best is not None and not folder.best(best).is_dir():
            found.append(f"{folder.best(best).name} is gone")
        log = (run.path / "events.jsonl").read_bytes()[: newest["mark"]]
        rows = [json.loads(line) for line in log.splitlines()]
        logged = [row["step"] for row in rows if row["kind"] == "step"]
        if logged != [*range(1, newest["step"] + 1)]:
            found.append("the log lacks steps that were saved")
    return found


def _differs(name: str, run: Run, whole: Run) -> bool:
    file = run.path / name
    return not file.exists() or file.read_bytes() != (whole.path / name).read_bytes()


@pytest.mark.parametrize(
    ("looked_at", "resumed"), [(400, 3), pytest.param(10**6, 40, marks=pytest.mark.nightly)]
)
def test_a_power_cut_at_any_call_leaves_a_run_that_resumes(
    looked_at: int,
    resumed: int,
    make_recipe: Make,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "check_folder", lambda *_: 0.0)
    recipe = the_recipe(make_recipe, "lora")
    kept = tmp_path / "kept"
    record(recipe, tmp_path, kept)
    whole = read_run(run_path(tmp_path / "runs", recipe, 0))
    draw, states = random.Random(1), read_states(kept)
    assert len(states) > 400
    wrong: dict[str, int] = {}
    going_on: list[tuple[Tree, dict[str, Any]]] = []
    for number, (tree, known) in enumerate(draw.sample(states, min(looked_at, len(states)))):
        place = tmp_path / "states" / str(number)
        lay_out(tree, kept, place)
        run = read_run(run_path(place, recipe, 0))
        for fault in faults(run, known, whole):
            wrong[fault] = wrong.get(fault, 0) + 1
        if run.state == "interrupted":
            going_on.append((tree, known))
        shutil.rmtree(place)
    assert not wrong
    for number, (tree, known) in enumerate(draw.sample(going_on, resumed)):
        runs = tmp_path / "resumed" / str(number)
        lay_out(tree, kept, runs)
        run = train(recipe, 0, runs, resume=True)
        assert run.state == "finished", run.reason
        assert not exported_difference(whole, run)
        begun = [row["step"] for row in run.events()[0] if row["kind"] == "resumed"]
        assert begun[0] >= known.get("saved", 0)
