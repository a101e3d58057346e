"""Scores of single test items, from the predictions that each run keeps.

Every value is what its item contributes to the score of the run, so that the mean over items is
the score. A ratio of sums (entity F1) is linearised, as the infinitesimal jackknife does (Efron
1982, chapter 6). Of an exponential (perplexity) it is the logarithm, a ratio of sums, that is
compared. BLEU and correlations are no such sums.
Examples that belong together (`data.group`) are one item: what is drawn is the group.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.comparison.crossed import population_interval
from workbench.comparison.rows import Sample
from workbench.comparison.statistics import CONFIDENCE, Interval, Scale, scale_of
from workbench.recipe.catalogue import METRICS, OF_BASELINE
from workbench.recipe.renamed import metric_as_first_written
from workbench.store import open_regular, stat_key

if TYPE_CHECKING:
    import numpy as np

EACH, WEIGHT = "example_{}", "example_{}_weight"
"""Columns of predictions.parquet: what each example adds to a metric, and to what it is divided
by where that is not their number."""

GROUP = "group"
"""The column of predictions.parquet that says which examples belong together."""

PREDICTIONS = "predictions.parquet"
FROM_LABELS = frozenset({"accuracy", "f1_macro"})
"""Metrics that label and prediction give where the columns above are not there."""

UNREADABLE = "its predictions are not there or cannot be read"
KEPT = 2048
"""Runs whose items are kept, once for each metric: 1 kB for 120 texts."""
TOLERANCE = 1e-6
"""Relative difference between the mean of the items and the recorded score."""


class NoItems(ValueError):
    """Scores of items that are not there or do not fit; the text says why."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ItemScores:
    """What each test item contributes to the score of each run of a recipe."""

    values: np.ndarray
    """(runs, items); the mean of a row is the score of the run."""
    ids: tuple[str, ...]
    right_or_wrong: bool  # every value is 0 or 1
    grouped: bool = False  # an item is a group of examples
    share: bool = False  # the score lies between 0 and 1
    exponential: bool = False  # the values are of the score's logarithm
    seeds: tuple[int, ...] = ()  # of the runs, where they are known

    @cached_property
    def mean(self) -> float:
        return float(self.values.mean())

    @cached_property
    def run_scores(self) -> list[float]:
        """The mean of each run."""
        means: list[float] = self.values.mean(axis=1).tolist()
        return means

    @property
    def scores(self) -> list[float]:
        """The score of each run, in the units of the metric."""
        return list(map(math.exp, self.run_scores)) if self.exponential else self.run_scores

    @cached_property
    def largest(self) -> float:
        return float(abs(self.values).max())

    @cached_property
    def by_item(self) -> np.ndarray:
        """Mean over runs, (items,)."""
        means: np.ndarray = self.values.mean(axis=0)
        return means

    @cached_property
    def seed_variance(self) -> float:
        """Variance between the scores of the runs; nan for a single one."""
        if len(self.values) < 2:
            return math.nan
        return float(self.values.mean(axis=1).var(ddof=1))

    @cached_property
    def residual_variance(self) -> float:
        """Variance of what is neither the run's nor the item's (two-way analysis of variance)."""
        runs, items = self.values.shape
        if runs < 2 or items < 2:
            return 0.0
        rest = self.values - self.values.mean(axis=1, keepdims=True) - self.by_item + self.mean
        return float((rest**2).sum() / ((runs - 1) * (items - 1)))

    def population(self, scale: Scale, confidence: float = CONFIDENCE) -> Interval:
        """The mean and its interval over seeds and items."""
        count = self.values.shape[1]
        return population_interval(
            self.scores,
            over_items=float(self.by_item.var(ddof=1)) / count if count > 1 else 0.0,
            residual=self.residual_variance / count,
            items=count,
            scale=scale,
            confidence=confidence,
        )


def item_scores(sample: Sample, metric: str, baseline: str | None = None) -> ItemScores:
    """The scores of the items of all runs of a row, or of a baseline that was scored with each of
    them; NoItems when these do not give the score that was recorded."""
    versions = tuple(stat_key(run.path / PREDICTIONS) for run in sample.runs)
    key = (metric, baseline, versions)
    if key not in sample.items:
        sample.items[key] = _of_sample(sample, metric, baseline, versions)
    found: ItemScores = sample.items[key]
    return found


def _of_sample(
    sample: Sample,
    metric: str,
    baseline: str | None,
    versions: Sequence[tuple[int, ...] | None],
) -> ItemScores:
    rows, ids, grouped = [], None, False
    exponential = metric in METRICS and METRICS[metric].exponential
    for run, record, version in zip(sample.runs, sample.records, versions, strict=True):
        tested = record.metrics.test
        scores = tested if baseline is None else record.references.get(baseline, {})
        recorded = scores.get(metric)
        if recorded is None:
            raise NoItems(f"{metric} is absent in {sample.label} seed {record.seed}")
        found, values, grouped = _of_run(run.path, metric, baseline, version)
        if ids is not None and ids != found:
            raise NoItems("its runs were tested on different items")
        ids = found
        mean = float(values.mean()) if len(values) else math.nan
        if exponential:
            agrees = recorded > 0 and abs(mean - math.log(recorded)) <= TOLERANCE
        else:
            agrees = math.isclose(mean, recorded, rel_tol=TOLERANCE, abs_tol=1e-9)
        if not agrees:
            raise NoItems("what is kept of its items does not add up to its score")
        rows.append(values)
    import numpy as np  # only where there are items: its import takes a tenth of a second

    values = np.stack(rows)
    return ItemScores(
        values=values,
        ids=ids or (),
        right_or_wrong=not exponential and bool(np.isin(values, (0.0, 1.0)).all()),
        grouped=grouped,
        share=scale_of(metric) == "share",
        exponential=exponential,
        seeds=tuple(sample.seeds),
    )


def row_interval(sample: Sample, metric: str) -> Interval | None:
    """The mean of a row with its interval over seeds and texts, of one run over the texts alone;
    None where there are no scores of items."""
    try:
        return item_scores(sample, metric).population(scale_of(metric))
    except NoItems:
        return None


def repeated_texts(sample: Sample) -> tuple[int, int] | None:
    """Of how many test examples, of all, the text occurs in another one; None where they are
    grouped already or cannot be read. White space and case do not count."""
    try:
        columns = _columns(sample.runs[0].path, ["text", GROUP])
    except NoItems:
        return None
    if columns.get(GROUP) or "text" not in columns:
        return None
    counts = Counter(" ".join(str(text).split()).casefold() for text in columns["text"])
    return sum(n for n in counts.values() if n > 1), counts.total()


def by_group(groups: Sequence[str], values: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Each group as one item. The mean over examples is a ratio of sums over groups, and as such
    linearised: groups of equal size count with their means."""
    import numpy as np

    names, index = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise NoItems("its test items are all of one group")
    mean = values.mean()
    sums = np.bincount(index, weights=values - mean)
    contributions = mean + sums * (len(names) / len(values))
    # Rounded, as groups that are right or wrong as a whole should give 0 and 1.
    return tuple(map(str, names)), np.asarray(contributions.round(12))


@lru_cache(maxsize=KEPT)
def _of_run(
    folder: Path, metric: str, baseline: str | None, version: tuple[int, ...] | None
) -> tuple[tuple[str, ...], np.ndarray, bool]:
    """Ids and contributions of the items of one run, or of a baseline in its file, and whether they
    are groups; kept for the ``version`` of the file."""
    prefix = "" if baseline is None else OF_BASELINE.format(baseline, "")
    names = dict.fromkeys((metric, metric_as_first_written(metric)))
    wanted = [kind.format(name) for name in names for kind in (EACH, WEIGHT)]
    labels = ["label", f"{prefix}prediction"] if metric in FROM_LABELS else []
    read = _columns(folder, ["id", GROUP, *(prefix + name for name in wanted), *labels])
    columns = {name.removeprefix(prefix): values for name, values in read.items()}
    metric = next((name for name in names if EACH.format(name) in columns), metric)
    try:
        if EACH.format(metric) in columns:
            values = _contributions(metric, columns)
        elif labels:
            values = _from_labels(metric, columns["label"], columns["prediction"])
        else:
            raise NoItems(f"{metric} has no scores of single items")
        if groups := columns.get(GROUP):
            ids, values = by_group([str(each) for each in groups], values)
            return shared(ids), values, True
        return shared(tuple(map(str, columns["id"]))), values, False
    except NoItems:
        raise
    except (KeyError, TypeError, ValueError, OverflowError):  # somebody else's file
        raise NoItems(UNREADABLE) from None


@lru_cache(maxsize=64)
def shared(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The first tuple that was equal to this one: the runs of a study have the same texts."""
    return texts


def _columns(folder: Path, names: list[str]) -> dict[str, Any]:
    """Those of some columns of a run's predictions that are there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_regular(folder / PREDICTIONS) as opened, pq.ParquetFile(opened) as file:
            columns: dict[str, Any] = file.read(columns=names).to_pydict()
            return columns
    # Somebody else's file.
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, OverflowError):
        raise NoItems(UNREADABLE) from None


def _contributions(metric: str, columns: Mapping[str, Sequence[float]]) -> np.ndarray:
    import numpy as np

    each = np.array(columns[EACH.format(metric)], dtype=float)
    weights = columns.get(WEIGHT.format(metric))
    if weights is None:
        return each
    weight = np.array(weights, dtype=float)
    total = weight.sum()
    if not total > 0:
        raise NoItems(f"{metric} is not defined on its items")
    ratio = each.sum() / total
    return np.asarray(ratio + (each - ratio * weight) / weight.mean())


def _from_labels(metric: str, labels: Sequence[str], predictions: Sequence[str]) -> np.ndarray:
    """Accuracy, or macro F1: that of each class is a ratio of sums, and their mean is taken over
    the classes that occur."""
    import numpy as np

    right, given = np.array(labels), np.array(predictions)
    if metric == "accuracy":
        return np.asarray(right == given, dtype=float)
    parts = []
    for name in sorted({*labels, *predictions}):
        is_right, is_given = right == name, given == name
        hits = 2.0 * (is_right & is_given)
        size = is_right.astype(float) + is_given
        ratio = hits.sum() / size.sum()
        parts.append(ratio + (hits - ratio * size) / size.mean())
    return np.asarray(np.mean(parts, axis=0))
