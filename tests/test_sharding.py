"""Processes that share the weights give what one process gives, and each holds a part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import transformers
from safetensors.torch import load_file

from tests.killed_runs import difference, exported_difference
from tests.methods.test_contract import CASES
from tests.small_recipes import small_recipe
from workbench.cli import main
from workbench.cli.distributed import configs_dir
from workbench.devices import choose_policy, this_process
from workbench.errors import MethodError, UsageError
from workbench.launched import check_launch
from workbench.preparing import adapt_empty
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe, TrainingSpec
from workbench.store import Run, list_runs, read_run, run_path
from workbench.tasks import make_task
from workbench.training import sharding

Make = Callable[..., Recipe]
ROOT = Path(__file__).parents[1]
CONFIG = configs_dir() / "accelerate" / "fsdp2.yaml"


def environment() -> dict[str, str]:
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}


# --- what cannot be sharded ---------------------------------------------------------------------


def test_the_launcher_s_word_decides_and_a_single_process_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = this_process().device
    assert not choose_policy(TrainingSpec(), device, 2).sharded
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    assert choose_policy(TrainingSpec(), device, 2).sharded
    assert not choose_policy(TrainingSpec(), device, 1).sharded
    check_launch(TrainingSpec(), 2)
    with pytest.raises(UsageError, match="nobody to share the weights with"):
        check_launch(TrainingSpec(), 1)


@pytest.mark.parametrize(
    "variable, value, training, words, fix",
    [
        ("FSDP_VERSION", "1", {}, "FSDP 1 is not supported", "fsdp_version: 2"),
        ("FSDP_OFFLOAD_PARAMS", "true", {}, "fsdp_offload_params", "more processes"),
        (
            "FSDP_ACTIVATION_CHECKPOINTING",
            "true",
            {},
            "fsdp_activation_checkpointing",
            "training.gradient_checkpointing",
        ),
        ("FSDP_VERSION", "2", {"auto_micro_batch": True}, "auto_micro_batch", "micro_batch_size"),
    ],
)
def test_settings_that_have_no_place_are_refused(
    variable: str,
    value: str,
    training: dict[str, Any],
    words: str,
    fix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=words) as caught:
        check_launch(TrainingSpec(**training), 2)
    assert fix in str(caught.value) and caught.value.why


VBLORA = {"num_vectors": 4, "vector_length": 8, "topk": 2, "target_modules": ["query"]}
REFUSED = {
    "pissa": "the start pissa",
    "olora": "the start olora",
    "peft-adalora": "ADALORA",
    "peft-vblora": "VBLORA",
}


@pytest.mark.parametrize("case", [*CASES, "peft-vblora"])
def test_methods_are_refused_before_weights_are_read_or_not_at_all(
    case: str, make_recipe: Make
) -> None:
    method = CASES.get(case) or {"name": "peft", "type": "VBLORA", "config": VBLORA}
    recipe = make_recipe(method, task={"labels": ["business", "sport", "tech"]})
    task = make_task(recipe.task, ("business", "sport", "tech"))
    adapted, _ = adapt_empty(recipe, task)
    assert next(adapted.model.parameters()).is_meta
    if case not in REFUSED:
        sharding.check(adapted, recipe.method)
        return
    with pytest.raises(MethodError, match=f"{REFUSED[case]} cannot be sharded") as caught:
        sharding.check(adapted, recipe.method)
    assert "lora with its default start" in str(caught.value)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--shard"], "--shard with one process"),
        (["--shard", "--processes", "2", "--queue"], "--shard with --queue"),
    ],
)
def test_the_command_refuses_what_it_cannot_share(
    options: list[str],
    words: str,
    make_recipe: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(make_recipe("lora")))
    assert main(["run", str(file), "--runs", str(tmp_path / "runs"), *options]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "distilbert"])
def test_layers_are_found(family: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(f"tiny_{family}")
    model = transformers.AutoModel.from_pretrained(folder)
    assert len(sharding.layers_of(model)) == 2


def test_a_layer_that_is_used_again_and_again_is_none() -> None:
    config = transformers.AlbertConfig(
        vocab_size=9, hidden_size=8, num_attention_heads=2, intermediate_size=8, embedding_size=8
    )
    assert sharding.layers_of(transformers.AlbertModel(config)) == []


# --- two processes ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A recipe that is run by one process, by two, and by two that share the weights."""

    task: str
    method: str
    name: str
    training: dict[str, Any]
    decoding: dict[str, Any]

    def recipe(self, models: dict[str, Path], folder: Path) -> Recipe:
        """A validation of 7 and a test of 9 examples leave one process without any at the end,
        and the gradients are long enough to be clipped."""
        training = {"max_grad_norm": 0.05, "keep": "best", "validate_every": 2, **self.training}
        sections: dict[str, Any] = {
            "name": self.name,
            "training": training,
            "data": {"validation_size": 7, "test_size": 9},
        }
        if self.decoding:
            sections["task"] = {"decoding": self.decoding}
        return small_recipe(self.task, self.method, models[self.task], folder, **sections)


def _case(task: str, method: str, mark: str = "", /, **training: Any) -> Case:
    decoding = training.pop("decoding", {})
    return Case(task, method, "-".join(filter(None, [task, method, mark])), training, decoding)


ASKED = [
    _case(task, method)
    for task in ("text-classification", "instruction")
    for method in ("full", "lora", "prefix", "prompt")
]
MORE = [
    _case("text-classification", "bitfit"),
    _case("text-classification", "lora", "bf16", precision="bf16"),
    _case("instruction", "full", "bf16", precision="bf16"),
    _case("instruction", "prompt", "bf16", precision="bf16"),
    _case(
        "instruction",
        "lora",
        "beams",
        micro_batch_size=3,
        gradient_checkpointing=True,
        decoding={"max_new_tokens": 4, "beams": 2},
    ),
]


@dataclass(frozen=True)
class Ways:
    """The runs of a recipe."""

    alone: Run
    whole: Run
    """By two processes, each with the whole model."""
    shared: Run


@pytest.fixture(scope="module")
def ways(
    tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, tiny_llama: Path
) -> dict[str, Ways]:
    """Every case in each of three ways, by the command that a person types."""
    folder = tmp_path_factory.mktemp("ways")
    models = {"text-classification": tiny_bert, "instruction": tiny_llama}
    recipes = {case.name: case.recipe(models, folder) for case in [*ASKED, *MORE]}
    files = []
    for name, recipe in recipes.items():
        files.append(folder / f"{name}.yaml")
        files[-1].write_text(dump_recipe(recipe))
    options = {
        "alone": [],
        "whole": ["--processes", "2"],
        "shared": ["--processes", "2", "--shard"],
    }
    for way, more in options.items():
        command = [sys.executable, "-m", "workbench", "run", *map(str, files), *more]
        done = subprocess.run(
            [*command, "--runs", str(folder / way)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=600,
            check=False,
            env=environment() | {"WORKBENCH_CACHE": str(folder / f"cache-{way}")},
        )
        assert done.returncode == 0, done.stderr[-3000:]
    return {
        name: Ways(**{way: read_run(run_path(folder / way, recipe, 0)) for way in options})
        for name, recipe in recipes.items()
    }


def rows_of(run: Run, kind: str, field: str) -> list[Any]:
    return [row[field] for row in run.events()[0] if row["kind"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize("case", [*ASKED, *MORE], ids=lambda case: case.name)
def test_sharing_the_weights_changes_rounding_only(case: Case, ways: dict[str, Ways]) -> None:
    each = ways[case.name]
    alone, shared = each.alone, each.shared
    assert shared.result["policy"]["sharded"] and not each.whole.result["policy"]["sharded"]
    for other in (each.alone, each.whole):
        # In bf16 two halves of a batch are no whole one; with and without sharing they are halves.
        rough = case.name.endswith("bf16") and other is alone
        for kind, field in (("step", "loss"), ("step", "grad_norm"), ("validation", "loss")):
            theirs = pytest.approx(rows_of(other, kind, field), rel=3e-2 if rough else 1e-4)
            assert rows_of(shared, kind, field) == theirs, (kind, field)
        assert shared.result["selected"]["step"] == other.result["selected"]["step"]
        if rough:
            continue
        assert shared.result["metrics"]["test"] == pytest.approx(other.result["metrics"]["test"])
        for file in sorted(other.adapter.glob("*.safetensors")):
            ours, theirs = load_file(shared.adapter / file.name), load_file(file)
            assert ours.keys() == theirs.keys()
            for name, tensor in ours.items():
                assert (tensor - theirs[name]).abs().max() < 1e-3, name
    clipped = [norm > 0.05 for norm in rows_of(alone, "step", "grad_norm")]
    assert all(clipped[:3]), "the gradients were too short to be clipped"
    assert shared.result["time"]["examples_seen"] == alone.result["time"]["examples_seen"]
    assert shared.result["parameters"] == alone.result["parameters"]
    references = [run.result["references"] for run in (alone, shared)]
    assert references[0].keys() == references[1].keys()
    for name, scores in references[0].items():
        assert references[1][name] == pytest.approx(scores, rel=1e-5), name
    assert shared.result["export"]["max_logit_difference"] < 1e-4
    tables = [pq.read_table(r.path / "predictions.parquet").to_pydict() for r in (alone, shared)]
    assert tables[0]["id"] == tables[1]["id"] and len(set(tables[1]["id"])) == 9
    if not case.name.endswith("bf16"):
        assert tables[0]["prediction"] == tables[1]["prediction"]


@pytest.mark.slow
@pytest.mark.parametrize("case", [*ASKED, *MORE], ids=lambda case: case.name)
def test_each_process_holds_half(case: Case, ways: dict[str, Ways]) -> None:
    each = ways[case.name]
    alone, whole, shared = (run.result["memory"] for run in (each.alone, each.whole, each.shared))
    (everything,) = alone["pieces_per_process"]
    assert whole["pieces_per_process"] == [everything, everything]
    assert len(shared["pieces_per_process"]) == 2
    for pieces in shared["pieces_per_process"]:
        # Odd rows stay with the first process, buffers and AdamW's counters with both.
        assert 0.45 * everything < pieces < 0.6 * everything
    for name in ("weights_bytes", "gradients_bytes", "optimizer_bytes"):
        assert shared["breakdown"][name] < 1.2 * alone["breakdown"][name]


# --- going on -----------------------------------------------------------------------------------


def launch(recipe: Recipe, folder: Path, what: str) -> tuple[int, str]:
    """Two processes that share the weights, by the shipped configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "recipe.yaml"
    file.write_text(dump_recipe(recipe))
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIG)]
    script = str(Path(__file__).with_name("sharded_worker.py"))
    done = subprocess.run(
        [*accelerate, script, str(file), str(folder / "runs"), what],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
        env=environment(),
    )
    return done.returncode, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("case", [ASKED[0], ASKED[1], ASKED[5], ASKED[7]], ids=lambda c: c.name)
def test_a_killed_run_goes_on_to_the_same_bit(
    case: Case, tiny_bert: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    models = {"text-classification": tiny_bert, "instruction": tiny_llama}
    training = {**case.training, "dropout": 0.1, "max_steps": 7, "micro_batch_size": 2}
    recipe = replace(case, training=training).recipe(models, tmp_path)
    code, said = launch(recipe, tmp_path / "undisturbed", "whole")
    assert code == 0, said
    code, _ = launch(recipe, tmp_path / "killed", "5")
    assert code != 0
    (killed,) = list_runs(tmp_path / "killed" / "runs")
    assert killed.state in ("interrupted", "failed") and killed.status["sharded"]
    code, said = launch(recipe, tmp_path / "killed", "resume")
    assert code == 0, said
    (undisturbed,) = list_runs(tmp_path / "undisturbed" / "runs")
    (resumed,) = list_runs(tmp_path / "killed" / "runs")
    assert [r["step"] for r in resumed.events()[0] if r["kind"] == "resumed"] == [4]
    assert not difference(undisturbed, resumed)


@pytest.mark.slow
def test_resume_shares_as_before_and_refuses_otherwise(make_recipe: Make, tmp_path: Path) -> None:
    training = {"max_steps": 7, "validate_every": 2, "dropout": 0.1}
    recipe = make_recipe("lora", training=training)
    assert launch(recipe, tmp_path / "undisturbed", "whole")[0] == 0
    assert launch(recipe, tmp_path / "killed", "5")[0] != 0
    (killed,) = list_runs(tmp_path / "killed" / "runs")
    state = json.loads((killed.path / "checkpoints" / "step-000004" / "state.json").read_text())
    assert state["conditions"]["processes"] == "2, sharded"

    def resume(*more: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "workbench", "resume", str(killed.path), *more]
        runs = ["--runs", str(tmp_path / "killed" / "runs")]
        return subprocess.run(
            [*command, *runs],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=300,
            check=False,
            env=environment() | variables,
        )

    alone = resume("--processes", "1")
    assert alone.returncode != 0 and "processes was 2, sharded, is 1" in alone.stderr
    together = resume()
    assert together.returncode == 0, together.stderr[-3000:]
    (undisturbed,) = list_runs(tmp_path / "undisturbed" / "runs")
    resumed = read_run(killed.path)
    assert resumed.result["policy"]["sharded"]
    assert not exported_difference(undisturbed, resumed)


# --- guards -------------------------------------------------------------------------------------


BLOWN_UP = {"learning_rate": 100.0, "max_grad_norm": None, "epochs": 40, "warmup_fraction": 0.0,
            "schedule": "constant", "weight_decay": 10.0}  # fmt: skip


@pytest.mark.slow
def test_guards_see_what_is_cut(make_recipe: Make, tmp_path: Path) -> None:
    """A tiny rate moves nothing; a huge one makes the loss non-finite."""
    still = make_recipe("prefix", training={"learning_rate": 1e-30})
    assert launch(still, tmp_path / "still", "whole")[0] != 0
    (run,) = list_runs(tmp_path / "still" / "runs")
    assert run.state == "failed" and "did not move in the first step" in run.reason
    blown_up = make_recipe("full", training=BLOWN_UP)
    assert launch(blown_up, tmp_path / "blown-up", "whole")[0] != 0
    (run,) = list_runs(tmp_path / "blown-up" / "runs")
    assert run.state == "failed" and "the gradient norm" in run.reason
    steps = [row["loss"] for row in run.events()[0] if row["kind"] == "step"]
    assert steps and all(loss == loss for loss in steps)
