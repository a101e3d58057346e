"""Resuming under other conditions, with damage, on a full disk: refused, said, and forced."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.killed_runs import after_step, difference, in_backward, killed, the_recipe
from workbench.errors import RunRefused
from workbench.pipeline import environment, pipeline, setup
from workbench.recipe import load_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, open_run, read_run
from workbench.training.checkpoint_folder import CheckpointFolder

Make = Callable[..., Recipe]
Train = Callable[..., Run]


@pytest.fixture(autouse=True)
def _as_it_is_needed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last checkpoint of a finished run stays, to be compared; exports are not checked."""
    monkeypatch.setattr(CheckpointFolder, "finish", CheckpointFolder.remove_leftovers)
    monkeypatch.setattr(pipeline, "check_folder", lambda *_: 0.0)


@pytest.fixture
def stopped(make_recipe: Make, topics_file: Path, tmp_path: Path) -> Iterator[Run]:
    """A run that was killed after its checkpoint of step 3, on data of its own."""
    data = tmp_path / "topics.jsonl"
    shutil.copy(topics_file, data)
    recipe = make_recipe("lora", data={"source": str(data)}, training={"validate_every": 3})
    yield read_run(killed(recipe, tmp_path / "runs", after_step(5), resume=False))


def go_on(train: Train, run: Run, **options: Any) -> Run:
    recipe = load_recipe(run.path / "recipe.yaml")
    root = run.path.parent.parent
    return train(recipe, 0, root, resume=True, folder=run.path, **options)


def edit_recipe(run: Run) -> str:
    file = run.path / "recipe.yaml"
    file.write_text(file.read_text().replace("weight_decay: 0.0", "weight_decay: 0.25"))
    return "training.weight_decay was 0.0, is 0.25"


def edit_data(run: Run) -> str:
    with open(run.path.parents[2] / "topics.jsonl", "a") as file:
        file.write(json.dumps({"text": "goal goal goal goal", "label": "sport"}) + "\n")
    return "hash of data was "


def other_library(_: Run) -> str:
    versions = environment.describe()
    versions["packages"] = {**versions["packages"], "torch": "9.9"}
    environment.describe = lambda: versions
    return "is 9.9"


def other_precision(_: Run) -> str:
    from workbench.distributed import processor

    other = not processor.computes_bf16()
    processor.computes_bf16 = lambda: other
    return "precision was "


@pytest.mark.parametrize("change", [edit_recipe, edit_data, other_library, other_precision])
def test_what_has_changed_is_refused_unless_forced(
    change: Callable[[Run], str],
    stopped: Run,
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from workbench.distributed import processor

    for module, name in ((environment, "describe"), (processor, "computes_bf16")):
        monkeypatch.setattr(module, name, getattr(module, name))  # put back at the end
    if change is other_precision:
        stopped = _with_precision_from_device(stopped)
    words = change(stopped)
    with pytest.raises(RunRefused, match="changed since the checkpoint") as caught:
        go_on(train, stopped)
    assert words in str(caught.value) and "--force" in str(caught.value)
    again = read_run(stopped.path)
    assert again.state == "interrupted"
    with pytest.raises(RunRefused):  # to have asked changes nothing
        go_on(train, again)

    forced = go_on(train, again, force=True)
    if change is edit_data:  # another number of training examples is another number of steps
        assert forced.state == "failed" and "the checkpoint is of a run of" in forced.reason
        return
    assert forced.state == "finished", forced.reason
    assert forced.path == stopped.path
    assert any(words in each for each in forced.result["forced"])
    assert any(words in str(r["changed"]) for r in forced.events()[0] if r["kind"] == "forced")


def _with_precision_from_device(run: Run) -> Run:
    """The same run with a checkpoint written where the CPU decided on the precision."""
    shutil.rmtree(run.path / "checkpoints")
    file = run.path / "recipe.yaml"
    file.write_text(file.read_text().replace("precision: fp32", "precision: auto"))
    recipe = load_recipe(file)
    root = run.path.parents[1]
    shutil.rmtree(run.path)
    return read_run(killed(recipe, root, after_step(5), resume=False))


def test_a_bit_that_flips_in_recorded_conditions_is_damage_and_no_change(
    stopped: Run, train: Train
) -> None:
    (newest,) = CheckpointFolder(stopped.path / "checkpoints").newest_first()
    state = newest / "state.json"
    spoilt = state.read_text().replace('"training.warmup_ratio"', '"training.warmup_ratin"')
    assert spoilt != state.read_text()
    state.write_text(spoilt)
    resumed = go_on(train, stopped)
    assert resumed.state == "finished", resumed.reason
    assert f"set aside: {newest.name}" in str(resumed.result["warnings"])


def test_an_edited_recipe_is_refused_before_there_is_a_checkpoint(
    make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    run = read_run(killed(the_recipe(make_recipe, "head"), tmp_path, in_backward(1), resume=False))
    edit_recipe(run)
    with pytest.raises(RunRefused, match="the recipe's fingerprint was"):
        go_on(train, run)


def test_an_edited_recipe_that_was_forced_does_not_stand_for_the_first(
    stopped: Run, train: Train
) -> None:
    from workbench.pipeline.runner import run_all

    recipe = load_recipe(stopped.path / "recipe.yaml")
    edit_recipe(stopped)
    assert go_on(train, stopped, force=True).state == "finished"
    said: list[str] = []
    (run,) = run_all(
        [recipe], [0], stopped.path.parents[1], observer=lambda k, f: said.append(f"{k} {f}")
    )
    assert any("resumed by force with an edited recipe" in each for each in said)
    assert run.result["fingerprint"] == recipe.fingerprint and "forced" not in run.result


def test_the_interval_has_no_part_in_the_fingerprint_and_is_measured(
    make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    recipes = [the_recipe(make_recipe, "head", checkpoint_minutes=m) for m in (None, 1e-6)]
    assert recipes[0].fingerprint == recipes[1].fingerprint
    runs = [train(recipe, 0, tmp_path / str(i)) for i, recipe in enumerate(recipes)]
    assert not difference(*runs, but=("recipe.yaml", "README.md"))  # which quotes the recipe
    for run, steps in zip(runs, ([3, 6, 9, 12, 14], range(1, 15)), strict=True):
        rows = [r for r in run.events()[0] if r["kind"] == "checkpoint"]
        assert [r["step"] for r in rows if r["of"] == "step"] == list(steps)
        assert all(r["bytes"] > 500 and r["seconds"] > 0 for r in rows)
        time = run.result["time"]
        assert time["checkpoints"] == len(rows)
        assert time["checkpoint_bytes"] == sum(r["bytes"] for r in rows)
        assert time["checkpoint_seconds"] == pytest.approx(sum(r["seconds"] for r in rows))
        assert 0 < time["checkpoint_share"] < 1


def test_a_run_that_would_not_fit_is_refused_before_the_base_is_loaded(
    make_recipe: Make, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("the base was loaded")

    monkeypatch.setattr(setup, "load_base", load)
    monkeypatch.setattr(setup, "score_baselines", load)
    usage = shutil.disk_usage(tmp_path)._replace(free=17_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    run = train(make_recipe("full"), 0, tmp_path)
    assert run.state == "failed"
    assert "17,000,000 bytes are free" in run.reason and str(run.path) in run.reason


def test_a_torn_row_is_cut_when_the_run_is_opened(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe("head")
    writer = open_run(tmp_path, recipe, 0)
    writer.event("step", step=1)
    mark = writer.mark()
    writer.event("step", step=2)
    writer.close("stopped")
    with open(writer.path / "events.jsonl", "a") as file:
        file.write('{"kind": "st')
    again = open_run(tmp_path, recipe, 0, resume=True)
    again.event("phase", phase="data")
    assert [r["kind"] for r in read_run(again.path).events()[0]] == ["step", "step", "phase"]
    assert [r["step"] for r in again.forget_after(mark)] == [1]
    again.event("step", step=2)
    assert [r["step"] for r in again.forget_after(10**6)] == [1, 2], "nothing is made up"
    again.close("stopped")
