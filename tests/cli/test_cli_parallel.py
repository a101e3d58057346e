"""``run --parallel`` and ``--threads``: the same runs as one after the other, several at once."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workbench import jobs
from workbench.cli import parallel
from workbench.cli.parallel_progress import ParallelProgress
from workbench.executors.packing import Machine
from workbench.recipe import Recipe, dump_recipe
from workbench.store import BESIDE_VARIABLE, Run, list_runs, read_run, run_path

Command = Callable[..., Any]


@pytest.fixture
def file(make_recipe: Callable[..., Recipe], tmp_path: Path) -> Path:
    """A recipe in the folder of its study."""
    found = tmp_path / "tiny" / "lora.yaml"
    found.parent.mkdir()
    recipe = make_recipe("lora", training={"epochs": 1})
    found.write_text(dump_recipe(recipe), encoding="utf-8")
    return found


def digests(root: Path) -> dict[str, tuple[str, str, Any]]:
    """Weights, predictions and scores of each run."""

    def sha(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    return {
        run.id: (
            sha(run.adapter / "adapter_model.safetensors"),
            sha(run.path / "predictions.parquet"),
            run.result["metrics"],
        )
        for run in list_runs(root)
    }


@pytest.mark.integration
def test_runs_at_once_are_bit_for_bit_those_one_after_the_other(
    file: Path, workbench: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = [file, "--seeds", "0,1", "--threads", "1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert workbench("run", *given, "--runs", tmp_path / "serial").code == 0
    answer = workbench("run", *given, "--runs", tmp_path / "at-once", "--parallel", "2", "--json")
    assert answer.code == 0, answer.err
    assert "2 runs at once, 1 thread each, on " in answer.err
    assert [each["state"] for each in answer.json["runs"]] == ["finished"] * 2
    assert digests(tmp_path / "at-once") == digests(tmp_path / "serial")
    for run in list_runs(tmp_path / "at-once"):
        assert run.result["time"]["measured_beside"] == 1 and run.status["threads"] == 1
    assert all("measured_beside" not in r.result["time"] for r in list_runs(tmp_path / "serial"))
    again = workbench("run", *given, "--runs", tmp_path / "at-once", "--parallel", "2")
    assert again.code == 0 and again.err.count("finished before, skipped") == 2


def test_a_run_that_was_slowed_down_stays_marked_when_it_is_resumed(
    make_recipe: Callable[..., Recipe],
    train: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    recipe = make_recipe("head", training={"checkpoint_minutes": 1e-6})
    folder = run_path(tmp_path, recipe, 0)

    def stop(kind: str, fields: dict[str, Any]) -> None:
        if kind == "progress" and fields["step"] == 3:
            (folder / "stop").touch()

    monkeypatch.setenv(BESIDE_VARIABLE, "3")
    assert train(recipe, 0, tmp_path, observer=stop).state == "stopped"
    monkeypatch.delenv(BESIDE_VARIABLE)
    resumed = train(recipe, 0, tmp_path, resume=True)
    assert resumed.state == "finished" and resumed.result["time"]["measured_beside"] == 3


def test_a_resumed_run_has_the_threads_that_it_began_with(
    workbench: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.store.stored_recipes import news_recipe
    from workbench.store import open_run

    writer = open_run(tmp_path, news_recipe(), 0)
    writer.update(threads=7)
    writer.close("stopped")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(set_num_threads=lambda _: None))
    monkeypatch.setattr(jobs, "resume", lambda *_, **__: SimpleNamespace(folder=tmp_path, runs=()))
    assert workbench("resume", writer.path, "--detach").code == 0
    assert os.environ["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--parallel", "0"], "--parallel 0"),
        (["--parallel", "two"], "auto, or a number of runs"),
        (["--parallel", "2", "--queue"], "--parallel with --queue"),
        (["--parallel", "auto", "--detach"], "--parallel with --detach"),
        (["--parallel", "2", "--processes", "2"], "--parallel with --processes"),
        (["--parallel", "2", "--executor", "ray"], "--parallel with --executor"),
        (["--parallel", "2", "--until-decided"], "--parallel with --until-decided"),
        (["--threads", "2", "--queue"], "--threads with --queue"),
        (["--threads", "0"], "--threads"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    workbench: Command, options: list[str], said: str
) -> None:
    answer = workbench("run", "quickstart", *options)
    assert answer.code == 2 and said in answer.err


@pytest.mark.parametrize(
    ("machine", "asked", "slots"),
    [
        ({"cores": 8, "threads": 2}, None, ["all#1", "all#2", "all#3"]),  # three runs
        ({"cores": 8, "threads": 8}, None, ["all"]),
        ({"cores": 8, "threads": 8}, 2, ["all#1", "all#2"]),
        ({"cores": 8, "threads": 8, "cards": ("0", "1")}, 3, ["0#1", "0#2", "1"]),
        ({"cores": 2, "threads": 2, "cards": ("0", "1")}, None, ["0", "1"]),
        ({"cores": 8, "threads": 8, "cards": ("0", "1")}, 1, ["0"]),
    ],
)
def test_slots_by_cards_cores_and_what_is_asked_for(
    capsys: pytest.CaptureFixture[str],
    make_recipe: Callable[..., Recipe],
    machine: dict[str, Any],
    asked: int | None,
    slots: list[str],
) -> None:
    facts = Machine(**({"cards": (), "free_bytes": 2**36} | machine))
    plan = {"peak_memory_bytes": 2**30, "train_seconds": 100.0, "device": "cpu"}
    wanted = [jobs.Wanted(make_recipe("head"), seed) for seed in range(3)]
    fingerprint = wanted[0].recipe.fingerprint
    assert parallel._slots(wanted, asked, facts, {fingerprint: plan}) == slots
    assert "WARNING" not in capsys.readouterr().err
    if asked is None and facts.cores > facts.threads:
        short = {fingerprint: plan | {"train_seconds": 1.0}}
        assert parallel._slots(wanted, asked, facts, short) == ["all"]
        assert "so short" in capsys.readouterr().err
    if slots == ["all#1", "all#2"]:
        large = {fingerprint: plan | {"peak_memory_bytes": 2**35}}
        assert parallel._slots(wanted, asked, facts, large) == slots, "what is asked for is done"
        assert "by their forecasts 1 of these runs fit" in capsys.readouterr().err


def test_progress_names_what_runs_and_leaves_a_line_for_each(tmp_path: Path) -> None:
    import io

    from tests.store.stored_recipes import news_recipe
    from workbench.store import open_run

    recipe, now = news_recipe("lora"), [0.0]
    paths = [run_path(tmp_path, recipe, seed) for seed in range(3)]
    stream = io.StringIO()
    names = dict.fromkeys(paths, "news/lora")
    progress = ParallelProgress(names, at_once=2, stream=stream, clock=lambda: now[0])

    def said(seconds: float) -> str:
        now[0] = seconds
        progress.look()
        return stream.getvalue().splitlines()[-1]

    one, two = (open_run(tmp_path, recipe, seed) for seed in (0, 1))
    one.progress(step=3, steps=9)
    one.update(state="running", phase="train")
    two.update(state="running", phase="load")
    assert said(10) == "0 of 3 done | lora-s0 step 3/9, lora-s1 load"
    one.event("warning", message="a tensor got no gradient")
    one.finish({"metrics": {"test": {"accuracy": 0.5}}})
    said(40)
    # lora-s1 has run for 36 s and lora took 30 s before, so one slot is free for lora-s2 now.
    assert said(46).startswith("1 of 3 done, about 30 s left | lora-s1 load")
    before = [line for line in stream.getvalue().splitlines() if "accuracy" in line]
    assert before == [f"{read_run(paths[0]).id}  accuracy 0.5  (30.0 s)"]
    assert "warning: a tensor got no gradient" in stream.getvalue()
    two.close("failed", "the loss was nan")
    assert said(50) == f"{read_run(paths[1]).id}: failed: the loss was nan"
    assert json.loads((paths[1] / "status.json").read_text())["state"] == "failed"


def test_the_last_run_of_a_command_that_was_killed_is_continued_as_the_others(
    make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By itself it would begin anew, or be refused because it waits in the queue."""
    begun: list[int] = []
    monkeypatch.setattr(jobs, "run_at_once", lambda wanted, *_, **__: begun.append(len(wanted)))
    recipe = make_recipe("head")

    def made() -> object:
        return parallel.run([recipe], tmp_path, 2, seeds=[0], force=False)

    assert made() is None and begun == []
    jobs.enqueue([recipe], tmp_path, seeds=[0])
    assert made() is not None and begun == [1]
