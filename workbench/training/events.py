"""What the training loop yields, by its kind in events.jsonl, and its best validation."""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self


class _Row:
    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """The event that a row of events.jsonl was written from.

        Rows of earlier versions lack what has been added since, which then has its default.
        """
        known = {f.name: row[f.name] for f in fields(cls) if f.name in row}  # type: ignore[arg-type]
        return cls(**known)


@dataclass(frozen=True, kw_only=True)
class Step(_Row):
    """One optimizer step."""

    kind: ClassVar = "step"
    step: int
    epoch: float
    loss: float
    """Mean loss per example of the step's whole batch."""
    learning_rate: float
    grad_norm: float
    seconds: float
    tokens: int
    examples: int
    losses: dict[str, float] = field(default_factory=dict)
    """The means per example that ``loss`` is a weighted sum of; empty where it is one loss."""


@dataclass(frozen=True, kw_only=True)
class Validation(_Row):
    """One scoring of the validation split."""

    kind: ClassVar = "validation"
    step: int
    epoch: float
    loss: float
    metrics: dict[str, float | None]
    best: bool
    seconds: float


@dataclass(frozen=True)
class Checkpoint(_Row):
    """Something that was saved."""

    kind: ClassVar = "checkpoint"
    step: int
    of: str
    """``step``: what the training resumes from; ``best``: the best state on validation."""
    bytes: int
    """0 on every process but the first, which writes."""
    seconds: float


@dataclass(frozen=True)
class MicroBatch(_Row):
    """A step that did not fit into memory and is tried again with fewer examples at once."""

    kind: ClassVar = "micro_batch"
    step: int
    tried: int
    """Examples per forward pass and process that did not fit."""
    size: int
    """What is tried next; the effective batch stays what it was."""


Event = Step | Validation | Checkpoint | MicroBatch
EVENTS: dict[str, type[Event]] = {
    each.kind: each for each in (Step, Validation, Checkpoint, MicroBatch)
}


@dataclass
class BestCheckpoint:
    """The best validation so far."""

    step: int | None = None
    value: float | None = None
    loss: float | None = None
    epochs_without_improvement: int = 0
    """Validations since without improvement."""

    def is_improved_by(self, value: float | None, loss: float, *, higher: bool) -> bool:
        """True when a validation is better; equal values are decided by the lower loss.

        A value that is not defined is never better.
        """
        if value is None:
            return False
        if self.value is None:
            return True
        sign = 1 if higher else -1
        return (sign * value, -loss) > (sign * self.value, -(self.loss or 0.0))
