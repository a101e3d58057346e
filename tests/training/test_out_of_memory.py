"""A step that does not fit into memory is tried again smaller, and is then what it should be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from workbench.costs.memory_meter import MemoryMeter, over_processes
from workbench.data.encode import Row
from workbench.distributed.accelerator import is_out_of_memory
from workbench.pipeline import setup
from workbench.recipe.schema import Recipe
from workbench.store import Run
from workbench.training.accumulation import Accumulation

Make = Callable[..., Recipe]
Train = Callable[..., Run]
CPU_MESSAGE = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
)
# Dropout shows whether the second try draws the random numbers of the first.
TRAINING = {"max_steps": 6, "learning_rate": 1e-2, "dropout": 0.2, "attention": "eager"}


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Makes forward passes of more rows than that fail from the second of a run on."""

    def limit(fits: int) -> list[int]:
        tried: list[int] = []
        real = Accumulation._losses

        def losses(self: Accumulation, rows: Sequence[Row]) -> Any:
            tried.append(len(rows))
            if len(rows) > fits and len(tried) > 1:
                raise RuntimeError(CPU_MESSAGE)
            return real(self, rows)

        monkeypatch.setattr(Accumulation, "_losses", losses)
        # A forecast rehearses the first steps, and its passes would be counted too.
        monkeypatch.setattr(setup, "forecast", lambda *_, **__: {})
        return tried

    return limit


def losses_of(run: Run) -> list[float]:
    return [row["loss"] for row in run.events()[0] if row["kind"] == "step"]


def test_a_step_that_does_not_fit_is_what_a_smaller_micro_batch_makes_of_it(
    make_recipe: Make, train: Train, tmp_path: Path, only: Callable[[int], list[int]]
) -> None:
    by_hand = train(make_recipe("lora", training={**TRAINING, "micro_batch_size": 2}), 0, tmp_path)
    tried = only(2)
    asked = {**TRAINING, "micro_batch_size": 4, "auto_micro_batch": True}
    seen: list[str] = []
    automatic = train(
        make_recipe("lora", training=asked), 0, tmp_path, observer=lambda kind, _: seen.append(kind)
    )
    assert automatic.state == "finished", automatic.reason
    # The first four rows have left gradients behind when the other four do not fit.
    assert tried[:6] == [4, 4, 2, 2, 2, 2]
    assert losses_of(automatic) == losses_of(by_hand)
    ours, theirs = (
        load_file(r.adapter / "adapter_model.safetensors") for r in (automatic, by_hand)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    (row,) = [row for row in automatic.events()[0] if row["kind"] == "micro_batch"]
    assert (row["step"], row["tried"], row["size"]) == (1, 4, 2)
    assert seen.count("micro_batch") == 1
    assert automatic.result["memory"]["micro_batch_size"] == 2
    assert any("2 examples at once" in each for each in automatic.result["warnings"])
    assert automatic.result["time"]["examples_seen"] == by_hand.result["time"]["examples_seen"]


def test_unasked_it_fails_and_says_what_helps(
    make_recipe: Make, train: Train, tmp_path: Path, only: Callable[[int], list[int]]
) -> None:
    only(2)
    run = train(make_recipe("lora", training={**TRAINING, "micro_batch_size": 4}), 0, tmp_path)
    assert run.state == "failed"
    assert run.reason.startswith("out of memory") and "training.auto_micro_batch" in run.reason


def test_one_example_that_does_not_fit_ends_the_run(
    make_recipe: Make, train: Train, tmp_path: Path, only: Callable[[int], list[int]]
) -> None:
    tried = only(0)
    training = {**TRAINING, "auto_micro_batch": True}
    run = train(make_recipe("lora", training=training), 0, tmp_path)
    assert run.state == "failed"
    assert "out of memory with one example per forward pass" in run.reason
    assert tried == [8, 8, 4, 2, 1], "the first pass is let through"


def test_it_is_the_same_run_with_and_without() -> None:
    common: dict[str, Any] = {
        "task": {"name": "text-classification"},
        "model": {"source": "asset:minilm-l6"},
        "data": {"source": "asset:bbc-news"},
        "method": {"name": "lora"},
    }
    plain, automatic = (
        Recipe.model_validate({**common, "training": {"auto_micro_batch": flag}})
        for flag in (False, True)
    )
    assert plain.fingerprint == automatic.fingerprint


@pytest.mark.parametrize(
    "error, expected",
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError(CPU_MESSAGE), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"), True),
        (MemoryError(), True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_torch_says_so_in_these_words() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert is_out_of_memory(caught.value)


def test_the_memory_of_processes_is_summed_and_listed() -> None:
    records = [
        MemoryMeter(torch.device("cpu"), phases={"load": 5, "train": peak}).record({"weights": 3})
        for peak in (10, 20)
    ]
    both = over_processes(records)
    assert both["per_process"] == [10, 20] and both["peak_memory_bytes"] == 30
    assert both["phases"] == {"load": 10, "train": 30} and both["reserved"] is None
    assert both["breakdown"] == {"weights": 6, "activations_bytes": 7 + 17}


def test_a_peak_is_never_below_what_the_tensors_hold() -> None:
    meter = MemoryMeter(torch.device("cpu"), phases={"train": -40_960})
    memory = meter.record({"weights_bytes": 300, "gradients_bytes": 20})
    assert memory["peak_memory_bytes"] == 320 and memory["breakdown"]["activations_bytes"] == 0
