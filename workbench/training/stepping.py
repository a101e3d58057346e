"""One optimizer step: from the positions of its examples to moved weights."""

import time
from dataclasses import dataclass, field

from torch.optim import Optimizer

from workbench.data.batches import epoch_order
from workbench.data.encode import Row
from workbench.training.accumulation import Accumulation
from workbench.training.events import MicroBatch
from workbench.training.guards import MovementGuard, check_finite
from workbench.training.launched import Launched, Number, Numbers, skip_unless_finite
from workbench.training.optimizer import learning_rate, set_learning_rate


@dataclass(kw_only=True)
class Stepping:
    """What an optimizer step needs beside its gradients; steps are counted from 0."""

    accumulation: Accumulation
    peak_learning_rate: float
    seed: int
    steps: int
    steps_per_epoch: int
    adamw: Optimizer
    """The optimizer itself, whatever wraps it."""
    reads_behind: bool
    """Whether the numbers of a step are left on the device, to be read when the next one is
    launched, and the batch of the next one is made before."""
    _order: tuple[int, list[list[int]]] = field(default=(-1, []), init=False)
    _ahead: list[Row] = field(default_factory=list, init=False)

    def batch(self, step: int) -> list[int]:
        """Positions of the examples of a step."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._order[0]:
            lengths, size = self.accumulation.train.lengths, self.accumulation.spec.batch_size
            self._order = epoch, epoch_order(lengths, size, seed=self.seed, epoch=epoch)
        return self._order[1][position]

    def launch(
        self, step: int, batch: list[int], guard: MovementGuard | None
    ) -> Launched | MicroBatch:
        """Takes a step; or nothing but the smaller micro-batch to try it with.

        Raises:
            TrainingError: on a non-finite loss or gradient, where it does not stay on the device.
        """
        started, later = time.perf_counter(), self.reads_behind and guard is None
        accumulation, gradients = self.accumulation, self.accumulation.gradients
        spec, accumulation.stays_on_device = accumulation.spec, later
        rate = learning_rate(step, self.steps, spec, self.peak_learning_rate)
        set_learning_rate(gradients.optimizer, rate)
        rows, self._ahead = self._ahead or self._rows(step, batch), []
        done = accumulation.accumulate(rows, step + 1)
        if isinstance(done, MicroBatch):
            return done
        norm: Number = gradients.clip(spec.max_grad_norm)
        if later:
            skip_unless_finite(self.adamw, done.loss, norm)
        else:
            norm = float(norm)
            check_finite(float(done.loss), norm, step + 1, rate)
        numbers = Numbers([done.loss, norm, *done.parts.values()], later=later)
        self._move(step + 1, guard)
        if later and step + 1 < self.steps:
            self._ahead = self._rows(step + 1, self.batch(step + 1))
            accumulation.make_ready(self._ahead)
        return Launched(
            step=step + 1,
            epoch=self.epoch(step + 1),
            learning_rate=rate,
            tokens=done.tokens,
            examples=len(batch),
            started=started,
            numbers=numbers,
            parts=tuple(done.parts),
        )

    def epoch(self, step: int) -> float:
        """Passes over the training split after so many steps."""
        return round(step / self.steps_per_epoch, 4)

    def _move(self, step: int, guard: MovementGuard | None) -> None:
        gradients, after_step = self.accumulation.gradients, self.accumulation.adapted.after_step
        if guard:
            guard.see_gradients()
        gradients.step()
        if after_step:
            after_step(step)
        gradients.zero_grad()
        if guard:
            guard.check()

    def _rows(self, step: int, batch: list[int]) -> list[Row]:
        task, train = self.accumulation.task, self.accumulation.train
        return task.rows(train, batch, (self.seed, step // self.steps_per_epoch))
