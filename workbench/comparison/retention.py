"""What the runs of a row have kept of their base, with an interval over seeds and passages."""

import math
from collections.abc import Sequence
from statistics import fmean

from workbench.comparison.crossed import population_interval
from workbench.comparison.records import Record, Retention
from workbench.comparison.schema import RetentionSummary, Row
from workbench.comparison.statistics import Interval, Scale, interval, variance

CKA = "linear CKA"


def retention_of(records: Sequence[Record]) -> RetentionSummary | None:
    """The retention of the runs of a row; None where none has any, or they measured differently."""
    measured = [r.retention for r in records if r.retention and r.retention.value is not None]
    kinds = {(each.measure, each.text, each.tokens) for each in measured}
    if len(kinds) != 1:
        return None
    first = measured[0]
    values = [each.value for each in measured if each.value is not None]
    try:
        found = _interval(measured, values, "plain" if first.measure == CKA else "ratio")
    except OverflowError:  # models that diverged: an end beyond every number
        found = Interval(fmean(values), None, None, len(values))
    perplexity = None
    if first.base_perplexity is not None and found.mean and found.mean > 1e-200:
        perplexity = first.base_perplexity / found.mean
    high = found.high
    return {
        "mean": found.mean,
        "ci_low": found.low,
        "ci_high": min(high, 1.0) if high is not None and first.measure == CKA else high,
        "n": found.n,
        "values": [r.retention.value if r.retention else None for r in records],
        "measure": str(first.measure),
        "perplexity": perplexity,
        "base_perplexity": first.base_perplexity,
    }


def in_words(rows: Sequence[Row]) -> str:
    """What the retention of some rows is made of; empty where none has any."""
    measures = dict.fromkeys(row["retention"]["measure"] for row in rows if row["retention"])
    said = [
        f"{name} of the base divided by that of the adapted model"
        if "perplexity" in name
        else f"{name} of hidden states with the base's, mean over layers"
        for name in measures
    ]
    return f"{' or '.join(said)}, on a general text (1: the base)" if said else ""


def _interval(measured: Sequence[Retention], values: list[float], scale: Scale) -> Interval:
    """Over seeds and passages; over seeds alone where the passages are not known."""
    runs = [_by_passage(each) for each in measured]
    count = len(runs[0])
    if count < 2 or any(len(run) != count for run in runs) or min(values) <= 0:
        return interval(values, scale=scale)
    means = [fmean(column) for column in zip(*runs, strict=True)]
    return population_interval(
        values,
        over_items=variance(means) / count,
        residual=_residual(runs, means) / count,
        items=count,
        scale=scale,
    )


def _by_passage(one: Retention) -> list[float]:
    """What each passage adds to the retention of a run, so that their mean is what was measured.

    Of a ratio of perplexities it is the logarithm, a ratio of sums, linearised as scores of items
    are; of CKA it is the pseudo-value of the jackknife (Efron 1982, chapter 3).
    """
    if one.measure == CKA:
        count, value = len(one.without_passage), one.value or 0.0
        return [count * value - (count - 1) * without for without in one.without_passage]
    pairs = list(zip(one.base_passages, one.passages, strict=False))
    gains = [base[0] - own[0] for base, own in pairs]
    tokens = [base[1] for base, _ in pairs]
    total = math.fsum(tokens)
    if not total >= 1:
        return []
    ratio = math.fsum(gains) / total
    weight = len(pairs) / total
    return [
        ratio + (gain - ratio * count) * weight for gain, count in zip(gains, tokens, strict=True)
    ]


def _residual(runs: Sequence[Sequence[float]], means: Sequence[float]) -> float:
    """Variance of what is neither the run's nor the passage's."""
    if len(runs) < 2:
        return 0.0
    own, mean = [fmean(run) for run in runs], fmean(means)
    rest = [
        value - here - passage + mean
        for run, here in zip(runs, own, strict=True)
        for value, passage in zip(run, means, strict=True)
    ]
    return math.fsum(r * r for r in rest) / ((len(runs) - 1) * (len(means) - 1))
