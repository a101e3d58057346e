"""Recipes over several data sets: interquartile mean, probability of improvement and performance
profile, with intervals of a stratified bootstrap (Agarwal et al. 2021).

A group of comparable runs is a data set, a recipe's name is the method. Scores are put on one
scale: 0 is the weakest score without fine-tuning on the data set, 1 the best that there can be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.analysis.seed_bootstrap import (
    Estimate,
    estimate,
    improvement,
    interquartile_mean,
    mean,
    permutation_test,
    profile,
)
from workbench.comparison import compare
from workbench.comparison.fairness import SEVERAL_STUDIES
from workbench.comparison.result import Group
from workbench.comparison.rows import DEFAULT_BASELINE, grouped
from workbench.comparison.schema import Row
from workbench.comparison.statistics import holm
from workbench.errors import UsageError
from workbench.formatting import listing, plural
from workbench.recipe.catalogue import higher_is_better, is_share
from workbench.recipe.suggest import did_you_mean

THRESHOLDS = 101
_CORRELATIONS = frozenset({"matthews_correlation", "pearson", "spearman"})
"""Metrics besides shares of which 1 is the best."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    name: str
    metric: str
    zero: str | None
    """The score without fine-tuning that counts as 0; None for the metric's own 0."""
    floor: float
    scores: dict[str, list[float]]
    """As they are in the runs, by method, in the order of the seeds."""

    def normalised(self, method: str) -> list[float]:
        return [(score - self.floor) / (1 - self.floor) for score in self.scores[method]]

    def mean(self, method: str) -> float:
        return float(np.mean(self.scores[method]))


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """How likely a run of one method scores higher than one of another, on any of the data sets."""

    method: str
    against: str
    probability: Estimate
    p_value: float | None
    """Of no difference on any data set; None with one run each."""
    p_adjusted: float | None
    """After Holm's correction for the number of pairs."""
    higher_on: int
    """Data sets on which its mean is higher."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Share of runs that score above each threshold."""

    method: str
    points: list[Estimate]


@dataclass(frozen=True, kw_only=True)
class Across:
    data_sets: list[DataSet]
    methods: list[str]
    seeds: int
    iqm: dict[str, Estimate]
    mean: dict[str, Estimate]
    improvements: list[Improvement]
    thresholds: list[float]
    profiles: list[Profile]
    notes: list[str]

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "seeds": self.seeds,
            "data_sets": [vars(each) for each in self.data_sets],
            "methods": [
                {"method": m, "iqm": self.iqm[m]._asdict(), "mean": self.mean[m]._asdict()}
                for m in self.methods
            ],
            "improvements": [
                vars(each) | {"probability": each.probability._asdict()}
                for each in self.improvements
            ],
            "thresholds": self.thresholds,
            "profiles": [
                {"method": each.method, "points": [p._asdict() for p in each.points]}
                for each in self.profiles
            ],
            "notes": self.notes,
        }


def compare_across(
    paths: Sequence[Path],
    *,
    baseline: str | None = None,
    metric: str | None = None,
    all_pairs: bool = False,
) -> Across:
    """The recipes that all of some studies have, over their data sets.

    Args:
        paths: folders of studies.
        baseline: recipe that the others are compared with; None for ``full`` where there is one,
            else all pairs are compared.
        metric: taken on every data set; None for the one that selected each study's adapters.
        all_pairs: compare each recipe with each.

    Raises:
        UsageError: for what cannot be put on one scale, or is not there.
    """
    comparison = compare(paths, tests=False, metric=metric)
    groups = comparison.groups(metric)
    _check_groups(groups, metric)
    rows = [_by_recipe(group) for group in groups]
    methods = [name for name in rows[0] if all(name in each for each in rows)]
    if len(methods) < 2:
        there = "; ".join(f"{g.title}: {listing([*r])}" for g, r in zip(groups, rows, strict=True))
        raise UsageError(
            "fewer than two recipes are in all of the studies",
            why=f"recipes are matched by name: {there}",
            fix="run the same recipes in every study",
        )
    pairs = _pairs(methods, baseline, all_pairs)
    warnings = [text for text in comparison.warnings if text != SEVERAL_STUDIES]
    notes = [*warnings, *_left_out(rows, methods)]
    read = [_data_set(group, each, methods) for group, each in zip(groups, rows, strict=True)]
    counts = {len(scores) for each in read for scores in each.scores.values()}
    seeds = min(counts)
    if len(counts) > 1:
        said = f"the first {plural(seeds, 'seed')} of each recipe: some have no more, and every"
        notes.append(f"{said} data set has to count alike")
        for each in read:
            each.scores.update({m: scores[:seeds] for m, scores in each.scores.items()})
    return _estimated(read, methods, pairs, [*notes, *_cautions(read, seeds, len(pairs))])


def _check_groups(groups: Sequence[Group], metric: str | None) -> None:
    if len(groups) < 2:
        raise UsageError(
            f"{plural(len(groups), 'data set')}, and --across takes two or more",
            why="studies on the same data, split and base model are one data set",
            fix="name studies on other data, or leave out --across",
        )
    studies = grouped([(row["study"], g.number) for g in groups for row in g.rows], lambda s: s[0])
    for study, found in studies.items():
        if len({number for _, number in found}) > 1:
            raise UsageError(
                f"the runs of {study} are not comparable with each other",
                why="--across takes each study as one data set; `workbench compare` says what "
                "differs",
                fix="name a study or folder whose runs share data, split, base model and length",
            )
    scales = {group.metric: group for group in groups}
    unfit = [name for name in scales if not (is_share(name) or name in _CORRELATIONS)]
    if unfit or (metric and [*scales] != [metric]):
        said = [
            f"{group.title}: {group.metric or 'no metric'} "
            f"({'higher' if higher_is_better(group.metric) else 'lower'} is better)"
            for group in groups
        ]
        raise UsageError(
            "these scores cannot be put on one scale",
            why=f"--across takes metrics of which 1 is the best; {'; '.join(said)}",
            fix="name a share or correlation that all of them have with --metric, or leave out "
            "the others",
        )


def _by_recipe(group: Group) -> dict[str, Row]:
    found = grouped(group.rows, lambda row: row["recipe"])
    for name, rows in found.items():
        if len(rows) > 1:
            raise UsageError(
                f"several rows of {group.title} are called {name}",
                why=f"recipes are matched by name: {listing([row['label'] for row in rows])}",
                fix="name folders in which each recipe was run in one configuration",
            )
    return {name: rows[0] for name, rows in found.items()}


def _pairs(methods: Sequence[str], baseline: str | None, every: bool) -> list[tuple[str, str]]:
    if baseline is not None and baseline not in methods:
        fix = f"{did_you_mean(baseline, methods)} They are {listing(methods, None)}.".strip()
        raise UsageError(f"the baseline {baseline!r} is not a recipe of all studies", fix=fix)
    against = baseline or (DEFAULT_BASELINE if DEFAULT_BASELINE in methods else None)
    if every or against is None:
        return [(one, other) for i, one in enumerate(methods) for other in methods[i + 1 :]]
    return [(name, against) for name in methods if name != against]


def _left_out(rows: Sequence[dict[str, Row]], methods: Sequence[str]) -> list[str]:
    others = dict.fromkeys(name for each in rows for name in each if name not in methods)
    return [f"not in all of the studies, and left out: {listing([*others])}"] if others else []


def _data_set(group: Group, rows: dict[str, Row], methods: Sequence[str]) -> DataSet:
    scores: dict[str, list[float]] = {}
    for name in methods:
        found = rows[name]["metrics"].get(group.metric)
        values = found["values"] if found else [None]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            raise UsageError(
                f"{group.metric} is absent in runs of {name}",
                where=group.title,
                fix="name another metric with --metric, or leave the study out",
            )
        scores[name] = known
    weakest = min(group.reference_scores.items(), key=lambda pair: pair[1], default=(None, 0.0))
    studies = ", ".join(dict.fromkeys(rows[name]["study"] for name in methods))
    if weakest[1] >= 1:
        raise UsageError(
            f"{weakest[0]} scores {weakest[1]:g} of {group.metric}: nothing is left to gain",
            where=studies,
            fix="leave the study out",
        )
    zero, floor = weakest
    return DataSet(name=studies, metric=group.metric, zero=zero, floor=floor, scores=scores)


def _cautions(data_sets: Sequence[DataSet], seeds: int, pairs: int) -> list[str]:
    zeros = grouped(data_sets, lambda each: each.zero or "a score of 0")
    said = [f"{zero} on {listing([e.name for e in found], None)}" for zero, found in zeros.items()]
    zero = listing(said if len(zeros) > 1 else [*zeros], None)
    said = [f"normalised scores: 1 is the best there can be, 0 is {zero}"]
    if seeds == 1:
        return [*said, "one run each, so no interval: nothing is said of the methods"]
    covered = "intervals are over seeds, with these data sets and their test items as they are"
    if seeds < 5:
        covered += f"; from {seeds} seeds a bootstrap makes them too narrow, so go by p"
    tested = "p is that of a permutation test within each data set"
    if pairs > 1:
        tested += f", corrected for {pairs} comparisons (Holm)"
    return [*said, covered, tested]


def _estimated(
    data_sets: list[DataSet],
    methods: list[str],
    pairs: Sequence[tuple[str, str]],
    notes: list[str],
) -> Across:
    matrix = {m: np.array([each.normalised(m) for each in data_sets]).T for m in methods}
    every = np.concatenate([scores.ravel() for scores in matrix.values()])
    thresholds = np.linspace(min(0.0, float(every.min())), float(every.max()), THRESHOLDS)
    return Across(
        data_sets=data_sets,
        methods=methods,
        seeds=len(next(iter(matrix.values()))),
        iqm={name: estimate(interquartile_mean, matrix[name])[0] for name in methods},
        mean={name: estimate(mean, matrix[name])[0] for name in methods},
        improvements=_improvements(data_sets, matrix, pairs),
        thresholds=thresholds.tolist(),
        profiles=[
            Profile(method=name, points=estimate(profile(thresholds), matrix[name]))
            for name in methods
        ],
        notes=notes,
    )


def _improvements(
    data_sets: Sequence[DataSet], matrix: dict[str, np.ndarray], pairs: Sequence[tuple[str, str]]
) -> list[Improvement]:
    several = min(map(len, matrix.values())) > 1
    p_values = [permutation_test(matrix[one], matrix[other]) for one, other in pairs]
    return [
        Improvement(
            method=one,
            against=other,
            probability=estimate(improvement, matrix[one], matrix[other])[0],
            p_value=p if several else None,
            p_adjusted=adjusted if several else None,
            higher_on=sum(each.mean(one) > each.mean(other) for each in data_sets),
        )
        for (one, other), p, adjusted in zip(pairs, p_values, holm(p_values), strict=True)
    ]
