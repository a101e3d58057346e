"""Score against training size: recipes, and scores without fine-tuning, at several sizes.

All see the same training examples with the same seed and size, so differences are taken by seed.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from workbench.comparison import compare, testing
from workbench.comparison.against_reference import difference
from workbench.comparison.records import Record, UnusableResult, read_record
from workbench.comparison.rows import DEFAULT_BASELINE, Sample, within_scale
from workbench.comparison.statistics import Interval, holm, interval, scale_of
from workbench.comparison.verdicts import LEVEL
from workbench.errors import UsageError
from workbench.formatting import listing
from workbench.recipe.catalogue import higher_is_better
from workbench.recipe.suggest import did_you_mean
from workbench.store import Run

Runs = Mapping[tuple[str, int], Sequence[Run]]
"""The runs of each recipe with each number of training examples."""
Tests = dict[tuple[str, str, int], tuple[float, float | None, float | None, float | None]]
"""Difference, ends of its interval and p of two names at a size."""
Ahead = Literal["first", "second", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """A recipe, or a score without fine-tuning, at one size."""

    name: str
    size: int
    scores: dict[int, float]
    """By seed."""
    steps: int | None = None
    trained: bool = True

    @property
    def interval(self) -> Interval:
        return interval(list(self.scores.values()))


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first less the second at one size, over the seeds that both have."""

    size: int
    estimate: float
    low: float | None
    high: float | None
    p_adjusted: float | None
    """Corrected for the number of sizes."""
    ahead: Ahead
    """Which of the two scores better, where that is significant."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    first: str
    second: str
    differences: list[Difference]
    crossings: list[float]
    """Sizes at which the means cross, interpolated on a logarithmic axis."""


@dataclass(frozen=True, kw_only=True)
class SizeCurves:
    metric: str
    names: list[str]
    """The recipes, then the scores without fine-tuning."""
    points: list[Point]
    pairs: list[Pair]
    notes: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> list[int]:
        return sorted({point.size for point in self.points})

    def of(self, name: str) -> dict[int, Point]:
        return {point.size: point for point in self.points if point.name == name}

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        points = [
            vars(p)
            | {"mean": p.interval.mean, "ci_low": p.interval.low, "ci_high": p.interval.high}
            for p in self.points
        ]
        pairs = [vars(p) | {"differences": [vars(d) for d in p.differences]} for p in self.pairs]
        return {"metric": self.metric, "points": points, "pairs": pairs, "notes": self.notes}


def size_curves(
    runs: Runs, *, metric: str | None = None, baseline: str | None = None
) -> SizeCurves:
    """The curves of the finished ones of some runs.

    Args:
        metric: None for the one that selected the adapters.
        baseline: recipe that the others are compared with; None for ``full`` where there is one,
            else the first.

    Raises:
        UsageError: where no run has finished, or metric or baseline are not there.
    """
    records, notes = _read(runs)
    known = [record for found in records.values() for record in found]
    if not known:
        raise UsageError("no run of the curve has finished", fix="run it without --no-run")
    metric = _metric(known, metric)
    points = [*_recipes(records, metric), *_references(records, metric)]
    names = list(dict.fromkeys(point.name for point in points))
    trained = [name for name in names if any(p.trained for p in points if p.name == name)]
    curves = SizeCurves(metric=metric, names=names, points=points, pairs=[], notes=notes)
    against = _baseline(trained, baseline)
    tests = _as_compared(runs, records, metric, against)
    pairs = [_pair(curves, *two, tests) for two in _compared(curves, trained, against)]
    curves.pairs.extend(pair for pair in pairs if pair.differences)
    curves.notes.extend(_cautions(curves, len({record.conditions for record in known})))
    return curves


def _read(runs: Runs) -> tuple[dict[tuple[str, int], list[Record]], list[str]]:
    found: dict[tuple[str, int], list[Record]] = {}
    notes, missing = [], 0
    for key, several in runs.items():
        found[key] = []
        for run in several:
            if run.state != "finished":
                missing += 1
                continue
            try:
                found[key].append(read_record(run))
            except UnusableResult as problem:
                notes.append(f"{run.id} is left out: {problem}")
    if missing:
        notes.append(f"{missing} of {sum(map(len, runs.values()))} runs have not finished")
    return found, notes


def _metric(records: Sequence[Record], wanted: str | None) -> str:
    known = list(dict.fromkeys(name for record in records for name in record.metrics.test))
    chosen = wanted or next((r.primary_metric for r in records if r.primary_metric), None)
    if chosen not in known:
        fix = f"{did_you_mean(chosen or '', known)} The metrics are {', '.join(known)}.".strip()
        raise UsageError(f"no run has the metric {chosen!r}", fix=fix)
    return chosen


def _recipes(records: Mapping[tuple[str, int], Sequence[Record]], metric: str) -> list[Point]:
    points = []
    for (name, size), found in records.items():
        scores = {r.seed: s for r in found if (s := r.metrics.test.get(metric)) is not None}
        if scores:
            steps = next((record.time.steps for record in found), None)
            points.append(Point(name=name, size=size, scores=scores, steps=steps))
    return points


def _references(records: Mapping[tuple[str, int], Sequence[Record]], metric: str) -> list[Point]:
    scores: dict[tuple[str, int], dict[int, float]] = {}
    for (_, size), found in records.items():
        for record in found:
            for name, metrics in record.references.items():
                if (score := metrics.get(metric)) is not None:
                    scores.setdefault((name, size), {}).setdefault(record.seed, score)
    return [
        Point(name=name, size=size, scores=dict(sorted(by_seed.items())), trained=False)
        for (name, size), by_seed in sorted(scores.items())
    ]


def _baseline(trained: Sequence[str], baseline: str | None) -> str:
    if baseline is not None and baseline not in trained:
        fix = f"{did_you_mean(baseline, trained)} The recipes are {', '.join(trained)}.".strip()
        raise UsageError(f"no finished run is of the baseline {baseline!r}", fix=fix)
    return baseline or (DEFAULT_BASELINE if DEFAULT_BASELINE in trained else trained[0])


def _as_compared(
    runs: Runs, records: Mapping[tuple[str, int], Sequence[Record]], metric: str, against: str
) -> Tests:
    """What `compare` finds of each recipe and the baseline at each size."""
    found: Tests = {}
    by_recipe = {of[0].recipe: name for (name, _), of in records.items() if of}
    for size in sorted({size for _, size in records}):
        own = records.get((against, size))
        if not own or all(record.metrics.test.get(metric) is None for record in own):
            continue
        finished = [r.path for (_, n), of in runs.items() if n == size for r in of if r.result]
        comparison = compare(finished, tests=True, metric=metric, baseline=own[0].recipe)
        recipes = {row["label"]: row["recipe"] for row in comparison.rows}
        for verdict in comparison.verdicts:
            if verdict["difference"] is not None and "seeds" in verdict["covers"]:
                name = by_recipe[recipes[verdict["label"]]]
                ends = (verdict["ci_low"], verdict["ci_high"], verdict["p_value"])
                found[name, against, size] = (verdict["difference"], *ends)
        for sample in comparison.samples:
            for name, pair in _without_fine_tuning(sample, metric):
                _, low, high = within_scale(metric, pair.estimate, pair.low, pair.high)
                key = by_recipe[sample.first.recipe], name, size
                found[key] = (pair.estimate, low, high, pair.p_value)
    return found


def _without_fine_tuning(sample: Sample, metric: str) -> Iterator[tuple[str, testing.Difference]]:
    """Text by text where the answers are kept and several seeds tell."""
    for name in sample.first.references:
        pair = difference(sample, metric, name) if scale_of(metric) != "ratio" else None
        if pair and "seeds" in pair.covers:
            yield name, pair


def _compared(curves: SizeCurves, trained: Sequence[str], against: str) -> list[tuple[str, str]]:
    """Each recipe with the baseline, and with the best score without fine-tuning."""
    pairs = [(name, against) for name in trained if name != against]
    sign = 1 if higher_is_better(curves.metric) else -1
    ends = {
        name: sign * fmean(found[max(found)].scores.values())
        for name in curves.names
        if name not in trained and (found := curves.of(name))
    }
    return pairs + [(name, max(ends, key=ends.__getitem__)) for name in trained if ends]


def _pair(curves: SizeCurves, first: str, second: str, tests: Tests) -> Pair:
    one, other = curves.of(first), curves.of(second)
    found = []
    for size in sorted(one.keys() & other.keys()):
        seeds = one[size].scores.keys() & other[size].scores.keys()
        sides = [{s: each[size].scores[s] for s in sorted(seeds)} for each in (one, other)]
        if (first, second, size) in tests:
            found.append((size, tests[first, second, size]))
        elif seeds:
            by_seed = testing.seeds_only(*sides)
            ends = (by_seed.low, by_seed.high, by_seed.p_value)
            found.append((size, (by_seed.estimate, *ends)))
    p_values = [1.0 if p is None else p for _, (*_, p) in found]
    differences = [
        Difference(
            size=size,
            estimate=estimate,
            low=low,
            high=high,
            p_adjusted=None if p is None else adjusted,
            ahead=_ahead(curves.metric, estimate, adjusted),
        )
        for (size, (estimate, low, high, p)), adjusted in zip(found, holm(p_values), strict=True)
    ]
    return Pair(
        first=first, second=second, differences=differences, crossings=_crossings(differences)
    )


def _ahead(metric: str, difference: float, p: float) -> Ahead:
    if p > LEVEL or difference == 0:
        return "undecided"
    return "first" if (difference > 0) == higher_is_better(metric) else "second"


def _crossings(differences: Sequence[Difference]) -> list[float]:
    """Where a mean that is not 0 is followed by one of the other sign."""
    found = []
    signed = [(each.size, each.estimate) for each in differences if each.estimate != 0]
    for (size, before), (larger, after) in zip(signed, signed[1:], strict=False):
        if before * after < 0:
            share = abs(before) / (abs(before) + abs(after))
            found.append(math.exp(math.log(size) + share * math.log(larger / size)))
    return found


def _cautions(curves: SizeCurves, conditions: int) -> list[str]:
    said = []
    if conditions > len(curves.sizes):
        said.append("the runs differ in more than the training size: `workbench compare` says how")
    steps = {p.size: p.steps for p in curves.points if p.trained and p.steps}
    if len(set(steps.values())) > 1:
        listed = ", ".join(f"{count} with {size}" for size, count in sorted(steps.items()))
        said.append(
            f"fewer examples also mean fewer optimizer steps ({listed}); with --set "
            "training.max_steps=N all sizes have as many"
        )
    lengths = {len(point.scores) for point in curves.points if point.trained}
    if min(lengths) == 1:
        single = [n for n in curves.names if any(len(p.scores) == 1 for p in curves.of(n).values())]
        said.append(f"one seed somewhere, so nothing is decided there: {listing(single)}")
    said.append(
        "tested as `compare` does, scores without fine-tuning whose answers are not kept by a "
        "paired t test over the seeds; corrected for the number of sizes (Holm)"
    )
    return said
