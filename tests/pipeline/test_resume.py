"""Exact resume: a run that was killed and went on is the run that was not, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.killed_runs import (
    after_step,
    difference,
    exported_difference,
    in_backward,
    killed,
    the_recipe,
)
from tests.methods.test_contract import CASES
from tests.shared_runs import forked, resume
from tests.training.killing import die, dying_at
from workbench.pipeline import pipeline
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, drop_folder, read_run
from workbench.training import checkpoint_folder, state_dicts, stepping
from workbench.training.checkpoint_folder import CheckpointFolder

Make = Callable[..., Recipe]
Train = Callable[..., Run]
Undisturbed = Callable[[Recipe], Run]

ALWAYS = {
    *("lora", "prefix"),
    *("before the first checkpoint", "in the row of a step"),
    *("between the best state and its checkpoint", "while the adapter is exported"),
    "random numbers",
}
"""What differs most; each case takes 1 to 3 s, and the others are in the slow tier."""


def tiered(cases: Iterable[str]) -> list[Any]:
    return [c if c in ALWAYS else pytest.param(c, marks=pytest.mark.slow) for c in cases]


@pytest.fixture(autouse=True)
def _as_it_is_needed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last checkpoint of a finished run stays, to be compared; exports are not checked."""
    monkeypatch.setattr(CheckpointFolder, "finish", CheckpointFolder.remove_leftovers)
    monkeypatch.setattr(pipeline, "check_folder", lambda *_: 0.0)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, plain_loader: Any) -> Undisturbed:
    """The run of a recipe that nothing happens to; made once for all tests."""
    from workbench.pipeline.runner import run_recipe

    root = tmp_path_factory.mktemp("undisturbed")
    made: dict[str, Run] = {}

    def make(recipe: Recipe) -> Run:
        key = dump_recipe(recipe)  # with what changes no result, as when it is saved
        if key not in made:
            run = run_recipe(recipe, 0, root / str(len(made)), loader=plain_loader)
            assert run.state == "finished", run.reason
            made[key] = run
        return made[key]

    return make


@pytest.mark.parametrize("case", tiered(CASES))
def test_every_method_after_two_kills(
    case: str, make_recipe: Make, train: Train, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """In the middle of accumulating step 5, then after step 11: mid-epoch both times."""
    recipe = the_recipe(make_recipe, case)
    whole = undisturbed(recipe)
    folder = killed(recipe, tmp_path / "parts", in_backward(5), resume=False)
    assert [p.name for p in CheckpointFolder(folder / "checkpoints").newest_first()] == [
        "step-000003"
    ]
    killed(recipe, tmp_path / "parts", after_step(11 - 3), resume=True)
    resumed = train(recipe, 0, tmp_path / "parts", resume=True)
    assert resumed.state == "finished", resumed.reason
    assert not difference(whole, resumed)
    assert [r["step"] for r in resumed.events()[0] if r["kind"] == "resumed"] == [3, 9]
    assert resumed.result["metrics"] == whole.result["metrics"]
    assert resumed.result["selected"] == whole.result["selected"]
    assert resumed.result["time"]["examples_seen"] == whole.result["time"]["examples_seen"]


POINTS: dict[str, tuple[dict[str, Any], Callable[[], object]]] = {
    "before the first checkpoint": ({}, in_backward(2)),
    "at the end of an epoch": ({"validate_every": "epoch"}, in_backward(8, part=1)),
    "in the row of a step": ({"checkpoint_minutes": 1e-6}, after_step(6)),
    "whole batches": ({"micro_batch_size": None, "batch_size": 8}, after_step(5)),
    "while the best state is saved": (
        {},
        lambda: setattr(CheckpointFolder, "save_best", dying_at(2, CheckpointFolder.save_best)),
    ),
    "between the best state and its checkpoint": (
        {},
        lambda: setattr(CheckpointFolder, "save_step", dying_at(2, CheckpointFolder.save_step)),
    ),
    "while an old checkpoint is deleted": (
        {"checkpoint_minutes": 1e-6},
        lambda: setattr(checkpoint_folder, "drop_folder", dying_at(3, drop_folder)),
    ),
    "while the adapter is exported": (
        {},
        lambda: setattr(pipeline, "check_folder", lambda *_: die()),
    ),
}


@pytest.mark.parametrize("point", tiered(POINTS))
@pytest.mark.parametrize("keep", ["best", pytest.param("last", marks=pytest.mark.slow)])
def test_every_point_of_a_run(
    point: str,
    keep: str,
    make_recipe: Make,
    train: Train,
    undisturbed: Undisturbed,
    tmp_path: Path,
) -> None:
    training, prepare = POINTS[point]
    recipe = the_recipe(make_recipe, "lora", keep=keep, **training)
    whole = undisturbed(recipe)
    folder = killed(recipe, tmp_path / "parts", prepare, resume=False)
    with open(folder / "events.jsonl", "a") as file:
        file.write('{"kind": "step", "st')  # what a power cut leaves of a row
    (folder / ".status.json.1.2.tmp").touch()
    resumed = train(recipe, 0, tmp_path / "parts", resume=True)
    assert resumed.state == "finished", resumed.reason
    assert not difference(whole, resumed)
    text = (folder / "events.jsonl").read_text()
    assert all(json.loads(pipeline) for pipeline in text.splitlines())
    assert not list(folder.rglob(".*"))
    warned = any("from the beginning" in each for each in resumed.result["warnings"])
    assert warned == (point == "before the first checkpoint")


class FromItsStart(list[Any]):
    """The order of an epoch, for a loop that forgets how far in it was."""

    taken = 0

    def __getitem__(self, key: Any) -> Any:
        self.taken += 1
        return list(self)[self.taken - 1]


@pytest.mark.parametrize("control", tiered(["random numbers", "position in the data", "optimizer"]))
def test_without_it_the_comparison_fails(
    control: str,
    make_recipe: Make,
    train: Train,
    undisturbed: Undisturbed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative controls: what is compared does depend on what is restored."""
    recipe = the_recipe(make_recipe, "lora")
    whole = undisturbed(recipe)
    killed(recipe, tmp_path / "parts", in_backward(5), resume=False)
    if control == "random numbers":
        monkeypatch.setattr(state_dicts, "restore_random_state", lambda *_: None)
    elif control == "optimizer":
        monkeypatch.setattr(state_dicts, "restore_optimizer", lambda *_: None)
    else:
        order = stepping.epoch_order
        monkeypatch.setattr(stepping, "epoch_order", lambda *a, **k: FromItsStart(order(*a, **k)))
    resumed = train(recipe, 0, tmp_path / "parts", resume=True)
    assert resumed.state == "finished", resumed.reason
    assert difference(whole, resumed)


def test_a_damaged_newest_is_reported_and_the_one_before_used(
    make_recipe: Make, train: Train, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    recipe = the_recipe(make_recipe, "full")
    whole = undisturbed(recipe)
    folder = killed(recipe, tmp_path / "parts", in_backward(11), resume=False)
    newest = CheckpointFolder(folder / "checkpoints").newest_first()[0]
    assert newest.name == "step-000009"
    file = newest / "optimizer-1.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 4
    file.write_bytes(content)
    resumed = train(recipe, 0, tmp_path / "parts", resume=True)
    assert resumed.state == "finished", resumed.reason
    assert not difference(whole, resumed)
    words = "step-000009: optimizer-1.safetensors differs from the hash it was written with"
    assert any(words in each for each in resumed.result["warnings"])
    assert any(words in r["message"] for r in resumed.events()[0] if r["kind"] == "warning")


@pytest.mark.slow
def test_two_processes_go_on_exactly(make_recipe: Make, tmp_path: Path) -> None:
    """Both processes are killed; `resume` starts as many as before."""
    training = {"epochs": 4, "dropout": 0.1, "validate_every": 5, "checkpoint_minutes": 1e-6}
    recipe = make_recipe("lora", training=training)
    whole = forked(recipe, tmp_path / "whole", {})
    run = forked(recipe, tmp_path / "parts", {}, prepare=after_step(13), fails=True)
    found, _ = CheckpointFolder(run.path / "checkpoints").latest_valid(with_best=True)
    assert found is not None and found.state["processes"] == 2
    random = [state_dicts.of_process(found.tensors["random"], i)["torch"] for i in range(2)]
    assert random[0].shape == random[1].shape

    refused = resume(run, "--processes", "1")
    assert refused.returncode == 3 and "processes was 2, is 1" in refused.stderr
    done = resume(run)
    assert done.returncode == 0, done.stderr[-2000:]
    resumed = read_run(run.path)
    # The whole run made no forecast; its export was not checked and read no general text.
    left_out = ("forecast", "export", "README.md", "retention")
    assert not exported_difference(whole, resumed, but=left_out)
    rows = [row["step"] for row in resumed.events()[0] if row["kind"] == "resumed"]
    assert rows == [found.state["step"]]


def in_export() -> None:
    """A kill of the first process when all steps are done and saved."""
    dying = dying_at(1, pipeline.Pipeline._export)
    pipeline.Pipeline._export = dying  # type: ignore[method-assign]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "dying"), [(1, after_step(2)), (3, in_export)], ids=["halfway", "none left"]
)
def test_two_processes_remember_their_own_memory(
    steps: int, dying: Callable[[], object], make_recipe: Make, tmp_path: Path
) -> None:
    """It is measured over two steps: half after the checkpoint, or all before and none left."""
    recipe = make_recipe("lora", training={"max_steps": 3, "validate_every": steps})
    run = forked(recipe, tmp_path, {}, prepare=dying, fails=True)
    done = resume(run)
    assert done.returncode == 0, done.stderr[-2000:]
    resumed = read_run(run.path)
    assert [row["step"] for row in resumed.events()[0] if row["kind"] == "resumed"] == [steps]
    memory = resumed.result["memory"]
    assert len(memory["per_process"]) == 2
    assert memory["pieces_per_process"][0] == memory["pieces_per_process"][1] > 0


def test_a_large_checkpoint_is_not_written_for_a_moment_of_training(
    make_recipe: Make, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("full", training={"epochs": 2})

    def steps_saved(folder: str) -> list[int]:
        run = train(recipe, 0, tmp_path / folder)
        assert run.state == "finished", run.reason
        saved = [e for e in run.events()[0] if e["kind"] == "checkpoint" and e["of"] == "step"]
        return [event["step"] for event in saved]

    assert len(steps_saved("small")) == 2, "at each validation, the last of them after the end"
    monkeypatch.setattr("workbench.pipeline.checkpointing.SMALL_BYTES", 0)
    monkeypatch.setattr("workbench.pipeline.checkpointing.WORTH_BYTES_PER_SECOND", 1e-3)
    assert steps_saved("large") == []
