"""A training without numbers against the same training with them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoTokenizer, BertConfig, BertModel, masking_utils

from tests.small_recipes import small_recipe
from workbench.costs import dry_run as module
from workbench.costs.dry_run import RunSpec, dry_run
from workbench.costs.fake_tensors import MemoryTracker, fake_mode
from workbench.costs.forecast import forecast
from workbench.costs.memory_forecast import largest_batch
from workbench.data import load_data
from workbench.data.encode import encode
from workbench.distributed.accelerator import make_accelerator
from workbench.distributed.policy import choose_policy
from workbench.models import load_base, load_tokenizer
from workbench.recipe.schema import Recipe
from workbench.tasks import make_task

CPU = torch.device("cpu")


def run_spec_of(recipe: Recipe) -> RunSpec:
    data = load_data(recipe.data, recipe.task)
    task, tokenizer = make_task(recipe.task, data.label_names), load_tokenizer(recipe.model)
    encoder = task.encoder(tokenizer, recipe.model.max_length)
    policy = choose_policy(recipe.training, CPU)
    return RunSpec(
        recipe=recipe,
        task=task,
        policy=policy,
        tokenizer=tokenizer,
        train=encode(data.train, encoder, tokenizer),
    )


@pytest.fixture
def with_numbers(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunSpec], int]:
    """The same steps over real tensors, counted in the same way: the peak in bytes."""
    tracker = MemoryTracker()

    def build(spec: Any, task: Any, *, policy: Any, tokenizer: Any) -> Any:
        base = load_base(spec, task, policy)
        for tensor in (*base.model.parameters(), *base.model.buffers()):
            tracker._hold(tensor)
        return base

    @contextmanager
    def real() -> Iterator[MemoryTracker]:
        with tracker:
            yield tracker

    def peak(run: RunSpec) -> int:
        gc.collect()
        monkeypatch.setattr(module, "fake_mode", real)
        monkeypatch.setattr(module, "fake_base", build)
        with dry_run(run, 0) as done:
            return done.peak

    return peak


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["full", "head", "lora", "prefix"])
def test_fake_tensors_hold_as_many_bytes_as_real_ones(
    method: str,
    precision: str,
    make_recipe: Callable[..., Recipe],
    with_numbers: Callable[[RunSpec], int],
) -> None:
    run = run_spec_of(make_recipe(method, training={"precision": precision}))
    with dry_run(run, 0) as dry:
        predicted = dry.peak
    assert predicted == pytest.approx(with_numbers(run), rel=0.02)


@pytest.mark.parametrize("method", ["full", "lora", "prefix", "prompt"])
def test_fake_tensors_of_a_language_model_hold_as_many_bytes(
    method: str, tiny_llama: Path, tmp_path: Path, with_numbers: Callable[[RunSpec], int]
) -> None:
    """Shared key heads, rotary positions, a tied output layer, and weights that stay in bf16."""
    recipe = small_recipe("instruction", method, tiny_llama, tmp_path)
    training = recipe.training.model_copy(update={"precision": "bf16"})
    run = run_spec_of(recipe.model_copy(update={"training": training}))
    with dry_run(run, 0) as dry:
        predicted = dry.peak
    assert predicted == pytest.approx(with_numbers(run), rel=0.02)


def test_nothing_of_the_process_is_changed(make_recipe: Callable[..., Recipe]) -> None:
    run = run_spec_of(make_recipe("lora"))
    before = torch.get_rng_state(), nn.Module._apply, masking_utils.is_tracing
    found = forecast(run, CPU, 0, what_if=True)
    assert found["notes"] == [] and found["peak_memory_bytes"] > 0
    assert torch.equal(before[0], torch.get_rng_state())
    assert (nn.Module._apply, masking_utils.is_tracing) == before[1:]
    assert type(torch.ones(1)) is torch.Tensor
    make_accelerator(run.policy, run.recipe.training)


def test_world_lets_go_of_what_nobody_holds() -> None:
    with fake_mode() as tracker:
        kept = torch.ones(1000)
        view = kept[10:]
        assert tracker.live == 4000, "a view holds no bytes of its own"
        dropped = torch.ones(500)
        assert (tracker.live, tracker.peak) == (6000, 6000)
        del dropped
        assert (tracker.live, tracker.peak) == (4000, 6000)
        del kept
        assert tracker.live == 4000 and view.shape == (990,)
        assert float(view.sum()) != float(view.sum()), "numbers that are asked for always differ"


def test_micro_batches_and_checkpointing_take_less(
    make_recipe: Callable[..., Recipe], tiny_bert: Path, tmp_path: Path
) -> None:
    # Four layers: of the tiny model's two the last keeps next to nothing that could be saved.
    config = BertConfig.from_pretrained(tiny_bert, num_hidden_layers=4)
    BertModel(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path)
    model = {"source": str(tmp_path)}

    def activations(**training: Any) -> int:
        recipe = make_recipe("lora", model=model, training={"batch_size": 32, **training})
        with dry_run(run_spec_of(recipe), 0) as done:
            return done.peak - sum(done.pieces.values())

    whole = activations()
    assert activations(micro_batch_size=8) < 0.5 * whole
    assert activations(gradient_checkpointing=True) < 0.9 * whole


@pytest.mark.parametrize(
    "method",
    ["lora", "prefix", *(pytest.param(m, marks=pytest.mark.slow) for m in ("full", "p-tuning"))],
)
def test_the_largest_batch_fits_and_one_more_does_not(
    method: str, make_recipe: Callable[..., Recipe]
) -> None:
    with dry_run(run_spec_of(make_recipe(method)), 0) as done:
        for free in (done.with_examples(77).peak, 2_000_000, 700_001):
            found = largest_batch(done, free)
            assert found is not None
            assert done.with_examples(found).peak <= free < done.with_examples(found + 1).peak
        assert largest_batch(done, sum(done.pieces.values()) // 2) is None


def test_the_largest_batch_is_one_of_a_forward_pass(make_recipe: Callable[..., Recipe]) -> None:
    """Micro-batches cut a step, not what is asked: how many would fit at once."""

    def largest(**training: int) -> int | None:
        recipe = make_recipe("lora", training={"batch_size": 8, **training})
        with dry_run(run_spec_of(recipe), 0) as done:
            return largest_batch(done, 2_000_000)

    whole, cut = largest(), largest(micro_batch_size=2)
    assert whole and cut and cut <= whole < 1.1 * cut, "the gradients of the first pass are kept"


def test_what_cannot_be_dry_run_is_said_and_not_raised(
    make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exotic(*_: object, **__: object) -> None:
        raise NotImplementedError("no fake of my_kernel\nat great length")

    run = run_spec_of(make_recipe("lora"))
    monkeypatch.setattr(module, "fake_base", exotic)
    found = forecast(run, CPU, 0)
    assert found["notes"] == ["no forecast, NotImplementedError: no fake of my_kernel"]
    assert found["peak_memory_bytes"] is None and found["fits"] is None
    assert found["steps"] == 14 and found["tokens"] > 0


def test_the_session_folder_stays_unwritten(make_recipe: Callable[..., Recipe]) -> None:
    forecast(run_spec_of(make_recipe("head")), CPU, 0)
    assert not Path("nowhere").exists()
