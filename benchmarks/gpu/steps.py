"""The optimizer step of a run as CUDA takes it, beside the way in which a CPU does.

A step is read when the next one has been launched, and its batch is made before
(``workbench.training.launched``); AdamW is one kernel. Either has to pay, and to change no number.
"""

import statistics
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from workbench.data import load_data
from workbench.distributed.accelerator import make_accelerator
from workbench.methods.build import build_model
from workbench.pipeline.setup import RecipeSetup, make_trainer, set_up
from workbench.recipe import Recipe
from workbench.training.events import Step
from workbench.training.trainer import Trainer

BEHIND, AT_ONCE = "read one behind", "read at once"
COMPARED, TURNS = 6, 5
"""Steps whose losses are compared, and how often the two ways take turns after that."""


def rows(name: str, recipe: Recipe, folder: Path, *, steps: int) -> Iterator[dict[str, Any]]:
    """Steps per second, losses and waits of both ways, and the optimizer's own time.

    Args:
        steps: of a turn.
    """
    setup = set_up(recipe, 0, load_data(recipe.data, recipe.task), trial=True)
    training, losses = {}, {}
    for way in (AT_ONCE, BEHIND):
        trainer = _trainer(setup, recipe, folder, behind=way == BEHIND)
        torch.manual_seed(0)
        training[way] = trainer, (event for event in trainer.events() if isinstance(event, Step))
        losses[way] = [step.loss for step in islice(training[way][1], COMPARED)]
    apart = max(abs(a - b) for a, b in zip(*losses.values(), strict=True))
    most = 0.01 if torch.cuda.is_available() else 0  # a card adds in any order
    yield result_row(
        f"{name}: losses of {COMPARED} steps, {BEHIND} and {AT_ONCE}",
        f"differ by {apart:.1e}",
        f"at most {most}",
        reached=apart <= most,
    )
    seconds: dict[str, list[float]] = {way: [] for way in training}
    for _ in range(TURNS):
        for way, (_trainer_of_it, taken) in training.items():
            seconds[way].append(_seconds(taken, steps))
    pace = {way: steps / statistics.median(each) for way, each in seconds.items()}
    gain = pace[BEHIND] / pace[AT_ONCE]
    yield result_row(
        f"{name}: steps/s, {BEHIND} over {AT_ONCE}",
        f"{gain:.2f} ({pace[BEHIND]:.1f}/s)",
        "at least 1",
        reached=gain >= 0.99,
    )
    if torch.cuda.is_available():
        waits = {way: _waits(taken) for way, (_, taken) in training.items()}
        value = ", ".join(f"{count:.1f} {way}" for way, count in waits.items())
        yield result_row(f"{name}: calls of a step that wait for the device", value)
    yield from _optimizers(name, training[BEHIND][0])


def result_row(
    what: str, value: object, bar: str = "", *, reached: bool | None = None
) -> dict[str, Any]:
    """A row of the report: a figure, its bar and whether it was reached."""
    verdict = "measured" if reached is None else "reached" if reached else "missed"
    return {"what": what, "value": value, "bar": bar, "verdict": verdict}


def _trainer(setup: RecipeSetup, recipe: Recipe, folder: Path, *, behind: bool) -> Trainer:
    setup = replace(setup, policy=replace(setup.policy, reads_behind=behind))
    accelerator = make_accelerator(setup.policy, recipe.training)
    model = build_model(recipe, setup.task, setup.load_base, steps=setup.steps, seed=0)
    return make_trainer(setup, model, recipe, 0, accelerator, folder / f"behind-{behind}")


def _seconds(taken: Iterator[Step], steps: int) -> float:
    wait()
    started = time.perf_counter()
    for _ in islice(taken, steps):
        pass
    wait()
    return time.perf_counter() - started


def wait() -> None:
    """Until a card has done all that was launched."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _waits(taken: Iterator[Step], steps: int = 3) -> float:
    """As torch counts them; an event that is waited for is none."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            for _ in islice(taken, steps):
                pass
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message) for each in told) / steps


def _optimizers(name: str, trainer: Trainer) -> Iterator[dict[str, Any]]:
    """Milliseconds of AdamW over the run's parameters, in one kernel and as a list of tensors."""
    taken = {}
    for kind in ("fused", "foreach"):
        copies = [torch.nn.Parameter(p.detach().clone()) for p in trainer.parameters.values()]
        for each in copies:
            each.grad = torch.ones_like(each)
        optimizer = torch.optim.AdamW(copies, **{kind: True})
        taken[kind] = min(_milliseconds(optimizer) for _ in range(TURNS))
    gain = taken["foreach"] / taken["fused"]
    yield result_row(
        f"{name}: AdamW, foreach over fused",
        f"{gain:.2f} ({taken['fused']:.2f} ms)",
        "at least 1",
        reached=gain >= 1,
    )


def _milliseconds(optimizer: torch.optim.Optimizer, steps: int = 10) -> float:
    wait()
    started = time.perf_counter()
    for _ in range(steps):
        optimizer.step()
    wait()
    return 1e3 * (time.perf_counter() - started) / steps
