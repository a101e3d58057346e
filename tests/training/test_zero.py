"""DeepSpeed's ZeRO gives what processes give that share nothing, and each holds a part."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from tests.killed_runs import after_step
from tests.shared_runs import (
    ASKED,
    EVERY,
    ROOT,
    Case,
    Make,
    Ways,
    assert_guarded,
    environment,
    forked,
    killed_and_resumed,
    resume,
    rows_of,
)
from tests.trained_runs import SharedFolder
from tests.two_processes import zero
from workbench import jobs
from workbench.cli.distributed import configs_dir
from workbench.errors import RunRefused
from workbench.pipeline.runner import run_recipe
from workbench.recipe import dump_recipe
from workbench.store import list_runs, read_run

CONFIG = configs_dir() / "accelerate" / "deepspeed-zero2.yaml"
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIG)]
installed = pytest.mark.skipif(
    find_spec("deepspeed") is None,
    reason="DeepSpeed is not installed: pip install 'peft-workbench[deepspeed]'",
)
STAGES = {"zero1": 1, "zero2": 2}


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """DeepSpeed's optimizers bring in torch's compiler: once here instead of in each process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_module("torch._inductor.compile_fx")


@pytest.fixture
def ways(shared: SharedFolder, plain_loader: Any) -> Ways:
    return Ways(shared, plain_loader)


@installed
@pytest.mark.parametrize("way", STAGES)
@pytest.mark.parametrize("case", EVERY)
def test_sharing_the_optimizer_changes_rounding_only(case: Case, way: str, ways: Ways) -> None:
    whole, shared = ways.run(case, "whole"), ways.run(case, way)
    assert shared.result["policy"]["zero"] == STAGES[way] and not whole.result["policy"]["zero"]
    for kind, field in (("step", "loss"), ("step", "grad_norm"), ("validation", "loss")):
        theirs = pytest.approx(rows_of(whole, kind, field), rel=1e-4)
        assert rows_of(shared, kind, field) == theirs, (kind, field)
    assert rows_of(shared, "step", "examples") == rows_of(whole, "step", "examples")
    clipped = [norm > 0.05 for norm in rows_of(shared, "step", "grad_norm")]
    assert all(clipped[:3]), "the gradients were too short to be clipped"
    assert shared.result["parameters"] == whole.result["parameters"]
    assert shared.result["selected"]["step"] == whole.result["selected"]["step"]
    assert shared.result["time"]["examples_seen"] == whole.result["time"]["examples_seen"]
    assert shared.result["metrics"]["test"] == pytest.approx(whole.result["metrics"]["test"])
    assert shared.result["export"]["max_logit_difference"] < 1e-4
    for file in sorted(whole.adapter.glob("*.safetensors")):
        ours, theirs = load_file(shared.adapter / file.name), load_file(file)
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            assert (tensor - theirs[name]).abs().max() < 1e-3, name
    tables = [pq.read_table(r.path / "predictions.parquet").to_pydict() for r in (whole, shared)]
    assert tables[0]["id"] == tables[1]["id"] and len(set(tables[1]["id"])) == 9
    assert tables[0]["prediction"] == tables[1]["prediction"]


@installed
@pytest.mark.parametrize("case", EVERY)
def test_each_process_holds_half_of_what_is_shared(case: Case, ways: Ways) -> None:
    memories = [ways.run(case, way).result["memory"] for way in ("whole", *STAGES)]
    whole, one, two = (memory["breakdown"] for memory in memories)
    trained = whole["gradients_bytes"] // 2  # of each of two processes
    assert one["gradients_bytes"] == 2 * trained
    # Pieces are padded to a multiple of four numbers, one piece for each group of parameters.
    assert trained <= two["gradients_bytes"] <= trained + 2 * 2 * 16
    for shared in (one, two):
        assert shared["weights_bytes"] == whole["weights_bytes"]
        # Two moments and the fp32 copy, of all processes together.
        assert 3 * trained <= shared["optimizer_bytes"] <= 3 * (trained + 2 * 2 * 16) + 64
    for memory in memories:
        assert min(memory["per_process"]) > 0


# --- going on -----------------------------------------------------------------------------------


@installed
@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("case", [ASKED[0], ASKED[5]], ids=lambda case: case.name)
def test_a_killed_run_goes_on_to_the_same_bit(
    case: Case, stage: int, shared: SharedFolder, tmp_path: Path
) -> None:
    killed = killed_and_resumed(case, shared, zero(stage), tmp_path)
    assert killed.status["zero"] == stage


@installed
@pytest.mark.slow
def test_resume_shares_as_before_and_refuses_otherwise(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe("lora", training={"max_steps": 7, "validate_every": 2, "dropout": 0.1})
    killed = forked(recipe, tmp_path, zero(1), prepare=after_step(5), fails=True)
    with pytest.raises(RunRefused, match="processes was 2, ZeRO 1 of DeepSpeed"):
        run_recipe(recipe, 0, tmp_path, resume=True)
    together = resume(killed)
    assert together.returncode == 0, together.stderr[-3000:]
    resumed = read_run(killed.path)
    assert resumed.state == "finished" and resumed.result["policy"]["zero"] == 1


@installed
@pytest.mark.slow
def test_a_run_is_stopped_and_saved(make_recipe: Make, tmp_path: Path) -> None:
    """Started by accelerate's launcher and the shipped configuration."""
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(make_recipe("lora", training={"epochs": 5000, "keep": "last"})))
    command = [*ACCELERATE, "-m", "workbench", "run", str(file), "--runs", str(tmp_path / "runs")]
    with open(tmp_path / "log", "w") as log:
        launcher = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=ROOT, env=environment(), start_new_session=True
        )
    try:
        deadline = time.monotonic() + 200
        while not any(rows_of(run, "step", "loss") for run in list_runs(tmp_path / "runs")):
            assert time.monotonic() < deadline and launcher.poll() is None
            time.sleep(0.5)
        everybody = [psutil.Process(launcher.pid)]
        everybody += everybody[0].children(recursive=True)
        (run,) = list_runs(tmp_path / "runs")
        asked = time.monotonic()
        stopped = jobs.stop(run)
        assert stopped.state == "stopped" and time.monotonic() - asked < 10
        assert "by force" not in stopped.reason
        _, alive = psutil.wait_procs(everybody, timeout=10)
        assert not alive
        assert list((run.path / "checkpoints").glob("step-*"))
    finally:
        if launcher.poll() is None:
            os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()


# --- guards -------------------------------------------------------------------------------------


@installed
@pytest.mark.slow
def test_guards_see_what_is_shared(make_recipe: Make, tmp_path: Path) -> None:
    assert_guarded(zero(2), make_recipe, tmp_path)
