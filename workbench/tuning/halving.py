"""Successive halving (Jamieson & Talwalkar 2016): trials are given up on the way, by validation.

All trials of a recipe train an eighth of their steps; the better half of them go on to a quarter,
and the better half of those to the end. Whoever is given up depends on all trials of the recipe
and on nothing else, so each recipe's search takes the same steps. optuna's
pruners decide as each trial arrives: then the steps of a recipe depend on its scores.

Schedules of the learning rate are those of whole trainings, and a trial that goes on is resumed
from its checkpoint, so that one that reaches the end is the trial that an unpruned search has.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from workbench.recipe.catalogue import deciding_score
from workbench.store import Run

RUNGS = (1 / 8, 1 / 4)
"""Parts of a training at which trials are looked at; together 37.5% of all steps. Of 12 trials each
of lora, prefix and prompt on quickstart (24 steps), all followed to the end, draws of 8 lost 0.005,
0.004 and 0.016 of accuracy to the best of the 8. With a third rung at a half (31%) they lost 0.018,
0.003 and 0.027: what is left by then differs by less than a look tells."""
KEPT = 2
"""One of so many goes on."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A trial at a rung."""

    number: int
    step: int
    score: float | None
    loss: float | None


def rung_of(until: float) -> int:
    return RUNGS.index(until)


def places(trials: int, rung: int) -> int:
    """How many of so many trials go on from a rung."""
    return max(1, math.ceil(trials / float(KEPT ** (rung + 1))))


def ranked(looks: Iterable[Look], *, higher: bool) -> list[Look]:
    """The best first: by score, by loss where scores are equal, then by who came first."""

    def merit(look: Look) -> tuple[bool, float, float, int]:
        score = math.nan if look.score is None else look.score
        known = math.isfinite(score)
        loss = look.loss if look.loss is not None and math.isfinite(look.loss) else math.inf
        return not known, (-score if higher else score) if known else 0.0, loss, look.number

    return sorted(looks, key=merit)


def why_pruned(place: int, of: int, kept: int, metric: str, look: Look) -> str:
    shown = "no score" if look.score is None else f"{metric} {look.score:.4g}"
    on = "1 goes on" if kept == 1 else f"{kept} go on"
    return f"pruned at step {look.step}: {shown} is place {place} of {of}, {on}"


def paused_at(run: Run, until: float, metric: str) -> dict[str, Any] | None:
    """What a run scored where it was to pause; None when it has not come so far."""
    if run.state != "stopped" or until >= 1:
        return None
    for row in run.events()[0]:
        steps, metrics = row.get("steps"), row.get("metrics")
        if row.get("kind") != "paused" or not isinstance(steps, int) or not metrics:
            continue
        if row.get("step") == math.ceil(until * steps):
            score = deciding_score(metrics, metric)
            return {"step": row["step"], "score": score, "loss": row.get("loss")}
    return None
