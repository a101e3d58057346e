"""The pace of a run beside others: of a few of its steps, for which the others wait."""

from dataclasses import dataclass, field
from typing import Any

from workbench.pipeline.record import WARMUP_STEPS
from workbench.store.turns import Turns
from workbench.training.events import Step

STEPS = 4
"""Timed, after one that finds the caches as the others have left them."""
MOST_WAITING = 0.05
"""Of its steps, that a run may spend waiting for the solo steps of others."""
PATIENCE = 3.0
"""Lengths of a step that it waits for the others: they are at one too, or at something long."""


@dataclass(kw_only=True)
class SoloPace:
    turns: Turns | None = None
    """None for a run that has its device alone."""
    others: int = 0
    steps: int = 0
    """Of the whole training."""
    first: int = WARMUP_STEPS
    """After so many steps it asks for its turn, and when that fails after twice as many."""
    _seen: int = 0
    _alone: bool = False
    _taken: list[Step] = field(default_factory=list)

    def after(self, step: Step) -> None:
        """Between two steps: takes the device, gives it back, or lets others have it."""
        if self.turns is None:
            return
        self._seen += 1
        if self._alone:
            self._taken.append(step)
            if len(self._taken) > STEPS:
                self.end()
        elif not self._taken and self._seen == self.first and self._pays:
            self._alone = self.turns.take(PATIENCE * step.seconds)
            self.first *= 2
        else:
            self.turns.let_others()

    @property
    def _pays(self) -> bool:
        return self.others * (STEPS + 1) <= MOST_WAITING * self.steps

    def end(self) -> None:
        if self.turns is not None and self._alone:
            self._alone = False
            self.turns.give()

    def record(self) -> dict[str, Any]:
        """What the timed steps took together; empty where there was no turn."""
        timed = self._taken[1:]
        if len(timed) < STEPS:
            return {}
        seconds, tokens = sum(s.seconds for s in timed), sum(s.tokens for s in timed)
        return {"solo": {"steps": STEPS, "seconds": seconds, "tokens": tokens}}
