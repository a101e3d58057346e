"""The precision of a device: what it has by itself, whatever the recipe asks for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from workbench.costs.plan import plan
from workbench.distributed import policy
from workbench.distributed.policy import choose_policy
from workbench.recipe.schema import Recipe, TrainingSpec
from workbench.store import BESIDE_VARIABLE, Run

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ASKED = TrainingSpec(precision="bf16")
CAPPED = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}

AMX = {"tiles": True, "wide": True, "kernels": True}
AVX512_BF16 = {"own": True, "wide": True, "kernels": True}


@pytest.fixture
def silicon(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Stands in for a processor: what it has, and what torch and oneDNN make of it."""

    def pretend(
        *, tiles: bool = False, own: bool = False, wide: bool = False, kernels: bool = False
    ) -> None:
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: own)
        capability = "AVX512" if wide else "AVX2"
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: kernels)

    return pretend


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        (AMX, "bf16"),
        (AVX512_BF16, "bf16"),
        ({"wide": True, "kernels": True}, "fp32"),  # AVX-512 alone: oneDNN emulates
        ({}, "fp32"),  # AVX2
        (AMX | {"wide": False}, "fp32"),  # torch is told to leave AVX-512 alone
        (AVX512_BF16 | {"kernels": False}, "fp32"),  # oneDNN is told to
    ],
)
def test_a_processor_computes_in_what_it_has(
    kind: dict[str, bool], precision: str, silicon: Callable[..., None]
) -> None:
    silicon(**kind)
    by_itself, asked = choose_policy(TrainingSpec(), CPU), choose_policy(ASKED, CPU)
    assert by_itself.precision == asked.precision == precision and not by_itself.notes
    assert choose_policy(TrainingSpec(precision="fp32"), CPU).precision == "fp32"
    if precision == "bf16":
        assert asked == by_itself
        return
    assert asked.notes == (
        "training.precision: bf16 is computed in fp32, as this processor only emulates bf16",
    )
    assert asked.why == f"{by_itself.why} (bf16 was asked for)"
    assert (asked.accelerate_precision, asked.attention, asked.dropout) == ("no", "eager", 0.0)


@pytest.mark.parametrize(("own", "precision"), [(True, "bf16"), (False, "fp32")])
def test_a_gpu_computes_in_what_it_has(
    own: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: own)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    by_itself, asked = choose_policy(TrainingSpec(), CUDA), choose_policy(ASKED, CUDA)
    assert by_itself.precision == asked.precision == precision and not by_itself.notes
    assert bool(asked.notes) is not own and ("this GPU" in "".join(asked.notes)) is not own


def test_what_was_not_measured_does_as_it_is_told() -> None:
    policy = choose_policy(ASKED, torch.device("mps"))
    assert policy.precision == "bf16" and not policy.notes


def test_a_cap_in_the_environment_counts() -> None:
    """As `make test-avx2` sets it; on a processor without bf16 both are fp32."""
    program = """if True:
        import json, torch
        from workbench.distributed import processor
        from workbench.distributed.policy import choose_policy
        from workbench.recipe.schema import TrainingSpec
        policy = choose_policy(TrainingSpec(precision="bf16"), torch.device("cpu"))
        print(json.dumps([processor.computes_bf16(), policy.precision]))"""
    environment = {**os.environ, **CAPPED, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, "fp32"]


def test_the_record_says_what_was_computed(
    make_recipe: Callable[..., Recipe],
    train: Callable[..., Run],
    tmp_path: Path,
    silicon: Callable[..., None],
) -> None:
    silicon()
    recipe = make_recipe("p-tuning", training={"precision": "bf16", "epochs": 1})
    run = train(recipe, 0, tmp_path)
    assert run.state == "finished", run.reason
    policy: dict[str, Any] = run.result["policy"]
    assert policy["precision"] == "fp32" and "bf16 was asked for" in policy["why"]
    assert run.result["comparability"]["device"] == "cpu/fp32"
    (note,) = policy["notes"]
    assert run.result["warnings"].count(note) == 1
    events = [row for row in run.events()[0] if row["kind"] in ("warning", "step")]
    assert events[0]["kind"] == "warning" and events[0]["message"] == note
    expected = plan(recipe, time=False)
    assert expected["precision"] == "fp32" and note in expected["notes"]


@pytest.mark.parametrize(
    ("training", "device", "beside", "shared", "expected"),
    [
        ({}, CUDA, 0, {}, True),
        ({"eval_batch_size": 32}, CUDA, 0, {}, False),  # what the recipe says
        ({}, CPU, 0, {}, False),
        ({}, CUDA, 2, {}, False),  # the other runs of the card need some of the memory
        ({}, CUDA, 0, {"shards_weights": True}, False),
        ({}, CUDA, 0, {"zero_stage": 2}, False),
    ],
)
def test_free_memory_decides_evaluation_batches_where_a_run_has_the_gpu_to_itself(
    training: dict[str, Any],
    device: torch.device,
    beside: int,
    shared: dict[str, Any],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    monkeypatch.setenv(BESIDE_VARIABLE, str(beside))
    monkeypatch.setattr(policy, "shards_weights", lambda: shared.get("shards_weights", False))
    monkeypatch.setattr(policy, "zero_stage", lambda: shared.get("zero_stage", 0))
    found = choose_policy(TrainingSpec(**training), device, processes=2)
    assert found.asks_free_memory is expected
    assert found.record().get("asks_free_memory", False) is expected
