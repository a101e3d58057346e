"""Which rows are better, or worse, than the best score without fine-tuning.

Both sides are uncertain: a row over its seeds and the test texts, the reference over the texts.
They are paired text by text. Runs of older versions do not keep what the reference answers; then
the two errors count as independent, which makes the interval too wide and never too narrow where
both err on the same texts.
"""

import math
from typing import NamedTuple

from workbench import formatting
from workbench.comparison.crossed import Crossed
from workbench.comparison.items import ItemScores, NoItems, item_scores
from workbench.comparison.result import Group
from workbench.comparison.rows import Sample
from workbench.comparison.schema import ScoreSummary
from workbench.comparison.statistics import (
    CONFIDENCE,
    Interval,
    bounds,
    interval,
    scale_of,
    varies,
    z_quantile,
)
from workbench.comparison.testing import Difference, Spread, several_runs, single_runs
from workbench.formatting import listing
from workbench.recipe.catalogue import bounds as ends_of_scale
from workbench.recipe.catalogue import higher_is_better

_SIDES = {
    "better": ("scores better", "score better"),
    "unclear": ("does not differ significantly", "do not differ significantly"),
    "worse": ("scores worse", "score worse"),
}


class Sides(NamedTuple):
    """The best score without fine-tuning, and which rows are better, worse or neither."""

    name: str
    score: float
    better: list[str]
    unclear: list[str]
    worse: list[str]
    unpaired: list[str]
    """Rows of these whose texts are not paired with those of the reference."""


def reference_sides(group: Group, *, single: bool = False) -> Sides | None:
    """By the 95% interval of the difference, corrected for the number of rows; None without a
    reference. ``single``: the rows of one run, of which it is said of that adapter, else all
    others, of which it is said of the recipe."""
    scores, higher = group.reference_scores, higher_is_better(group.metric)
    if not scores:
        return None
    best = (max if higher else min)(scores, key=lambda name: scores[name])
    sides, scored = Sides(best, scores[best], [], [], [], []), _scored(group)
    for sample, summary in scored:
        if (summary["n"] == 1) != single:
            continue
        read = summary["population_ci_low"] is not None  # scores of single texts, where tested
        if read and (found := difference(sample, group.metric, best)):
            sign = sign_of(found, len(scored))
        else:
            sides.unpaired.append(sample.label)
            sign = _sign(sample, group.metric, summary, scores[best], len(scored))
        side = "better" if (sign > 0) == higher else "worse"
        getattr(sides, side if sign else "unclear").append(sample.label)
    return sides


def reference_sentences(group: Group) -> list[str]:
    """Who beats the best score without fine-tuning."""
    sides, single = reference_sides(group), reference_sides(group, single=True)
    if sides is None or single is None:
        return []
    parts = [
        f"{listing(labels, None)} {words[len(labels) > 1]}"
        for side, words in _SIDES.items()
        if (labels := getattr(sides, side))
    ]
    parts += [
        f"the adapter{'s' * (len(labels) > 1)} {listing(labels, None)} {words[len(labels) > 1]}"
        for side, words in _SIDES.items()
        if (labels := getattr(single, side))
    ]
    scored = [summary for _, summary in _scored(group)]
    several = [each["n"] > 1 for each in scored]
    texts = all(each["population_ci_low"] is not None for each in scored)
    untested = any(each["n"] == 1 and each["population_ci_low"] is None for each in scored)
    over = ["seeds"] * any(several) + ["texts"] * texts
    lacking = [*sides.unpaired, *single.unpaired]
    pairs = "paired by text"
    if lacking:
        whose = listing(lacking) if len(lacking) < len(scored) else "the runs"
        pairs = f"not paired by text, as the answers of {sides.name} are not kept for {whose}"
    by = f"95% intervals over {' and '.join(over)}" if over else ""
    many = f"corrected for {len(scored)} rows" if over and len(scored) > 1 else ""
    runs = "" if all(several) else "one run of each adapter" if any(several) else "one run each"
    runs += " and not tested" if untested else ""
    by = ", ".join(filter(None, [by, pairs if texts else "", many, runs]))
    score = formatting.score(sides.score)
    return [f"compared with {sides.name} ({group.metric} {score}): {'; '.join(parts)} ({by})"]


def _scored(group: Group) -> list[tuple[Sample, ScoreSummary]]:
    pairs = zip(group.rows, group.samples, strict=True)
    found = [(sample, row["metrics"].get(group.metric)) for row, sample in pairs]
    return [(sample, each) for sample, each in found if each and each["mean"] is not None]


def difference(sample: Sample, metric: str, name: str) -> Difference | None:
    """A row less a reference on the same texts; None where the answers of either to single texts
    are not known."""
    try:
        return by_text(item_scores(sample, metric), item_scores(sample, metric, name))
    except NoItems:
        return None


def by_text(row: ItemScores, reference: ItemScores) -> Difference:
    """A row less a reference by the test that compares two recipes. Where the reference has one
    answer to each text whatever the seed, only the seeds of the row vary; nothing is taken off
    their variance for what belongs to seeds and texts together, as two seeds often vary little by
    chance.
    """
    runs, count = row.values.shape
    if runs == 1:
        return single_runs(row, reference)
    if reference.values.std(axis=0).any():  # it learns from what each run draws
        return several_runs(row, reference)
    by_item = row.by_item - reference.by_item
    right_or_wrong = row.right_or_wrong and reference.right_or_wrong
    over_items = float(by_item.var(ddof=1)) / count if count > 1 else 0.0
    if right_or_wrong:
        over_items = max(over_items, 1 / (count + 2) ** 2)  # as if they had disagreed on one item
    seeds = row.seed_variance / runs
    rest = over_items - min(row.residual_variance / runs / count, seeds)
    error = Crossed(
        fixed=max(rest, 0.0),
        seeds=seeds,
        df=runs - 1,
        items=count,
        unlike=count if right_or_wrong else None,
    )
    spread, estimate = Spread(error=error), float(by_item.mean())
    known = varies(math.sqrt(error.variance), max(row.largest, reference.largest))
    half = spread.half_width() if known else None
    return Difference(
        estimate=estimate,
        low=None if half is None else estimate - half,
        high=None if half is None else estimate + half,
        test="seeds-and-items",
        covers=("seeds", "items") if known else (),
        runs=(runs, 1),
        items=count,
        grouped=row.grouped,
        effect=None,
        effect_size=None,
        spread=spread,
    )


def sign_of(found: Difference, rows: int) -> float:
    """1 where a row scores higher than the reference, -1 where lower, 0 where that is open;
    corrected for the number of rows."""
    if found.given_p is not None:
        told = found.given_p <= (1 - CONFIDENCE) / rows
    else:
        told = found.low is not None and abs(found.estimate) > found.spread.half_width(rows)
    return math.copysign(1, found.estimate) if told else 0


def _sign(sample: Sample, metric: str, summary: ScoreSummary, reference: float, rows: int) -> float:
    """The same, where their answers cannot be paired."""
    confidence = 1 - (1 - CONFIDENCE) / rows
    if summary["population_ci_low"] is not None:
        try:
            return sign_over_texts(item_scores(sample, metric), metric, reference, confidence)
        except NoItems:
            return 0
    values = [value for value in summary["values"] if value is not None]
    if len(values) == 1:
        return _beyond(Interval(values[0], values[0], values[0], 1), (reference, reference))
    seeds = _widest(*(interval(values, confidence, each) for each in (scale_of(metric), "plain")))
    return _beyond(seeds, (reference, reference))


def sign_over_texts(
    items: ItemScores, metric: str, reference: float, confidence: float = CONFIDENCE
) -> float:
    """The same by a row's interval over seeds and texts and the reference's over texts."""
    scale, count = scale_of(metric), items.values.shape[1]
    own = items.population(scale, confidence)
    tail = (1 - confidence) / 2
    # Of a run, not of the mean of several: the reference is one.
    by_text = float(items.values.var(axis=1).mean())
    if scale == "ratio":
        half = z_quantile(tail) * math.sqrt(by_text / count)
        mean, low, high = (math.log(e) if e else None for e in (own.mean, own.low, own.high))
        level = math.log(reference) if reference > 0 else -math.inf
        return _beyond(Interval(mean, low, high, own.n), (level - half, level + half), level)
    own = _widest(own, items.population("plain", confidence))
    if scale == "share":
        # As uncertain as right or wrong answers at least, and as the texts of the row are.
        spread = (own.mean or 0.0) * (1 - (own.mean or 0.0))
        wider = max(by_text / spread, 1.0) if spread > 0 else 1.0
        error = reference * (1 - reference) * wider / count
        known = bounds(reference, z_quantile(tail), error, scale, count)
    else:
        # An error in units of its own varies with its size.
        sized = ends_of_scale(metric)[0] == 0 and own.mean
        size = abs(reference / own.mean) if sized and own.mean else 1.0
        half = z_quantile(tail) * size * math.sqrt(by_text / count)
        known = (reference - half, reference + half)
    return _beyond(own, known, reference)


def _widest(one: Interval, other: Interval) -> Interval:
    """Both ends further out: a bounded interval never reaches 1, one that is not has no width where
    all are right."""
    ends = [each.ends for each in (one, other) if each.ends]
    if not ends:
        return one
    return Interval(one.mean, min(low for low, _ in ends), max(high for _, high in ends), one.n)


def _beyond(own: Interval, known: tuple[float, float], reference: float | None = None) -> float:
    """1 where the interval of the difference, made of both (Newcombe 1998), lies above 0, -1 where
    it lies below, else 0."""
    reference = known[0] if reference is None else reference
    if own.mean is None or own.low is None or own.high is None:
        return 0
    difference = own.mean - reference
    if difference > 0:
        reach = math.hypot(own.mean - own.low, known[1] - reference)
    else:
        reach = math.hypot(own.high - own.mean, reference - known[0])
    return math.copysign(1, difference) if abs(difference) > reach else 0
