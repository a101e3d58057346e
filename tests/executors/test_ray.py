"""A study on a Ray cluster: what is refused, what is lost with a node, what comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from safetensors.torch import load_file

from workbench.cli import main
from workbench.errors import UsageError
from workbench.executors import ray as executor
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, list_runs

Make = Callable[..., Recipe]
ROOT = Path(__file__).parents[2]
with_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra: .[ray]")


def test_a_run_takes_what_was_asked_of_a_node() -> None:
    assert executor.options_of({"CPU": 8}) == {
        "num_cpus": 1.0,
        "num_gpus": 0.0,
        "max_retries": 3,
    }
    with_gpus = executor.options_of({"CPU": 8, "GPU": 2}, cpus=4, memory_gb=1.5)
    assert with_gpus["num_gpus"] == 1.0 and with_gpus["memory"] == 3 * 1024**3 // 2
    assert executor.options_of({"GPU": 1}, gpus=0.5)["num_gpus"] == 0.5


def test_without_ray_the_extra_is_named(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="Ray is not installed") as caught:
        executor.run_study([make_recipe("head")], tmp_path, seeds=[0])
    assert "peft-workbench[ray]" in str(caught.value)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--executor", "slurm"], "there is no such executor"),
        (["--executor", "ray", "--detach"], "--detach with --executor"),
        (["--executor", "ray", "--processes", "2"], "--processes with --executor"),
        (["--executor", "ray", "--store", "nowhere://x"], "cannot open the store nowhere://x"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: list[str],
    said: str,
    make_recipe: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "head.yaml"
    file.write_text(dump_recipe(make_recipe("head")))
    assert main(["run", str(file), "--runs", str(tmp_path / "runs"), *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@with_ray
def test_a_study_outlives_one_of_its_nodes(
    make_recipe: Make, train: Callable[..., Run], tmp_path: Path
) -> None:
    """All runs finish, and the one whose node was killed is what it would have been."""
    training = {"max_steps": 400, "validate_every": 10, "learning_rate": 1e-3}
    recipe = make_recipe("lora", training=training, seeds=[0, 1])
    file = tmp_path / "lora.yaml"
    file.write_text(dump_recipe(recipe))
    runs = tmp_path / "runs"
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("two_nodes.py")), str(file), str(runs)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=600,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["code"] == 0, report["said"]
    assert not report["survived"]
    answer = json.loads(report["answer"])["runs"]
    assert [each["state"] for each in answer] == ["finished"] * 2
    assert all(each["metrics"]["test"] for each in answer)

    found = {run.id: run for run in list_runs(runs)}
    assert [run.state for run in found.values()] == ["finished"] * 2
    assert not list(runs.rglob("*.tmp"))
    for run in found.values():
        steps = [row["step"] for row in run.events()[0] if row["kind"] == "step"]
        assert steps == list(range(1, 401)), run.id
    killed = found[report["killed"]]
    assert 20 < report["killed_at"] < 400
    assert f"{killed.id} resumed" in report["said"]
    whole = train(recipe, int(killed.status["seed"]), tmp_path / "whole")
    assert killed.result["metrics"]["test"] == whole.result["metrics"]["test"]
    ours, theirs = (load_file(r.adapter / "adapter_model.safetensors") for r in (killed, whole))
    assert ours.keys() == theirs.keys()
    assert all(bool((ours[name] == theirs[name]).all()) for name in ours)
