"""DeepSpeed's ZeRO gives what processes give that share nothing, and each holds a part."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from tests.shared_runs import (
    ASKED,
    MORE,
    ROOT,
    Case,
    Make,
    assert_guarded,
    environment,
    killed_and_resumed,
    launch,
    resume,
    rows_of,
    run_quietly,
)
from workbench import jobs
from workbench.cli.distributed import configs_dir
from workbench.recipe import dump_recipe
from workbench.store import Run, list_runs, read_run, run_path

CONFIG = configs_dir() / "accelerate" / "deepspeed-zero2.yaml"
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIG)]
installed = pytest.mark.skipif(
    find_spec("deepspeed") is None,
    reason="DeepSpeed is not installed: pip install 'peft-workbench[deepspeed]'",
)
WAYS = {"whole": 0, "zero1": 1, "zero2": 2}
"""Ways of running, each with the stage that it says."""


@pytest.fixture(scope="module")
def ways(
    tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, tiny_llama: Path
) -> dict[str, dict[str, Run]]:
    """Every case by two processes that share nothing, and by each stage of ZeRO."""
    folder = tmp_path_factory.mktemp("ways")
    models = {"text-classification": tiny_bert, "instruction": tiny_llama}
    recipes = {case.name: case.recipe(models, folder) for case in [*ASKED, *MORE]}
    files = []
    for name, recipe in recipes.items():
        files.append(str(folder / f"{name}.yaml"))
        Path(files[-1]).write_text(dump_recipe(recipe))
    for way, stage in WAYS.items():
        command = [*ACCELERATE, "--zero_stage", str(stage), "-m", "workbench", "run", *files]
        if not stage:
            command = [sys.executable, "-m", "workbench", "run", *files, "--processes", "2"]
        # The launcher itself imports DeepSpeed, which says on stdout that it sees no GPU.
        quiet = {"DS_ACCELERATOR": "cpu"} if stage else {}
        quiet["WORKBENCH_CACHE"] = str(folder / f"cache-{way}")
        done = run_quietly([*command, "--runs", str(folder / way), "--json"], 600, **quiet)
        assert done.returncode == 0, done.stderr[-3000:]
        assert len(json.loads(done.stdout)["runs"]) == len(files)
    return {
        name: {way: read_run(run_path(folder / way, recipe, 0)) for way in WAYS}
        for name, recipe in recipes.items()
    }


@installed
@pytest.mark.slow
@pytest.mark.parametrize("way", ["zero1", "zero2"])
@pytest.mark.parametrize("case", [*ASKED, *MORE], ids=lambda case: case.name)
def test_sharing_the_optimizer_changes_rounding_only(
    case: Case, way: str, ways: dict[str, dict[str, Run]]
) -> None:
    whole, shared = ways[case.name]["whole"], ways[case.name][way]
    assert shared.result["policy"]["zero"] == WAYS[way] and not whole.result["policy"]["zero"]
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
@pytest.mark.slow
@pytest.mark.parametrize("case", [*ASKED, *MORE], ids=lambda case: case.name)
def test_each_process_holds_half_of_what_is_shared(
    case: Case, ways: dict[str, dict[str, Run]]
) -> None:
    each = ways[case.name]
    whole, one, two = (each[way].result["memory"]["breakdown"] for way in WAYS)
    trained = whole["gradients_bytes"] // 2  # of each of two processes
    assert one["gradients_bytes"] == 2 * trained
    # Pieces are padded to a multiple of four numbers, one piece for each group of parameters.
    assert trained <= two["gradients_bytes"] <= trained + 2 * 2 * 16
    for shared in (one, two):
        assert shared["weights_bytes"] == whole["weights_bytes"]
        # Two moments and the fp32 copy, of all processes together.
        assert 3 * trained <= shared["optimizer_bytes"] <= 3 * (trained + 2 * 2 * 16) + 64
    for way in WAYS:
        peaks = each[way].result["memory"]["per_process"]
        assert len(peaks) == 2 and min(peaks) > 0


# --- going on -----------------------------------------------------------------------------------


@installed
@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("case", [ASKED[0], ASKED[5]], ids=lambda case: case.name)
def test_a_killed_run_goes_on_to_the_same_bit(
    case: Case, stage: int, tiny_bert: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    models = {"text-classification": tiny_bert, "instruction": tiny_llama}
    killed = killed_and_resumed(case, models, CONFIG, tmp_path, "--zero_stage", str(stage))
    assert killed.status["zero"] == stage


@installed
@pytest.mark.slow
def test_resume_shares_as_before_and_refuses_otherwise(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe("lora", training={"max_steps": 7, "validate_every": 2, "dropout": 0.1})
    assert launch(CONFIG, recipe, tmp_path, "5", "--zero_stage", "1")[0] != 0
    (killed,) = list_runs(tmp_path / "runs")

    alone = resume(killed, "--processes", "1")
    assert alone.returncode != 0 and "processes was 2, ZeRO 1 of DeepSpeed" in alone.stderr
    together = resume(killed)
    assert together.returncode == 0, together.stderr[-3000:]
    resumed = read_run(killed.path)
    assert resumed.state == "finished" and resumed.result["policy"]["zero"] == 1


@installed
@pytest.mark.slow
def test_a_run_is_stopped_and_saved(make_recipe: Make, tmp_path: Path) -> None:
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
    assert_guarded(CONFIG, make_recipe, tmp_path)
