"""What a training will take: steps, tokens, memory and time, before it begins."""

from typing import Any

import numpy as np
import torch

from workbench.costs.calibration import Calibration
from workbench.costs.dry_run import DryRun, RunSpec, dry_run, widths
from workbench.costs.memory_forecast import (
    MOST_EXAMPLES,
    largest_batch,
    memory_of,
    runtime_bytes,
)
from workbench.costs.operations import OpCounts
from workbench.data.batches import epoch_order
from workbench.distributed.accelerator import free_memory
from workbench.training.optimizer import total_steps

NEEDS_TEXTS = ("steps", "tokens", "tokens_are_upper_bound")
NEEDS_DRY_RUN = (
    "peak_memory_bytes",
    "memory",
    "free_memory_bytes",
    "fits",
    "largest_batch_size",
    "largest_batch_is_lower_bound",
    "seconds_per_step",
    "seconds_per_step_range",
    "train_seconds",
    "train_seconds_range",
    "timings",
)
_MANY_STEPS = 2000
"""Steps whose padding is looked at for the time of all of them."""


def unknown(why: str) -> dict[str, Any]:
    return {**dict.fromkeys((*NEEDS_TEXTS, *NEEDS_DRY_RUN)), "notes": [f"no forecast: {why}"]}


def forecast(
    run: RunSpec,
    device: torch.device,
    seed: int,
    calibration: Calibration | None = None,
    *,
    measuring: bool = False,
    what_if: bool = False,
) -> dict[str, Any]:
    """Steps, tokens, memory (bytes) and time (seconds) of a training, from shapes alone.

    What cannot be predicted is None, with the reason in ``notes``; nothing is raised. Random
    numbers and the process's state are left as they were.

    Args:
        calibration: what operators take here; None for no forecast of time.
        measuring: whether operators that are not in the calibration are measured.
        what_if: whether to look for the largest batch that fits, one to four more steps.
    """
    found: dict[str, Any] = {**_length(run, seed), **dict.fromkeys(NEEDS_DRY_RUN)}
    notes: list[str] = []
    timed: dict[int, OpCounts] = {}
    if run.policy.sharded or run.policy.zero:
        return {**found, "notes": ["no forecast: what each process holds of a shared training"]}
    try:
        with dry_run(run, seed) as dry:
            runtime = runtime_bytes(device)
            found |= _memory(dry, device, runtime, what_if=what_if)
            if calibration and (measuring or calibration.seconds or calibration.while_busy):
                timed = _operations(dry, found["steps"], seed)
            if run.policy.asks_free_memory:
                found |= _evaluation(dry)
        if calibration:
            if measuring and timed:
                calibration.measure(*timed.values())
            found |= _time(run, calibration, timed, found["steps"], seed)
            if found["seconds_per_step"] is None:
                notes.append("time is not known: `workbench plan` measures this device for it")
            elif any(map(calibration.measured_while_busy, timed.values())):
                notes.append(
                    "time is probably too long: other programs kept this device busy while it was "
                    "measured; a plan measures again when they do not"
                )
    # Models are other people's code: what one of them does not do with fake tensors must not
    # keep a recipe from being counted or run.
    except Exception as error:
        words = (str(error).strip() or type(error).__name__).splitlines()[0]
        notes.append(f"no forecast, {type(error).__name__}: {words}")
    return {**found, "notes": notes}


def _length(run: RunSpec, seed: int) -> dict[str, Any]:
    spec, lengths, bound = run.recipe.training, run.train.lengths, run.upper_bound
    steps: int | None = None
    tokens: int | None = None
    if not bound:
        steps = total_steps(spec, len(lengths))
        epochs, rest = divmod(steps, -(-len(lengths) // spec.batch_size))
        order = epoch_order(lengths, spec.batch_size, seed=seed, epoch=epochs)[:rest]
        tokens = epochs * int(lengths.sum()) + sum(int(lengths[batch].sum()) for batch in order)
    elif spec.max_steps is not None or run.examples is not None:
        steps = total_steps(spec, run.examples or 0)
        tokens = steps * spec.batch_size * int(lengths.max())
    return {"steps": steps, "tokens": tokens, "tokens_are_upper_bound": bound}


def _memory(dry: DryRun, device: torch.device, runtime: int, *, what_if: bool) -> dict[str, Any]:
    found = memory_of(dry, runtime)
    free = free_memory(device)
    found |= {"free_memory_bytes": free, "fits": found["peak_memory_bytes"] <= free}
    if what_if:
        share = free // dry.run.policy.processes if device.type == "cpu" else free
        largest = largest_batch(dry, share - runtime)
        found["largest_batch_size"] = largest
        found["largest_batch_is_lower_bound"] = largest == MOST_EXAMPLES
    return found


def _evaluation(dry: DryRun) -> dict[str, Any]:
    """What an example of an evaluation takes; nothing where that cannot be told."""
    try:
        return {"evaluation": dry.evaluate()}
    except Exception:  # as in `forecast`; evaluations then take as many examples as on a CPU
        return {}


def _operations(dry: DryRun, steps: int | None, seed: int) -> dict[int, OpCounts]:
    """Operators of a step with the widest and with the mean padding, by tokens per row."""
    mean = _widths(dry.run, steps, seed).mean()
    taken = (dry.taken[-1], dry.with_width(int(round(mean / 8) * 8) or 1))
    return {step.width: step.operations for step in taken}


def _widths(run: RunSpec, steps: int | None, seed: int) -> np.ndarray:
    count = min(steps or 1, _MANY_STEPS)
    return np.array(widths(run.train, run.recipe.training, seed, count))


def _time(
    run: RunSpec,
    calibration: Calibration,
    timed: dict[int, OpCounts],
    steps: int | None,
    seed: int,
) -> dict[str, Any]:
    """Steps differ by their padding; between two that were looked at time grows in a line."""
    known = {w: t for w, each in timed.items() if (t := calibration.step_time(each)) is not None}
    if not known or len(known) < len(timed):
        return {}
    low, high = min(known), max(known)
    widest = known[high]
    slope = (widest.mean - known[low].mean) / (high - low) if high > low else 0.0
    every = widest.mean + slope * (_widths(run, steps, seed) - high)
    mean = float(np.maximum(every, 0.0).mean())
    between = [part * mean for part in widest.spread] if widest.spread else None
    return {
        "seconds_per_step": mean,
        "seconds_per_step_range": between,
        "train_seconds": steps * mean if steps else None,
        "train_seconds_range": [steps * each for each in between] if steps and between else None,
        "timings": widest.timings,
    }
