"""Processes that share the weights give what one process gives, and each holds a part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import transformers
from safetensors.torch import load_file

from tests.killed_runs import after_step, exported_difference
from tests.methods.test_contract import CASES
from tests.shared_runs import (
    ASKED,
    EVERY,
    Case,
    Make,
    Ways,
    assert_guarded,
    forked,
    killed_and_resumed,
    launch,
    resume,
    rows_of,
)
from tests.trained_runs import SharedFolder
from tests.two_processes import SHARDED
from workbench.cli.distributed import configs_dir
from workbench.distributed.accelerator import this_process
from workbench.distributed.launcher import check_launch
from workbench.distributed.policy import choose_policy
from workbench.errors import MethodError, RunRefused, UsageError
from workbench.methods.build import build_model
from workbench.models import empty_base
from workbench.pipeline.runner import run_recipe
from workbench.recipe.schema import TrainingSpec
from workbench.store import read_run
from workbench.tasks import make_task
from workbench.training import sharding

CONFIG = configs_dir() / "accelerate" / "fsdp2.yaml"


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
    "pissa": "a start that is taken out of the base's weights",
    "olora": "a start that is taken out of the base's weights",
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
    adapted = build_model(recipe, task, empty_base)
    assert next(adapted.model.parameters()).is_meta
    if case not in REFUSED:
        sharding.check(adapted, recipe.method)
        return
    with pytest.raises(MethodError, match=f"{REFUSED[case]} cannot be sharded") as caught:
        sharding.check(adapted, recipe.method)
    assert "lora with its default start" in str(caught.value)


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


@pytest.fixture
def ways(shared: SharedFolder, plain_loader: Any) -> Ways:
    return Ways(shared, plain_loader)


@pytest.mark.parametrize("case", EVERY)
def test_sharing_the_weights_changes_rounding_only(case: Case, ways: Ways) -> None:
    alone, whole, shared = (ways.run(case, way) for way in ("alone", "whole", "shared"))
    assert shared.result["policy"]["sharded"] and not whole.result["policy"]["sharded"]
    for other in (alone, whole):
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


@pytest.mark.parametrize("case", EVERY)
def test_each_process_holds_half(case: Case, ways: Ways) -> None:
    runs = [ways.run(case, way) for way in ("alone", "whole", "shared")]
    alone, whole, shared = (run.result["memory"] for run in runs)
    (everything,) = alone["pieces_per_process"]
    assert whole["pieces_per_process"] == [everything, everything]
    assert len(shared["pieces_per_process"]) == 2
    for pieces in shared["pieces_per_process"]:
        # Odd rows stay with the first process, buffers and AdamW's counters with both.
        assert 0.45 * everything < pieces < 0.6 * everything
    for name in ("weights_bytes", "gradients_bytes", "optimizer_bytes"):
        assert shared["breakdown"][name] < 1.2 * alone["breakdown"][name]


# --- going on -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("case", [ASKED[0], ASKED[1], ASKED[5], ASKED[7]], ids=lambda c: c.name)
def test_a_killed_run_goes_on_to_the_same_bit(
    case: Case, shared: SharedFolder, tmp_path: Path
) -> None:
    killed = killed_and_resumed(case, shared, SHARDED, tmp_path)
    assert killed.status["sharded"]


@pytest.mark.slow
def test_resume_shares_as_before_and_refuses_otherwise(make_recipe: Make, tmp_path: Path) -> None:
    """The undisturbed run is started by the shipped configuration, the resumed by `resume`."""
    training = {"max_steps": 7, "validate_every": 2, "dropout": 0.1}
    recipe = make_recipe("lora", training=training)
    undisturbed = launch(CONFIG, recipe, tmp_path / "undisturbed")
    killed = forked(recipe, tmp_path / "killed", SHARDED, prepare=after_step(5), fails=True)
    state = json.loads((killed.path / "checkpoints" / "step-000004" / "state.json").read_text())
    assert state["conditions"]["processes"] == "2, sharded"
    with pytest.raises(RunRefused, match="processes was 2, sharded, is 1"):
        run_recipe(recipe, 0, tmp_path / "killed", resume=True)
    together = resume(killed)
    assert together.returncode == 0, together.stderr[-3000:]
    resumed = read_run(killed.path)
    assert resumed.result["policy"]["sharded"] and undisturbed.result["policy"]["sharded"]
    assert not exported_difference(undisturbed, resumed)


# --- guards -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_guards_see_what_is_cut(make_recipe: Make, tmp_path: Path) -> None:
    assert_guarded(SHARDED, make_recipe, tmp_path)
