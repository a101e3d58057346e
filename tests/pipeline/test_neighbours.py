"""A run leaves the same bytes and measures the same memory, whatever its command ran before it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.shared_runs import run_quietly
from tests.trained_runs import SharedFolder, TrainedRuns
from workbench.pipeline.runner import run_all
from workbench.recipe import load_recipe, recipes_dir
from workbench.store import Run, read_run, run_path

# What holds times, process ids and the memory of the machine.
DIFFER = {"result.json", "status.json", "events.jsonl", "log.txt"}
LAST = 4
FEW = ["training.max_steps=3", "data.validation_size=16", "data.test_size=16"]


@pytest.fixture
def no_forecast() -> None:
    """Forecasts and warming up are made: they come between the seed and the base."""


def files_of(run: Run) -> dict[str, bytes]:
    """What a run leaves, by its path in the run's folder."""
    paths = (path for path in run.path.rglob("*") if path.is_file() and path.name not in DIFFER)
    return {str(path.relative_to(run.path)): path.read_bytes() for path in paths}


def result_of(run: Run) -> dict[str, Any]:
    """result.json without what a clock and the kernel say."""
    result = {k: v for k, v in run.result.items() if k not in ("time", "memory")}
    expected = {k: v for k, v in run.result["forecast"].items() if k != "free_memory_bytes"}
    retention = {k: v for k, v in run.result["retention"].items() if k != "seconds"}
    return result | {"forecast": expected, "retention": retention}


def shown(rows: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    """Rows of the log without what a clock says."""
    return [
        {k: v for k, v in row.items() if k not in ("time", "seconds")}
        for row in rows
        if row["kind"] in kinds
    ]


def assert_same(run: Run, alone: Run) -> None:
    """Everything but times, process ids and memory."""
    found, expected = files_of(run), files_of(alone)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    assert result_of(run) == result_of(alone)
    rows = [shown(each.events()[0], "phase", "step", "validation") for each in (run, alone)]
    assert rows[0] == rows[1] and any(row["kind"] == "step" for row in rows[0])


def cutting(model: Path, folder: Path) -> Path:
    """The model with a tokenizer that cuts and pads by itself, as MiniLM's does; each call to it
    changes that, and what is exported has to be as it was loaded."""
    shutil.copytree(model, folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(32)
    tokenizer.enable_padding(length=32)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_runs_of_one_command_leave_what_each_leaves_alone(
    shared: SharedFolder, trained_runs: TrainedRuns, train: Callable[..., Run], tmp_path: Path
) -> None:
    """Methods and tasks with two seeds each, which share data, features and tokenizer."""
    kinds = [
        ("text-classification", "lora", "bert"),
        ("question-answering", "prompt", "bert"),
        ("instruction", "lora", "llama"),
    ]
    training = {"max_steps": 2, "dropout": 0.1}
    models = {name: cutting(shared.model(name, 0.3), tmp_path / name) for name in ("bert", "llama")}
    recipes = [
        trained_runs.recipe(*kind, training=training, model={"source": str(models[kind[-1]])})
        for kind in kinds
    ]
    runs = run_all(recipes, [0, 1], tmp_path / "together")
    assert [run.state for run in runs] == ["finished"] * 2 * len(recipes), runs[0].reason
    for recipe, run in zip(recipes, runs[1::2], strict=True):
        alone = train(recipe, 1, tmp_path / "alone")
        assert_same(run, alone)
        assert "adapter/tokenizer.json" in files_of(run)


# --- in the real commands ------------------------------------------------------------------------


Last = Callable[[str, str], Run]


@pytest.fixture(scope="module")
def last(shared: SharedFolder) -> Last:
    """The last run that a command of these recipes and seeds makes, on the real model."""

    def run(recipes: str, seeds: str) -> Run:
        recipe = load_recipe(recipes_dir() / f"{recipes.split()[-1]}.yaml", FEW)
        command = [sys.executable, "-m", "workbench", "run", *recipes.split(), "--seeds", seeds]
        command += [part for value in FEW for part in ("--set", value)]

        def make(runs: Path) -> None:
            done = run_quietly([*command, "--runs", str(runs)])
            assert done.returncode == 0, done.stderr[-2000:]

        name = re.sub(r"\W", "-", f"{recipes} {seeds}")
        return read_run(run_path(shared.once(name, make), recipe, LAST))

    return run


def assert_same_memory(run: Run, alone: Run) -> None:
    """The peaks of training and test, within 1%."""
    phases, expected = (each.result["memory"]["phases"] for each in (run, alone))
    assert phases["train"] == pytest.approx(expected["train"], rel=0.01)
    assert phases["evaluate"] == pytest.approx(expected["evaluate"], rel=0.01)


@pytest.fixture(scope="module")
def alone(last: Last) -> Run:
    """A run that is all its command makes."""
    return last("quickstart/lora", str(LAST))


@pytest.mark.assets
@pytest.mark.parametrize(
    "recipes, seeds",
    [
        pytest.param("quickstart/lora", "0,1,2,3,4", id="the fifth seed"),
        pytest.param("quickstart/prompt quickstart/lora", str(LAST), id="after another method"),
    ],
)
def test_a_later_run_is_what_it_is_alone(recipes: str, seeds: str, last: Last, alone: Run) -> None:
    """The same bytes, and the same peaks of training and test within 1%."""
    run = last(recipes, seeds)
    assert_same(run, alone)
    assert_same_memory(run, alone)


@pytest.mark.nightly
def test_a_later_run_of_a_gpt_is_what_it_is_alone(last: Last) -> None:
    """Threads of its tokenizer kept 23 MB that a first run did not count."""
    run, alone = (last("bbc-headlines/lora", seeds) for seeds in (f"0,{LAST}", str(LAST)))
    assert files_of(run) == files_of(alone)  # their forecasts are those of the first seeds
    assert_same_memory(run, alone)


@pytest.mark.assets
def test_its_memory_is_what_was_forecast(alone: Run) -> None:
    """The bar of the benchmark is 5%; another build of torch may leave more behind."""
    forecast, measured = alone.result["forecast"], alone.result["memory"]
    assert forecast["peak_memory_bytes"] == pytest.approx(measured["peak_memory_bytes"], rel=0.1)
    assert forecast["adapter_bytes"] == alone.result["adapter_bytes"]
