"""Whatever stands in a record, every reader of runs shows what it can and raises nothing."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import run_summary
from runs import run_table
from runs.event_log import Histories
from study import grid
from study.actions import _best_first
from tests.reported_runs import add_run, add_study, recipe_of
from tests.store.record_mutations import mutate_run
from workbench.analysis import run_facts
from workbench.analysis.costs import forecast_lines
from workbench.analysis.predictions import read_predictions
from workbench.charts.run_curves import (
    learning_rate_curve,
    loss_curve,
    speed_curve,
    speed_now,
    validation_curve,
)
from workbench.cli import main
from workbench.cli.show import progress_text
from workbench.comparison import compare
from workbench.comparison.config_diff import config_differences
from workbench.new_study.existing import read_study
from workbench.report import write_report
from workbench.store import Run, read_run


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("mutated") / "runs"
    add_study(runs, seeds=1)
    search = {"trials": 4, "search": {"method.r": "1 to 8"}, "metric": "accuracy", "score": 0.9}
    expected: dict[str, Any] = {"peak_memory_bytes": 1e8, "seconds_per_step": 0.1, "timings": 3}
    expected |= {"seconds_per_step_range": [0.1, 0.2], "notes": ["a note"]}
    expected["memory"] = {"weights_bytes": 1e6, "activations_bytes": 1, "runtime_bytes": 2}
    export = {"kind": "peft", "checked": True}
    passages = {"passages": [[90.0, 31.0]] * 3, "base_passages": [[80.0, 31.0]] * 3}
    kept = {"measure": "perplexity", "value": 0.7, "base_perplexity": 13.2, **passages}
    more = {
        "retention": kept,
        "tuning": search,
        "forecast": expected,
        "export": export,
        "warnings": ["a warning"],
    }
    add_run(runs, recipe_of("lora", name="searched"), 0, description="words", **more)
    add_run(runs, recipe_of("lora", name="going"), 0, state="running")
    return runs


def _strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def _commands(runs: Path, run: Path, *, all_of_them: bool) -> Iterator[list[str]]:
    name, where = f"news/{run.name}", ["--runs", str(runs)]
    yield from (
        ["show", name, *where],
        ["show", name, *where, "--json"],
        ["runs", *where, "--json"],
    )
    if all_of_them:  # making the commands takes longer than running them
        yield from (["runs", *where], ["log", name, *where])
        yield from (["compare", "news", *where], ["compare", "news", *where, "--json"])


def _read_as_the_pages_do(run: Run) -> None:
    facts = (run_facts.parameter_facts, run_facts.time_facts, run_facts.policy_facts)
    for each in (*facts, run_facts.data_facts, run_facts.selected_checkpoint, forecast_lines):
        assert isinstance(each(run.result), list | str)
    assert isinstance(progress_text(run.status), str)
    read_predictions(run)
    for draw in (loss_curve, learning_rate_curve, speed_curve, speed_now):
        draw(Histories().of(run))
    validation_curve(Histories().of(run), "accuracy")
    shown = (run_summary.time_of, run_summary.state_of)
    assert all(isinstance(each(run), str) for each in shown)
    assert pd.DataFrame([run_table._row(run)]).shape[0] == 1
    study = read_study(run.path.parent.name, run.path.parent.parent, run.path / "none")
    assert isinstance(grid._label(run) + grid._measured(study), str)
    assert isinstance(grid.time_left([run], 1, 1), str)
    assert isinstance(_best_first(study) + study.recipes + study.seeds, list)


def _examine(
    runs: Path, run: Path, output: Path, capfd: pytest.CaptureFixture[str], *, whole: bool
) -> None:
    for command in _commands(runs, run, all_of_them=whole):
        code = main(command)
        shown, said = capfd.readouterr()
        assert code in (0, 2, 3) and "unexpected error" not in said, (command, said)
        if "--json" in command and shown:
            _strict(shown)
    _read_as_the_pages_do(read_run(run))
    comparison = compare([runs], tests=whole)
    for format in ("table", "markdown", "csv", "latex", "json"):
        comparison.to(format).encode("utf-8")
    _strict(comparison.to("json"))
    config_differences(comparison)
    if whole:
        write_report([runs], output, force=True)


def _examine_many(
    seeds: range, study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], every: int
) -> Counter[str]:
    """Each by what is quick, and some by all that there is; the states that the runs were read in.

    Raises:
        AssertionError: where a reader raises or prints what is no JSON, with the seed.
    """
    states: Counter[str] = Counter()
    names = [file.parent.name for file in sorted(study.glob("news/*/predictions.parquet"))]
    for seed in seeds:
        runs = tmp_path / "runs"
        shutil.copytree(study, runs)
        run = runs / "news" / names[seed % len(names)]
        done = mutate_run(run, seed)
        try:
            _examine(runs, run, tmp_path / "report", capfd, whole=seed % every == 0)
        except Exception as error:
            raise AssertionError(f"seed {seed}, {run.name}/{done[:300]}") from error
        states[read_run(run).state] += 1
        shutil.rmtree(runs)
    return states


def test_no_reader_of_runs_raises_over_200_mutated_records(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    states = _examine_many(range(200), study, tmp_path, capfd, every=50)
    assert states.total() == 200 and states["finished"] and states["unreadable"], states


@pytest.mark.nightly
def test_no_reader_of_runs_raises_over_2000_mutated_records(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    states = _examine_many(range(200, 2200), study, tmp_path, capfd, every=10)
    assert states.total() == 2000 and states["finished"] and states["unreadable"], states


@pytest.mark.parametrize("written", ["NaN", "-Infinity", "1e999", "9" * 5000, "-1" + "0" * 400])
def test_a_number_that_is_none_is_null_in_json_and_absent_in_text(
    written: str, study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(study, runs)
    (run,) = runs.glob("news/lora-s0-*")
    result = json.loads((run / "result.json").read_text())
    result["metrics"]["test"]["accuracy"] = result["memory"]["peak_memory_bytes"] = "HERE"
    (run / "result.json").write_text(json.dumps(result).replace('"HERE"', written))
    where = ["--runs", str(runs)]
    assert main(["show", f"news/{run.name}", *where, "--json"]) == 0
    document = _strict(capfd.readouterr().out)
    assert document["state"] == "finished"
    assert document["result"]["metrics"]["test"]["accuracy"] is None
    assert document["result"]["memory"]["peak_memory_bytes"] is None
    assert document["result"]["parameters"] == result["parameters"]
    assert main(["runs", *where, "--json"]) == 0
    assert len(_strict(capfd.readouterr().out)["runs"]) == 5
    assert main(["show", f"news/{run.name}", *where]) == 0
    assert "accuracy –" in capfd.readouterr().out
    assert any(f"{run.name} is left out: metrics.test.acc" in w for w in compare([runs]).warnings)
