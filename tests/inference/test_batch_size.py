"""Evaluation batches from free memory, and what happens when it runs out: no number changes.

The expected losses and texts are those of plain batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.tiny_decoders import build
from workbench.data.batches import Batch
from workbench.data.encode import Encoded
from workbench.distributed.accelerator import free_memory
from workbench.inference import batch_size as module
from workbench.inference.batch_size import EvaluationBatch
from workbench.inference.generate import generate
from workbench.inference.predict import predict
from workbench.recipe.tasks import Decoding
from workbench.tasks import Predicted

CPU = torch.device("cpu")
OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


class Lengths(nn.Module):
    """Answers each text with its length, and holds no more than ``fits`` of them."""

    def __init__(self, fits: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.fits, self.tried = fits, list[int]()

    def forward(self, attention_mask: torch.Tensor, **_other: Any) -> torch.Tensor:
        self.tried.append(len(attention_mask))
        if len(attention_mask) > self.fits:
            raise OUT_OF_MEMORY
        return attention_mask.sum(1) * self.weight


class LengthTask:
    """As much of a task as ``predict`` asks for."""

    def rows(self, encoded: Any, indices: Sequence[int], _seed: Any) -> list[dict[str, Any]]:
        return [{"input_ids": [1] * encoded.lengths[i]} for i in indices]

    def outputs(self, model: nn.Module, batch: Batch, _virtual: int) -> torch.Tensor:
        found: torch.Tensor = model(**batch.inputs)
        return found

    def losses(self, outputs: torch.Tensor, _batch: Batch) -> torch.Tensor:
        return 10 * outputs

    def weight(self, row: dict[str, Any]) -> float:
        return float(len(row["input_ids"]))

    def values(self, outputs: torch.Tensor, _batch: Batch) -> list[np.ndarray]:
        return list(outputs.numpy())


class Split(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.lengths)


def ask(model: Lengths, size: int | EvaluationBatch, lengths: np.ndarray, **more: Any) -> Predicted:
    task: Any = LengthTask()
    split: Encoded = Split(lengths=lengths)  # type: ignore[assignment]
    tokenizer: Any = SimpleNamespace(pad_token_id=0, pad_token_type_id=0)
    return predict(model, task, split, tokenizer, None, batch_size=size, virtual_tokens=0, **more)


LENGTHS = np.random.default_rng(0).integers(1, 60, 1000)


@pytest.mark.parametrize(
    ("free", "tokens", "examples"),
    [
        (0, 100, 32),  # never fewer than what is safe without asking
        (100_000, 100, 64),  # 0.7 of it are 70 rows of 1000 bytes
        (10**9, 100, 512),  # never more
        (200_000, 50, 256),  # 280 rows, half as long: half the bytes
        (400_000, 200, 64),  # 70 rows, twice as long: at most four times the bytes
    ],
)
def test_free_memory_decides_how_many_examples_are_taken_at_once(
    free: int, tokens: int, examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "free_memory", lambda _device: free)
    batch = EvaluationBatch(least=32, row_bytes=1000, row_tokens=100)
    assert batch.examples(tokens, CPU) == examples


def test_processes_take_what_the_fullest_of_their_devices_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "free_memory", lambda _device: 10**9)
    monkeypatch.setattr(module, "gather_object", lambda mine: [*mine, 70])
    batch = EvaluationBatch(least=32, row_bytes=1000, row_tokens=100)
    assert batch.examples(100, CPU, processes=2) == 2 * 64


def test_without_a_forecast_memory_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_memory", lambda _device: pytest.fail("asked"))
    assert EvaluationBatch(least=32).examples(100, CPU) == 32
    assert EvaluationBatch.of(7).examples(100, CPU) == 7


def test_free_is_what_nobody_has_and_what_torch_keeps_unused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 200)
    assert free_memory(torch.device("cuda")) == 1500


def test_a_batch_of_free_memory_gives_the_same_numbers_in_the_same_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "free_memory", lambda _device: 10**9)
    model, batch = Lengths(fits=2000), EvaluationBatch(least=32, row_bytes=1000, row_tokens=60)
    found = ask(model, batch, LENGTHS)
    assert model.tried == [512, 488] and batch.largest == 512 and batch.notes == ()
    assert found.losses.tolist() == (10 * LENGTHS).tolist()
    assert found.weights.tolist() == LENGTHS.tolist()
    assert [float(value) for value in found.values] == LENGTHS.tolist()


def test_a_batch_that_memory_does_not_hold_is_halved_until_it_does_and_stays_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "free_memory", lambda _device: 10**9)
    model, batch = Lengths(fits=100), EvaluationBatch(least=32, row_bytes=1000, row_tokens=60)
    done: list[tuple[int, int]] = []
    found = ask(model, batch, LENGTHS, on_progress=lambda *told: done.append(told))
    assert model.tried[:4] == [512, 256, 128, 64] and set(model.tried[4:]) <= {64, 488 % 64}
    assert found.losses.tolist() == (10 * LENGTHS).tolist(), "every text once, in its order"
    assert done == [(512, 1000), (1000, 1000)]
    assert batch.largest == 64 and len(batch.notes) == 1 and "halved" in batch.notes[0]
    model.tried.clear()
    ask(model, batch, LENGTHS)
    assert max(model.tried) == 64, "the next evaluation knows"


@pytest.mark.parametrize("size", [32, 5, 1])
def test_a_fixed_batch_is_halved_as_well_down_to_one_text(size: int) -> None:
    found = ask(Lengths(fits=1), size, LENGTHS[:40])
    assert found.losses.tolist() == (10 * LENGTHS[:40]).tolist()


def test_what_does_not_hold_one_text_fails_as_memory_does() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        ask(Lengths(fits=0), 32, LENGTHS)


def test_other_errors_are_not_tried_again() -> None:
    model = Lengths(fits=100)
    model.forward = lambda **_inputs: 1 / 0  # type: ignore[method-assign,assignment]
    with pytest.raises(ZeroDivisionError):
        ask(model, 32, LENGTHS)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_texts_are_written_again_with_the_same_draws_when_memory_runs_out(
    temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build("gpt2", "lora")
    prompts = [[3 + i, 5, 2][: 1 + i % 3] for i in range(12)]
    decoding = Decoding(max_new_tokens=6, temperature=temperature)

    def write(size: int | EvaluationBatch) -> list[list[int]]:
        return generate(model, prompts, decoding, eos_token_ids=[], batch_size=size, seed=3)

    expected = write(1)
    passes: list[int] = []

    def short_of_memory(_module: nn.Module, _args: Any, inputs: dict[str, Any]) -> None:
        passes.append(len(inputs["input_ids"]))
        if passes[-1] > 3 and len(passes) > 2:  # in the middle of an answer
            raise OUT_OF_MEMORY

    model.register_forward_pre_hook(short_of_memory, with_kwargs=True)
    monkeypatch.setattr(module, "free_memory", lambda _device: 10**9)
    batch = EvaluationBatch(least=2, row_bytes=1000, row_tokens=60)
    assert write(batch) == expected
    assert passes[0] == 12 and batch.fits == 3
