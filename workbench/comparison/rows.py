"""The rows of a comparison: the seeds of one recipe, summarised."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from workbench.comparison.configuration import Settings, read_settings
from workbench.comparison.records import Record
from workbench.comparison.retention import retention_of
from workbench.comparison.schema import Row, Scores, Summary
from workbench.comparison.statistics import Interval, bounded, interval, scale_of
from workbench.errors import UsageError
from workbench.formatting import listing
from workbench.recipe.catalogue import bounds, higher_is_better
from workbench.recipe.suggest import did_you_mean
from workbench.store import Run

DEFAULT_BASELINE = "full"

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


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
    def settings(self) -> Settings:
        return read_settings(self.runs[0])

    @cached_property
    def items(self) -> dict[object, Any]:
        """The scores of its test items, by metric and content of the files."""
        return {}

    @property
    def seeds(self) -> list[int]:
        return [record.seed for record in self.records]

    @property
    def hardware(self) -> list[str]:
        return sorted({record.hardware for record in self.records})


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """What has the same key together, in the order in which the keys occur."""
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def summarise(values: Sequence[float | None], metric: str | None = None) -> Summary:
    """Mean and interval over the values that are there; scores of a metric stay in its bounds.

    Two scores of a metric without a bounded scale give no interval: Student's t is 12.7.
    """
    scale = scale_of(metric) if metric else "plain"
    found: Interval = interval([v for v in values if v is not None], scale=scale)
    low, high = found.low, found.high
    if metric and scale == "plain":
        few = found.n < 3
        low, high = (None, None) if few else (within(metric, low), within(metric, high))
    return {
        "mean": found.mean,
        "ci_low": low,
        "ci_high": high,
        "n": found.n,
        "values": list(values),
    }


def within(metric: str, score: float | None) -> float | None:
    """The score, or the end of the metric's scale where it lies outside."""
    low, high = bounds(metric)
    return None if score is None else min(max(score, low), high)


def within_scale(
    metric: str, difference: float | None, low: float | None, high: float | None
) -> tuple[float | None, float | None, float | None]:
    """A difference with an interval within what two scores of the metric can differ by."""
    if difference is None or low is None or high is None or scale_of(metric) == "ratio":
        return difference, low, high
    ends = bounds(metric)
    return difference, *bounded(difference, low, high, ends[1] - ends[0])


def make_row(sample: Sample) -> Row:
    """The row of some runs, without the differences to a baseline."""
    first, records, per_seed = sample.first, sample.records, _costs(sample.records)
    # A mean over different machines would be the time or memory of none of them.
    one_machine = len(sample.hardware) == 1
    cost = {name: mean_of(values) if one_machine else None for name, values in per_seed.items()}
    peak, size = cost["peak_memory_bytes"], mean_of([r.adapter_bytes for r in records])
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
        "metrics": {
            name: {**summary, "population_ci_low": None, "population_ci_high": None}
            for name, summary in _summaries([r.metrics.test for r in records]).items()
        },
        "validation_metrics": _summaries([r.metrics.validation for r in records]),
        "baseline": None,
        "baseline_delta": {},
        "baseline_ratio": {},
        "baseline_paired": {},
        "trainable_parameters": first.parameters.trainable,
        "head_parameters": first.parameters.head,
        "adapter_parameters": first.parameters.adapter,
        "total_parameters": first.parameters.total,
        "stored_parameters": first.parameters.stored,
        "adapter_bytes": None if size is None else round(size),
        "dropout": first.dropout,
        "device": ", ".join(sorted({r.device for r in records if r.device})) or None,
        "hardware": sample.hardware,
        "peak_memory_bytes": None if peak is None else round(peak),
        "train_seconds": cost["train_seconds"],
        "retention": retention_of(records),
        "steps_per_second": cost["steps_per_second"],
        "tokens_per_second": cost["tokens_per_second"],
        "per_seed": per_seed,
        "collapsed": [],
        "trivial": None,
    }


def _costs(records: Sequence[Record]) -> dict[str, list[float | None]]:
    times = [r.time.alone() for r in records]
    return {
        "peak_memory_bytes": [r.memory.peak_memory_bytes for r in records],
        "train_seconds": [time.train_seconds for time in times],
        "steps_per_second": [time.steps_per_second for time in times],
        "tokens_per_second": [time.tokens_per_second for time in times],
    }


def choose_primary(rows: Sequence[Row]) -> None:
    """Gives groups without a value of their primary metric, as F1 of entities for tags that are
    parts of speech, the first that has one."""
    for members in grouped(rows, lambda row: row["group"]).values():
        scored = [n for row in members for n, s in row["metrics"].items() if s["mean"] is not None]
        if scored and not any(row["primary_metric"] in scored for row in members):
            for row in members:
                row["primary_metric"] = scored[0]


def set_baseline(rows: Sequence[Row], baseline: str | None) -> list[str]:
    """Sets the differences to the baseline in every group that has one; returns warnings. A name
    that no row has is a UsageError."""
    name = baseline or DEFAULT_BASELINE
    if baseline and rows and not any(_is_called(row, baseline) for row in rows):
        recipes = sorted({row["recipe"] for row in rows})
        known = sorted({*recipes, *(f"{row['study']}/{row['recipe']}" for row in rows)})
        raise UsageError(
            f"no finished run is of the baseline {baseline!r}",
            fix=f"{did_you_mean(baseline, known)} The recipes are {', '.join(recipes)}.".strip(),
        )
    warnings: list[str] = []
    for group, members in sorted(grouped(rows, lambda row: row["group"]).items()):
        candidates = [row for row in members if _is_called(row, name)]
        if not candidates and baseline:
            warnings.append(f"group {group} has no {baseline}: no differences are shown there")
        for row in members:
            same_study = [c for c in candidates if c["study"] == row["study"]]
            alike = [c for c in same_study if c["dropout"] == row["dropout"]]
            chosen = alike or same_study or candidates
            if len(chosen) == 1:
                _add_differences(row, chosen[0])
            elif chosen:
                labels = listing([c["label"] for c in chosen])
                warnings.append(
                    f"several rows are called {name} ({labels}), so no differences are shown in "
                    f"group {group}; choose one of them as baseline"
                )
    return list(dict.fromkeys(warnings))


def _is_called(row: Row, name: str) -> bool:
    return name in (row["recipe"], row["label"], f"{row['study']}/{row['recipe']}")


def _add_differences(row: Row, baseline: Row) -> None:
    """Sets the differences of a row to a baseline, of exponentials the ratios: of the means, and
    paired where seeds agree."""
    row["baseline"] = baseline["label"]
    if row is baseline:
        return
    for name, summary in row["metrics"].items():
        other = baseline["metrics"].get(name)
        if other is None or summary["mean"] is None or other["mean"] is None:
            continue
        row["baseline_delta"][name] = summary["mean"] - other["mean"]
        ours, theirs = by_seed(row, summary["values"]), by_seed(baseline, other["values"])
        if exponential := scale_of(name) == "ratio" and min(*ours.values(), *theirs.values()) > 0:
            row["baseline_ratio"][name] = summary["mean"] / other["mean"]
        if ours.keys() == theirs.keys() and exponential:
            ratios = [ours[s] / theirs[s] for s in sorted(ours)]
            row["baseline_paired"][name] = summarise(ratios, name)
        elif ours.keys() == theirs.keys():
            paired = summarise([ours[s] - theirs[s] for s in sorted(ours)])
            _, *paired_ends = within_scale(
                name, paired["mean"], paired["ci_low"], paired["ci_high"]
            )
            paired["ci_low"], paired["ci_high"] = paired_ends
            row["baseline_paired"][name] = paired


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Rows by group, then best first on the primary metric, then fewest trained parameters."""

    def rank(row: Row) -> tuple[int, bool, float, int, str]:
        name = row["primary_metric"]
        mean = row["metrics"][name]["mean"] if name in row["metrics"] else None
        badness = 0.0 if mean is None else -mean if higher_is_better(name or "") else mean
        return row["group"], mean is None, badness, row["trainable_parameters"], row["label"]

    return sorted(rows, key=rank)


def by_seed(row: Row, values: Sequence[float | None]) -> dict[int, float]:
    """Values of a row, in the order of its seeds, by seed; without those that are absent."""
    pairs = zip(row["seeds"], values, strict=True)
    return {seed: value for seed, value in pairs if value is not None}


def _summaries(scores: Sequence[Scores]) -> dict[str, Summary]:
    names = dict.fromkeys(name for one in scores for name in one)
    return {name: summarise([one.get(name) for one in scores], name) for name in names}


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are there; None where none is."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
