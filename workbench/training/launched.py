"""A step that the device may still compute while the next one is launched.

On CUDA the loss and the gradient norm of a step are read after the next one has been launched, so
that the device has work while the process logs, waits and makes batches. What would write a
non-finite number into the weights is skipped on the device, and so is every step after it: a
training that fails does so with the weights that it had before the step, whenever that is read.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from workbench.training.events import Step
from workbench.training.guards import check_finite

Number = float | Tensor
"""A number, or where it lies on the device."""


class Numbers:
    """Numbers of a step; reading waits for what was launched before them, and for nothing since."""

    def __init__(self, values: Sequence[Number], *, later: bool) -> None:
        self._arrived: torch.cuda.Event | None = None
        self._values: list[float] | Tensor
        if not later:
            self._values = [float(value) for value in values]
            return
        there = torch.stack([torch.as_tensor(value).double() for value in values])
        self._values = there.to("cpu", non_blocking=True)
        if there.is_cuda:
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def read(self) -> list[float]:
        """The numbers in the order that they were given in."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._values if isinstance(self._values, list) else self._values.tolist()


@dataclass(frozen=True, kw_only=True)
class Launched:
    """An optimizer step, by what is known of it before its numbers are."""

    step: int
    epoch: float
    learning_rate: float
    tokens: int
    examples: int
    started: float
    """Of ``time.perf_counter``."""
    numbers: Numbers
    """Loss, gradient norm and what ``parts`` names."""
    parts: tuple[str, ...]

    def read(self, before: float = 0.0) -> Step:
        """The step with its numbers.

        Args:
            before: when the step before was read, up to which the time was that one's.

        Raises:
            TrainingError: when loss or gradient norm are not finite.
        """
        loss, norm, *parts = self.numbers.read()
        check_finite(loss, norm, self.step, self.learning_rate)
        return Step(
            step=self.step,
            epoch=self.epoch,
            loss=loss,
            learning_rate=self.learning_rate,
            grad_norm=norm,
            seconds=time.perf_counter() - max(self.started, before),
            tokens=self.tokens,
            examples=self.examples,
            losses=dict(zip(self.parts, parts, strict=True)),
        )


class UnderWay:
    """The step that was launched last, until it is read."""

    def __init__(self) -> None:
        self.to_settle = False
        """Whether it is to be read before another one is launched."""
        self._launched: Launched | None = None
        self._read_at = 0.0

    def follow(self, launched: Launched) -> Iterator[Step]:
        """Reads the step before the one that is now under way."""
        before, self._launched = self._launched, launched
        yield from self._read(before)

    def settle(self) -> Iterator[Step]:
        """Reads the step that is under way, so that none is."""
        before, self._launched, self.to_settle = self._launched, None, False
        yield from self._read(before)

    def settled(self) -> bool:
        """Whether every step has come out; if not, the last one does before the next is launched.

        Only then does what is saved of a training belong to what is logged of it.
        """
        self.to_settle = self._launched is not None
        return not self.to_settle

    def _read(self, launched: Launched | None) -> Iterator[Step]:
        if launched is not None:
            step = launched.read(self._read_at)
            self._read_at = time.perf_counter()
            yield step


def skip_unless_finite(optimizer: Optimizer, loss: Number, norm: Number) -> None:
    """Has a fused optimizer do nothing in this and all later steps once a number is not finite.

    The flag is the one of torch's gradient scaler: the kernels read it on the device, and leave
    weights, moments and the count of steps as they are.
    """
    finite = torch.isfinite(torch.as_tensor(loss)) & torch.isfinite(torch.as_tensor(norm))
    lost = (~finite).float()
    earlier = getattr(optimizer, "found_inf", None)
    lost = lost if earlier is None else torch.maximum(earlier, lost)
    optimizer.found_inf = lost  # type: ignore[attr-defined]
