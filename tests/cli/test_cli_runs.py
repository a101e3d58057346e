"""Commands around runs, with the runner and the processes replaced."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workbench import jobs
from workbench.cli import distributed
from workbench.store import read_run


class Runner:
    """Stands for the runner and the planner: notes calls, answers with given runs."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.runs: list[Any] = []
        self.during: Callable[[Any], None] = lambda observer: None

    def run_all(self, recipes: Any, **options: Any) -> list[Any]:
        self.calls.append({"recipes": [r.name for r in recipes], **options})
        self.during(options["observer"])
        return self.runs

    def run_recipe(self, recipe: Any, seed: int, root: Path, **options: Any) -> Any:
        self.calls.append({"recipe": recipe, "seed": seed, "root": root, **options})
        return self.runs[0]

    def plan(self, recipe: Any, **asked: bool) -> dict[str, int]:
        names = ("trainable", "head", "adapter", "total")
        return {f"{n}_parameters": 1000 * i for i, n in enumerate(names, 1)}


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    runner = Runner()
    for module in ("workbench.pipeline.runner", "workbench.costs.plan"):
        monkeypatch.setitem(sys.modules, module, runner)  # type: ignore[arg-type]
    return runner


def test_run_hands_over_recipes_seeds_and_folder(
    workbench: Callable[..., Any], runner: Runner, make_run: Callable[..., Path]
) -> None:
    runner.runs = [read_run(make_run())]
    answer = workbench(
        "run", "quickstart", "--seeds", "0, 3", "--runs", "out", "--force", "--set", "seeds=[9]"
    )
    assert answer.code == 0
    (call,) = runner.calls
    assert call["recipes"] == ["full", "lora", "prefix", "prompt"]
    assert call["seeds"] == [0, 3] and call["runs_dir"] == Path("out") and call["force"] is True
    assert "accuracy 0.9625  f1_macro –" in answer.out


def test_run_prints_one_json_document(
    workbench: Callable[..., Any], runner: Runner, make_run: Callable[..., Path]
) -> None:
    path = make_run()
    runner.runs = [read_run(path)]

    def report(observer: Any) -> None:
        observer("run", {"id": "s/x", "index": 0, "of": 1})
        observer("warning", {"message": "a warning"})

    runner.during = report
    answer = workbench("run", "quickstart/lora", "--json")
    (row,) = answer.json["runs"]
    assert row["state"] == "finished" and row["path"] == str(path)
    assert row["metrics"]["test"]["accuracy"] == 0.9625
    assert "[1/1] s/x: warning: a warning" in answer.err


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["finished", "finished"], 0),
        ([], 0),
        (["finished", "failed"], 1),
        (["failed", "stopped"], 1),
        (["finished", "stopped"], 130),
        (["interrupted"], 130),
    ],
)
def test_the_exit_code_says_what_became_of_the_runs(
    workbench: Callable[..., Any],
    runner: Runner,
    make_run: Callable[..., Path],
    states: list[str],
    code: int,
) -> None:
    runner.runs = [read_run(make_run(f"r{i}-s0-0", state)) for i, state in enumerate(states)]
    assert workbench("run", "quickstart/lora").code == code


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_the_signal_that_stopped_a_run_shows_in_the_exit_code(
    workbench: Callable[..., Any],
    runner: Runner,
    make_run: Callable[..., Path],
    number: signal.Signals,
    code: int,
) -> None:
    stopped = read_run(make_run(state="stopped"))
    stopped.status["signal"] = int(number)
    runner.runs = [stopped]
    assert workbench("run", "quickstart/lora").code == code


def test_an_interrupt_leaves_with_130(workbench: Callable[..., Any], runner: Runner) -> None:
    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    runner.during = interrupted
    answer = workbench("run", "quickstart/lora")
    assert answer.code == 130 and "workbench resume" in answer.err


def test_detach_starts_a_job(
    workbench: Callable[..., Any], runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def start(recipes: Any, runs_dir: Path, **options: Any) -> Any:
        calls.append(([r.name for r in recipes], runs_dir, options))
        return SimpleNamespace(folder=Path("job"), runs=(Path("runs/s/lora-s0-1"),))

    monkeypatch.setattr(jobs, "start", start)
    answer = workbench("run", "quickstart/lora", "--detach", "--seeds", "0", "--json")
    assert answer.json == {"job": "job", "runs": ["runs/s/lora-s0-1"]}
    options = {"seeds": [0], "force": False, "processes": 1, "shard": False, "zero": 0}
    assert calls == [(["lora"], Path("runs"), options)] and runner.calls == []


def test_processes_start_the_same_command_again(
    workbench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(distributed, "launch", lambda *given, **_: calls.append(given) or 7)
    answer = workbench(
        "run", "quickstart", "--processes", "2", "--seeds", "0", "--set", "method.r=4",
        "--set", "training.epochs=1", "--runs", "out", "--force", "--json",
    )  # fmt: skip
    assert answer.code == 2, "a bad recipe is found before any process starts"
    answer = workbench("run", "quickstart/lora", "--processes", "2", "--seeds", "0", "--set",
                       "method.r=4", "--runs", "out", "--force", "--json")  # fmt: skip
    assert answer.code == 7
    arguments = ["run", "quickstart/lora", "--processes", "2", "--seeds", "0", "--set",
                 "method.r=4", "--runs", "out", "--force", "--json"]  # fmt: skip
    (launched,) = calls
    assert launched[:2] == (arguments, 2)
    assert [path.parent for path in launched[2]] == [Path("out/quickstart")]


def test_only_the_first_process_prints(
    workbench: Callable[..., Any],
    runner: Runner,
    make_run: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner.runs = [read_run(make_run())]
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    answer = workbench("run", "quickstart/lora", "--json")
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    assert runner.calls[0]["observer"] is None
    assert workbench("run", "quickstart/lora", "--processes", "2").code == 2


def test_plan_prints_counts(workbench: Callable[..., Any], runner: Runner) -> None:
    out = workbench("plan", "quickstart").out
    assert "quickstart/lora" in out and "1,000" in out and "25%" in out
    (row,) = workbench("plan", "quickstart/lora", "--json").json["plans"]
    assert row["recipe"] == "lora" and row["adapter_parameters"] == 3000


def test_stop_and_resume_refuse_what_makes_no_sense(
    workbench: Callable[..., Any], make_run: Callable[..., Path]
) -> None:
    finished = make_run("a-s0-1")
    assert workbench("stop", finished).code == 3
    answer = workbench("resume", finished)
    assert answer.code == 3 and "this run is finished" in answer.err
    assert workbench("resume", make_run("b-s0-1", "running")).code == 3


def test_stop_can_only_ask(workbench: Callable[..., Any], make_run: Callable[..., Path]) -> None:
    path = make_run(state="running")
    answer = workbench("stop", path, "--no-wait")
    assert answer.code == 0 and answer.out == "s/lora-s0-12345678: running\n"
    assert (path / "stop").exists()


def test_resume_goes_on_with_the_stored_recipe_and_seed(
    workbench: Callable[..., Any], runner: Runner, make_run: Callable[..., Path]
) -> None:
    from workbench.recipe import dump_recipe, load_recipe

    recipe = load_recipe("quickstart/lora")
    path = make_run(state="stopped", seed=5)
    (path / "recipe.yaml").write_text(dump_recipe(recipe))
    runner.runs = [read_run(make_run("done-s0-1"))]
    assert workbench("resume", path).code == 0
    (call,) = runner.calls
    assert (call["recipe"], call["seed"], call["resume"]) == (recipe, 5, True)
    assert call["root"] == path.parent.parent
