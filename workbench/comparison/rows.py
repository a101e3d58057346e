"""The rows of a comparison: the seeds of one recipe, summarised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

from workbench.comparison.configuration import Variant
from workbench.comparison.records import Record, Scores
from workbench.comparison.statistics import Interval, interval
from workbench.recipe.catalogue import higher_is_better
from workbench.store import Run


class Summary(TypedDict):
    """A metric over the seeds of a row; ``values`` in the order of ``seeds``, null where absent."""

    mean: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    values: list[float | None]


class Reference(TypedDict):
    """A score without fine-tuning on the same test split, e.g. of the majority class."""

    name: str
    group: int
    metrics: Scores


class Row(TypedDict):
    """One recipe with one fingerprint; documented field by field in docs/comparing.md."""

    group: int
    label: str
    study: str
    method: str
    recipe: str
    task: str | None
    model: str | None
    fingerprint: str
    seeds: list[int]
    runs: list[str]
    primary_metric: str | None
    metrics: dict[str, Summary]
    validation_metrics: dict[str, Summary]
    baseline: str | None
    baseline_delta: dict[str, float]
    baseline_paired: dict[str, Summary]
    trainable_parameters: int
    head_parameters: int | None
    adapter_parameters: int | None
    total_parameters: int
    stored_parameters: int | None
    adapter_bytes: int | None
    device: str | None
    hardware: list[str]
    peak_memory_bytes: int | None
    train_seconds: float | None
    steps_per_second: float | None
    tokens_per_second: float | None
    per_seed: dict[str, list[float | None]]


@dataclass
class Sample:
    """The finished runs that make up one row, ordered by seed."""

    runs: list[Run]
    records: list[Record]
    group: int = 0
    label: str = ""

    @property
    def first(self) -> Record:
        return self.records[0]

    @cached_property
    def variant(self) -> Variant:
        """The recipe behind the runs."""
        first = self.first
        return Variant(first.study, first.recipe, first.fingerprint, self.runs[0])

    @property
    def seeds(self) -> list[int]:
        return [record.seed for record in self.records]

    @property
    def hardware(self) -> list[str]:
        """The distinct devices that the runs ran on."""
        return sorted({record.hardware for record in self.records})


def summarise(values: Sequence[float | None]) -> Summary:
    """Mean and interval over the values that are there."""
    found: Interval = interval([value for value in values if value is not None])
    return {
        "mean": found.mean,
        "ci_low": found.low,
        "ci_high": found.high,
        "n": found.n,
        "values": list(values),
    }


def make_row(sample: Sample) -> Row:
    """The row of some runs, without the differences to a baseline."""
    first, records = sample.first, sample.records
    # A mean over different machines would be the time or memory of none of them.
    costs = records if len(sample.hardware) == 1 else []
    per_seed: dict[str, list[float | None]] = {
        "peak_memory_bytes": [r.memory.peak_memory_bytes for r in records],
        "train_seconds": [r.time.train_seconds for r in records],
        "steps_per_second": [r.time.steps_per_second for r in records],
        "tokens_per_second": [r.time.tokens_per_second for r in records],
    }
    cost = {name: _mean(values) if costs else None for name, values in per_seed.items()}
    return {
        "group": sample.group,
        "label": sample.label,
        "study": first.study,
        "method": first.method,
        "recipe": first.recipe,
        "task": first.task,
        "model": first.model,
        "fingerprint": first.fingerprint,
        "seeds": sample.seeds,
        "runs": [run.id for run in sample.runs],
        "primary_metric": first.primary_metric,
        "metrics": _summaries([r.metrics.test for r in records]),
        "validation_metrics": _summaries([r.metrics.validation for r in records]),
        "baseline": None,
        "baseline_delta": {},
        "baseline_paired": {},
        "trainable_parameters": first.parameters.trainable,
        "head_parameters": first.parameters.head,
        "adapter_parameters": first.parameters.adapter,
        "total_parameters": first.parameters.total,
        "stored_parameters": first.parameters.stored,
        "adapter_bytes": _whole(_mean([r.adapter_bytes for r in records])),
        "device": ", ".join(sorted({r.device for r in records if r.device})) or None,
        "hardware": sample.hardware,
        "peak_memory_bytes": _whole(cost["peak_memory_bytes"]),
        "train_seconds": cost["train_seconds"],
        "steps_per_second": cost["steps_per_second"],
        "tokens_per_second": cost["tokens_per_second"],
        "per_seed": per_seed,
    }


def choose_primary(rows: Sequence[Row]) -> None:
    """Gives groups without a single value of their primary metric the first that has one.

    The F1 of entities, for example, is null for tags that are parts of speech.
    """
    for group in {row["group"] for row in rows}:
        members = [row for row in rows if row["group"] == group]
        scored = [n for row in members for n, s in row["metrics"].items() if s["mean"] is not None]
        if scored and not any(row["primary_metric"] in scored for row in members):
            for row in members:
                row["primary_metric"] = scored[0]


def add_differences(row: Row, baseline: Row) -> None:
    """Sets the differences of a row to a baseline: of the means, and paired where seeds agree."""
    row["baseline"] = baseline["label"]
    if row is baseline:
        return
    for name, summary in row["metrics"].items():
        other = baseline["metrics"].get(name)
        if other is None or summary["mean"] is None or other["mean"] is None:
            continue
        row["baseline_delta"][name] = summary["mean"] - other["mean"]
        ours, theirs = _by_seed(row, summary), _by_seed(baseline, other)
        if ours.keys() == theirs.keys():
            row["baseline_paired"][name] = summarise([ours[s] - theirs[s] for s in sorted(ours)])


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Rows by group, then best first on the primary metric, then fewest trained parameters."""

    def rank(row: Row) -> tuple[int, bool, float, int, str]:
        name = row["primary_metric"]
        mean = row["metrics"][name]["mean"] if name in row["metrics"] else None
        badness = 0.0 if mean is None else -mean if higher_is_better(name or "") else mean
        return row["group"], mean is None, badness, row["trainable_parameters"], row["label"]

    return sorted(rows, key=rank)


def _by_seed(row: Row, summary: Summary) -> dict[int, float]:
    pairs = zip(row["seeds"], summary["values"], strict=True)
    return {seed: value for seed, value in pairs if value is not None}


def _summaries(scores: Sequence[Scores]) -> dict[str, Summary]:
    names = dict.fromkeys(name for one in scores for name in one)
    return {name: summarise([one.get(name) for one in scores]) for name in names}


def _mean(values: Sequence[float | None]) -> float | None:
    return interval([value for value in values if value is not None]).mean


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
