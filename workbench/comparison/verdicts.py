"""Which recipe is better than which: a verdict for each pair that is compared."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import geometric_mean

from workbench.comparison.collapse import judged, remark
from workbench.comparison.items import ItemScores, NoItems, item_scores, repeated_texts
from workbench.comparison.pareto import Intervals
from workbench.comparison.power import Needed, detectable, needed
from workbench.comparison.result import Group
from workbench.comparison.rows import Sample, mean_of, within_scale
from workbench.comparison.schema import Conclusion, Row, Size, Verdict
from workbench.comparison.sentences import put_in_words, tests_used
from workbench.comparison.sequential import Plan, plan_of, plans_of
from workbench.comparison.statistics import CONFIDENCE, holm, scale_of
from workbench.comparison.testing import Difference, seeds_only, several_runs, single_runs
from workbench.errors import UsageError
from workbench.recipe.catalogue import higher_is_better, is_share
from workbench.recipe.suggest import did_you_mean

LEVEL = 1 - CONFIDENCE
MARGIN = 0.01
"""The smallest difference worth detecting where none is named: one point of a share."""
RELATIVE_MARGIN = 0.05
"""The same for scores that are no shares, such as perplexity, as part of the baseline's."""

REPEATED = 0.02
"""Share of test examples whose texts may repeat without a warning: it changes no interval."""


@dataclass(frozen=True)
class TestRequest:
    __test__ = False  # pytest collects classes by this name

    metric: str | None = None
    all_pairs: bool = False
    margin: float | None = None
    """The smallest difference worth detecting, in units of the metric; None for the default."""
    intervals: bool = True
    """Whether the intervals of all differences are asked for."""

    def __post_init__(self) -> None:
        if self.margin is not None and not 0 < self.margin < math.inf:
            raise UsageError(
                f"a margin of {self.margin:g}",
                why="it is the smallest difference worth detecting, in units of the metric",
                fix="a number above 0, e.g. 0.005 of an accuracy",
            )


@dataclass
class TestResults:
    """The verdicts on some rows, and the intervals of all differences within their groups."""

    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    intervals: Intervals = field(default_factory=dict)
    """Of recipes: not where it is the interval of two adapters only."""

    __test__ = False


def check_metric(rows: Sequence[Row], name: str | None) -> None:
    """Refuses (UsageError) a metric that no row has."""
    known = sorted({metric for row in rows for metric in row["metrics"]})
    if name is not None and rows and name not in known:
        fix = f"{did_you_mean(name, known)} The metrics are {', '.join(known)}.".strip()
        raise UsageError(f"no run has the metric {name!r}", fix=fix)


def run_tests(groups: Sequence[Group], request: TestRequest) -> TestResults:
    """Tests the rows of each group against their baseline, or all against all."""
    results = TestResults()
    for group in groups:
        if len(group.rows) < 2 or group.metric != (request.metric or group.metric):
            continue
        place = f" in group {group.number}" if group.several else ""
        scores = _Scores(group.metric, group.samples)
        pairs = _pairs(group.rows, request)
        if not pairs:
            results.notes.append(
                f"nothing is tested{place}: choose a baseline, or have all pairs tested"
            )
        plans, problems = plans_of(group.samples)
        results.notes += problems
        found = [scores.paid(one["label"], other["label"], plans) for one, other in pairs]
        p_values = {i: d.p_value for i, (d, _) in enumerate(found) if d and d.p_value is not None}
        adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
        verdicts = [
            _verdict(pair, group.metric, *found[i], adjusted.get(i), len(adjusted), request)
            for i, pair in enumerate(pairs)
        ]
        results.verdicts += verdicts
        results.notes += [f"{text}{place}" for text in tests_used(verdicts)]
        results.notes += dict.fromkeys(d.looks.note for d, _ in found if d and d.looks)
        results.notes += [f"{text}{place}" for text in _repeats(group, verdicts)]
        if request.intervals:
            results.intervals |= scores.intervals(group.labels)
    return results


def _repeats(group: Group, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """A warning where test examples that share their text were counted as independent."""
    if any(verdict["items"] for verdict in verdicts):
        repeated, count = repeated_texts(group.samples[0]) or (0, 0)
        if repeated > REPEATED * count:
            yield (
                f"{repeated:,} of {count:,} test examples share their text with another: they are "
                "not independent, so intervals are too narrow unless `data.group` names the column "
                "that says which belong together"
            )


def _pairs(members: Sequence[Row], request: TestRequest) -> list[tuple[Row, Row]]:
    if request.all_pairs:
        return list(itertools.combinations(members, 2))
    by_label = {row["label"]: row for row in members}
    pairs = [
        (row, by_label[row["baseline"]])
        for row in members
        if row["baseline"] and row["baseline"] != row["label"]
    ]
    return pairs if pairs or len(members) > 2 else [(members[0], members[1])]


class _Scores:
    """The scores of the rows of a group, read once; of items where every run keeps them."""

    def __init__(self, metric: str, samples: Sequence[Sample]) -> None:
        self.metric = metric
        self.samples = {sample.label: sample for sample in samples}
        self._items: dict[str, ItemScores | str] = {}

    def items(self, label: str) -> ItemScores | str:
        if label not in self._items:
            try:
                self._items[label] = item_scores(self.samples[label], self.metric)
            except NoItems as reason:
                self._items[label] = str(reason)
        return self._items[label]

    def difference(self, one: str, other: str) -> tuple[Difference | None, str | None]:
        """The test that fits the two, and a note where it is not the one over items."""
        values = [self._of_runs(label) for label in (one, other)]
        lacking = [label for label, known in zip((one, other), values, strict=True) if not known]
        if lacking:
            return None, f"{self.metric} is absent in {' and '.join(lacking)}"
        left, right = self.items(one), self.items(other)
        if isinstance(left, str) or isinstance(right, str):
            why = left if isinstance(left, str) else str(right)
            return seeds_only(*values), f"over seeds only: {why}"
        if left.ids != right.ids:
            return seeds_only(*values), "over seeds only: the test items are not the same"
        runs = {len(left.values), len(right.values)}
        if runs == {1}:
            return single_runs(left, right), None
        if 1 in runs:
            return seeds_only(*values), None
        return several_runs(left, right), None

    def paid(
        self, one: str, other: str, plans: Sequence[Plan]
    ) -> tuple[Difference | None, str | None]:
        """The same, where seeds were added until the two were decided with the looks paid for."""
        found, note = self.difference(one, other)
        plan = plan_of(plans, [self.samples[label].first.fingerprint for label in (one, other)])
        return (plan.paid(found) if found and plan else found), note

    def _of_runs(self, label: str) -> dict[int, float]:
        """By seed; of an exponential the logarithms."""
        of = math.log if scale_of(self.metric) == "ratio" else float
        scores = ((r.seed, r.metrics.test.get(self.metric)) for r in self.samples[label].records)
        return {seed: of(score) for seed, score in scores if score is not None}

    def intervals(self, labels: Sequence[str]) -> Intervals:
        found = {}
        for one, other in itertools.combinations(labels, 2):
            difference, _ = self.difference(one, other)
            if difference and "seeds" in difference.covers and difference.low is not None:
                assert difference.high is not None
                found[self.metric, one, other] = (difference.low, difference.high)
                found[self.metric, other, one] = (-difference.high, -difference.low)
        return found


def compared(pair: tuple[Row, Row], samples: Sequence[Sample], metric: str) -> Size:
    """Two rows of any groups with the same test items, the first minus the second."""
    found, _ = _Scores(metric, samples).difference(pair[0]["label"], pair[1]["label"])
    return _Units(pair[1], metric).size_of(found)


def _verdict(
    pair: tuple[Row, Row],
    metric: str,
    found: Difference | None,
    note: str | None,
    adjusted: float | None,
    comparisons: int,
    request: TestRequest,
) -> Verdict:
    (one, other), units = pair, _Units(pair[1], metric)
    margin = units.default_margin if request.margin is None else request.margin
    size = units.tested(margin)
    tested = found if found and found.p_value is not None else None
    more = needed(tested, size, comparisons) if tested else Needed()
    seen = detectable(tested, comparisons) if tested else None
    runs = found.runs if found else (len(one["runs"]), len(other["runs"]))
    verdict: Verdict = {
        "group": one["group"],
        "metric": metric,
        "label": one["label"],
        "against": other["label"],
        **units.size_of(found),
        "p_value": found.p_value if found else None,
        "p_adjusted": adjusted,
        "comparisons": comparisons,
        "test": tested.test if tested else None,
        "covers": list(found.covers) if found else [],
        "runs": runs[0],
        "runs_against": runs[1],
        "looks": found.looks.count if found and found.looks else 0,
        "level": found.looks.level if found and found.looks else None,
        "items": found.items if found else None,
        "grouped": bool(found and found.grouped),
        "effect": found.effect if found else None,
        "effect_size": found.effect_size if found else None,
        "conclusion": judged(_conclusion(metric, tested, adjusted, size), one, other),
        "margin": margin,
        "margin_ratio": units.ratio(size),
        "detectable": units.difference(seen),
        "detectable_ratio": units.ratio(seen),
        "limit": more.limit,
        "seeds_needed": more.seeds,
        "items_needed": more.items,
        "needed_range": list(more.bounds) if more.bounds else None,
        "note": note,
        "caveats": [text for text in (remark(one), remark(other)) if text],
        "sentence": "",
        "details": "",
    }
    put_in_words(verdict)
    return verdict


class _Units:
    """From what is tested to the units of the metric: the same, but logarithms of an exponential,
    whose difference is the logarithm of a ratio."""

    def __init__(self, baseline: Row, metric: str) -> None:
        summary = baseline["metrics"].get(metric)
        values = [v for v in summary["values"] if v is not None] if summary else []
        self.metric = metric
        self.exponential = scale_of(metric) == "ratio"
        self.level = geometric_mean(values) if self.exponential and values else mean_of(values)
        relative = RELATIVE_MARGIN * abs(self.level or 0.0)
        self.default_margin = MARGIN if is_share(metric) else relative or MARGIN

    def tested(self, margin: float) -> float:
        return math.log1p(margin / self.level) if self.exponential and self.level else margin

    def size_of(self, found: Difference | None) -> Size:
        bounds = (found.estimate, found.low, found.high) if found else (None, None, None)
        difference, low, high = within_scale(self.metric, *map(self.difference, bounds))
        ratio, ratio_low, ratio_high = map(self.ratio, bounds)
        return {
            "difference": difference,
            "ci_low": low,
            "ci_high": high,
            "ratio": ratio,
            "ratio_low": ratio_low,
            "ratio_high": ratio_high,
        }

    def ratio(self, tested: float | None) -> float | None:
        return math.exp(tested) if self.exponential and tested is not None else None

    def difference(self, tested: float | None) -> float | None:
        if tested is None or not (self.exponential and self.level):
            return tested
        return self.level * math.expm1(tested)


def _conclusion(
    metric: str, found: Difference | None, adjusted: float | None, margin: float
) -> Conclusion:
    if found is None or found.low is None or found.high is None or adjusted is None:
        return "untested"
    single = found.runs == (1, 1)
    if adjusted <= LEVEL:
        if (found.estimate > 0) == higher_is_better(metric):
            return "run_better" if single else "better"
        return "run_worse" if single else "worse"
    if -margin < found.low and found.high < margin:
        return "run_same" if single else "same"
    return "hint" if found.p_value is not None and found.p_value <= LEVEL else "unclear"
