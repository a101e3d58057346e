"""A recipe, a link or the current folder never chooses a metric's program; the user does."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.metric_hub import COMMIT, METRIC, MetricHub, metric_hub
from tests.ui.opening import open_view, texts
from workbench import jobs
from workbench.cli import main
from workbench.cli.ui_server import RUNS_VARIABLE, app_path
from workbench.costs.plan import plan
from workbench.errors import RecipeError, UsageError
from workbench.metrics.hub_metric import allow
from workbench.pipeline.runner import run_all
from workbench.recipe import dump_recipe, load_recipe
from workbench.recipe.schema import Recipe
from workbench.store import VERSION, Run, read_json, read_run, run_path, write_json
from workbench.store.allowed_metrics import OPTION, allowed_file, read_allowed

HUB_METRIC = "task.metrics=[accuracy, hub:miss]"


@pytest.fixture(autouse=True)
def planted(canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder with scripts that ``evaluate.load`` would take for the metric."""
    monkeypatch.setenv("WORKBENCH_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    here = tmp_path / "here"
    for file in ("miss/miss.py", "evaluate-metric/miss/miss.py", "distance.py"):
        path = here / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"open({str(canary)!r}, 'w')\n{METRIC}")
    monkeypatch.chdir(here)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetricHub]:
    with metric_hub(monkeypatch) as found:
        yield found


@pytest.fixture
def recipe(make_recipe: Callable[..., Recipe]) -> Recipe:
    metrics = {"name": "text-classification", "metrics": ["accuracy", "hub:miss"]}
    return make_recipe(task=metrics, training={"max_steps": 1})


@pytest.fixture
def file(recipe: Recipe, tmp_path: Path) -> str:
    path = tmp_path / "tiny" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(dump_recipe(recipe))
    return str(path)


@pytest.mark.parametrize(
    "command",
    [["check"], ["plan"], ["run"], ["run", "--detach"], ["run", "--queue"], ["queue", "add"],
     ["tune", "--trials", "1"]],
    ids=" ".join,
)  # fmt: skip
def test_every_command_refuses_what_is_not_allowed(
    command: list[str], file: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    runs = [] if command in (["check"], ["plan"]) else ["--runs", str(tmp_path / "runs")]
    assert main([*command, file, *runs]) == 2
    said = capsys.readouterr()
    assert "tiny/lora: task.metrics: the metric hub:miss is a program of the Hub" in said.err
    assert f"{OPTION} miss@COMMIT" in said.err and "no problems" not in said.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("start", [jobs.start, jobs.enqueue, run_all])
def test_the_library_refuses_it_before_anything_is_written(
    start: Callable[..., object], recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="hub:miss is a program of the Hub"):
        start([recipe], runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_plan_refuses_it(recipe: Recipe) -> None:
    with pytest.raises(UsageError, match="hub:miss is a program of the Hub"):
        plan(recipe)


def test_consent_is_remembered_by_other_processes(
    file: str, hub: MetricHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", file, OPTION, f"miss@{COMMIT}"]) == 0
    assert f"metric miss runs {hub.address}/spaces/" in capsys.readouterr().err
    hub.asked.clear()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "workbench", "check", file],
        env=jobs.launch.child_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "metric miss runs" in done.stderr and "no problems" in done.stderr
    assert hub.asked == []


def test_a_run_with_consent_has_the_score(
    file: str, hub: MetricHub, tmp_path: Path, train: Callable[..., object]
) -> None:
    runs = tmp_path / "runs"
    options = ["--seeds", "0", "--runs", str(runs)]
    assert main(["run", file, *options, OPTION, f"miss@{COMMIT}"]) == 0
    result = read_json(next(runs.glob("tiny/*/result.json")))
    assert result and "hub:miss" in result["metrics"]["test"]
    code = result["metric_code"]["miss"]
    assert code["revision"] == COMMIT
    sha256 = hashlib.sha256(METRIC.encode()).hexdigest()
    assert code["scripts"]["miss.py"]["sha256"] == sha256


def test_scores_of_two_scripts_are_not_set_side_by_side(
    recipe: Recipe, hub: MetricHub, train: Callable[..., Run], tmp_path: Path
) -> None:
    found = []
    for name in ("before", "after"):
        allow(f"miss@{COMMIT}")
        run = train(recipe, seed=0, runs_dir=tmp_path / name)
        assert run.state == "finished", run.reason
        found.append(run.result["comparability"]["metrics"])
        hub.add("miss.py", METRIC + "# another\n")
        allowed_file().unlink()
    assert found[0] != found[1]


def test_a_script_that_has_changed_since_is_refused_before_anything_loads(
    file: str, hub: MetricHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", file, OPTION, f"miss@{COMMIT}"]) == 0
    for path in tmp_path.glob("cache/metric-code/*/*/miss.py"):
        path.write_text(f"open({str(tmp_path / 'CANARY')!r}, 'w')\n{METRIC}")
    assert main(["run", file, "--runs", str(tmp_path / "runs")]) == 2
    assert "has changed since it was allowed" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("section", ["", "task:", "method:"])
def test_a_recipe_cannot_allow_it(section: str, file: str, hub: MetricHub) -> None:
    line = f"{'  ' if section else ''}allow_metric_code: [miss@{COMMIT}]\n"
    text = Path(file).read_text()
    start = text.index(section + "\n") + len(section) + 1 if section else 0
    Path(file).write_text(text[:start] + line + text[start:])
    with pytest.raises(RecipeError, match="allow_metric_code"):
        load_recipe(file)
    assert hub.asked == [] and read_allowed() == {} and not allowed_file().exists()


@pytest.mark.parametrize(
    "linked",
    [HUB_METRIC, 'task.metrics=["h\\u0075b:miss"]', "task={metrics: [hub:miss]}",
     " task.metrics = [hub:miss]", "model={source: evil/model}"],
)  # fmt: skip
def test_a_link_carries_no_metric_of_the_hub(linked: str) -> None:
    app = AppTest.from_file(str(app_path()), default_timeout=60)
    app.query_params["study"], app.query_params["recipe"] = "bbc-news", "lora"
    app.query_params["set"] = [linked, "method.r=32"]
    app.run()
    assert not app.exception
    assert app.query_params["set"] == "method.r=32"
    assert "--set method.r=32" in texts(app)
    assert "hub:miss" not in texts(app) and "evil" not in texts(app)


def test_a_link_carries_the_metrics_of_the_workbench() -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora", set="task.metrics=[f1_micro]")
    assert app.query_params["set"] == 'task.metrics=["f1_micro"]'


@pytest.mark.parametrize("button", ["start", "queue"])
def test_the_ui_refuses_it_and_says_how_to_allow_it(
    button: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path / "runs"))
    app = open_view("recipes", path=str(Path(file).parent))
    app.button(key=button).click().run(timeout=60)
    assert not app.exception
    assert "hub:miss is a program of the Hub that you have not allowed to run" in texts(app)
    assert f"{OPTION} miss@COMMIT" in texts(app)
    assert not list(tmp_path.glob("runs/*/*"))


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_a_run_that_is_resumed_needs_it_too(
    state: str, recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_path(tmp_path / "runs", recipe, 0)
    path.mkdir(parents=True)
    (path / "recipe.yaml").write_text(dump_recipe(recipe))
    write_json(path / "status.json", {"state": state, "seed": 0, "version": VERSION})
    for options in ([], ["--detach"]):
        assert main(["resume", str(path), "--runs", str(tmp_path / "runs"), *options]) == 2
        assert "hub:miss is a program of the Hub" in capsys.readouterr().err
    with pytest.raises(UsageError, match="hub:miss is a program of the Hub"):
        jobs.resume(read_run(path))
    assert sorted(each.name for each in path.iterdir()) == ["recipe.yaml", "status.json"]
