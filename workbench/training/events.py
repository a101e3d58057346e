"""What the training loop yields, and how it remembers its best validation."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self


class _Row:
    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """The event that a row of events.jsonl was written from."""
        return cls(**{f.name: row[f.name] for f in fields(cls)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Step(_Row):
    """One optimizer step."""

    step: int
    epoch: float
    loss: float
    """Mean loss per example of the step's whole batch."""
    learning_rate: float
    grad_norm: float
    seconds: float
    tokens: int
    examples: int


@dataclass(frozen=True)
class Validation(_Row):
    """One scoring of the validation split."""

    step: int
    epoch: float
    loss: float
    metrics: dict[str, float | None]
    best: bool
    seconds: float


@dataclass
class Best:
    """The best validation so far."""

    step: int | None = None
    value: float | None = None
    loss: float | None = None
    misses: int = 0
    """Validations since without improvement."""

    def beaten_by(self, value: float | None, loss: float, *, higher: bool) -> bool:
        """True when a validation is better; equal values are decided by the lower loss."""
        if value is None:
            return self.step is None
        if self.value is None:
            return True
        sign = 1 if higher else -1
        return (sign * value, -loss) > (sign * self.value, -(self.loss or 0.0))
