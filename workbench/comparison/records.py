"""What a comparison reads from the ``result.json`` of a finished run."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WrapValidator

from workbench.comparison.schema import Scores
from workbench.store import VERSION, Run

Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    """Strict on what it needs, indifferent to what it does not know."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)


class Splits(_Part):
    test: Scores
    validation: Scores = {}


class Selected(_Part):
    metric: str | None = None


class Parameters(_Part):
    """Parameter counts; ``trainable`` includes the task head."""

    trainable: Count
    total: Count
    head: Count | None = None
    adapter: Count | None = None
    stored: Count | None = None


class Memory(_Part):
    peak_memory_bytes: Amount | None = None


class Solo(_Part):
    """Steps that a run beside others took while they waited."""

    seconds: Annotated[Amount, Field(gt=0)]
    tokens: Count


class Time(_Part):
    train_seconds: Amount | None = None
    steps_per_second: Amount | None = None
    tokens_per_second: Amount | None = None
    steps: Count | None = None
    examples_seen: Count | None = None
    measured_beside: Count = 0
    """Other runs on the same device. Then nothing above is to be set beside what was measured
    alone, nor beside what was measured with other neighbours."""
    solo: Solo | None = None

    def alone(self) -> Self:
        """Without what other runs have slowed down. The pace is that of the solo steps, in tokens,
        as steps differ in length; a step has as many as those of the run on average."""
        if not self.measured_beside:
            return self
        names = ("train_seconds", "steps_per_second", "tokens_per_second")
        paces: dict[str, float | None] = dict.fromkeys(names)
        if self.solo and self.steps_per_second and self.tokens_per_second:
            pace = paces["tokens_per_second"] = self.solo.tokens / self.solo.seconds
            paces["steps_per_second"] = pace * self.steps_per_second / self.tokens_per_second
        return self.model_copy(update=paces)


class Tuning(_Part):
    """The search that found the values of the recipe."""

    trials: Count
    search: dict[str, str] = {}
    steps: Count | None = None


Passage = Annotated[list[Annotated[float, Field(ge=0, le=1e6)]], Field(min_length=2, max_length=2)]
"""Negative log-likelihood and number of tokens."""


class Retention(_Part):
    """What a run has kept of its base; ``measure`` is None where that was not measured."""

    measure: str | None = None
    value: Annotated[float, Field(ge=-1, le=1e9)] | None = None
    text: str | None = None
    tokens: Count | None = None
    base_perplexity: Annotated[float, Field(ge=1, le=1e30)] | None = None
    passages: list[Passage] = []
    base_passages: list[Passage] = []
    without_passage: list[Annotated[float, Field(ge=-1, le=1.01)]] = []


def _or_absent(value: Any, check: Any) -> Any:
    """The checked value; a damaged one is absent, as a run is more than its retention."""
    try:
        return check(value)
    except ValidationError:
        return None


class Policy(_Part):
    device: str | None = None
    device_name: str | None = None
    precision: str | None = None
    dropout: float | None = None
    """Of the base model in training; None is the model's own."""
    processes: int | None = None
    sharded: bool | None = None
    zero: int | None = None


class Record(_Part):
    study: str
    recipe: str
    seed: int
    fingerprint: str
    method: str
    task: str | None = None
    model: str | None = None
    metrics: Splits
    selected: Selected | None = None
    parameters: Parameters
    adapter_bytes: Amount | None = None
    memory: Memory = Memory()
    time: Time = Time()
    policy: Policy = Policy()
    comparability: Annotated[dict[str, str | None], Field(min_length=1)]
    references: dict[str, Scores] = {}
    tuning: Tuning | None = None
    retention: Annotated[Retention | None, WrapValidator(_or_absent)] = None
    forced: list[str] = []
    """What had changed where the run was forced to resume."""

    @property
    def primary_metric(self) -> str | None:
        """The metric that selected the adapter, else the first one of the test."""
        chosen = self.selected.metric if self.selected else None
        return chosen if chosen in self.metrics.test else next(iter(self.metrics.test), None)

    @property
    def conditions(self) -> tuple[tuple[str, str | None], ...]:
        """All that has to agree before two scores may be compared; the device is not part of it."""
        return tuple(sorted((k, v) for k, v in self.comparability.items() if k != "device"))

    @property
    def device(self) -> str | None:
        """Kind of device and precision, e.g. ``cpu/bf16``."""
        known = [part for part in (self.policy.device, self.policy.precision) if part]
        return self.comparability.get("device") or "/".join(known) or None

    @property
    def dropout(self) -> str:
        """The base model's in training, which a recipe may leave to the device."""
        if self.policy.dropout is None:
            return "the model's own dropout"
        return f"dropout {self.policy.dropout:g}" if self.policy.dropout else "no dropout"

    @property
    def hardware(self) -> str:
        """All that time and memory depend on besides the recipe."""
        name = f" on {self.policy.device_name}" if self.policy.device_name else ""
        several = (self.policy.processes or 1) > 1
        processes = f", {self.policy.processes} processes" if several else ""
        processes += " that share the weights" if self.policy.sharded else ""
        processes += f" that share as in ZeRO {self.policy.zero}" if self.policy.zero else ""
        return f"{self.device or 'an unknown device'}{name}{processes}"


class UnusableResult(ValueError):
    """A result that lacks what a comparison needs; the text says what."""


def read_record(run: Run) -> Record:
    """The checked result of a finished run; UnusableResult where a field is missing or newer."""
    version: Any = run.result.get("version")
    if version != VERSION:
        raise UnusableResult(f"its result has version {version!r}, this workbench reads {VERSION}")
    try:
        return Record.model_validate(run.result)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(key) for key in problem['loc'])}: {problem['msg'].lower()}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise UnusableResult("; ".join(problems[:3])) from None
