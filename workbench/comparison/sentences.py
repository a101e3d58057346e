"""Conclusions as sentences: of a verdict, of the baselines, of the Pareto front."""

from collections.abc import Sequence

from workbench import formatting
from workbench.comparison.pareto import OBJECTIVES
from workbench.comparison.result import ComparisonResult, Group
from workbench.comparison.schema import Summary, Verdict
from workbench.comparison.testing import TESTS
from workbench.formatting import listing
from workbench.recipe.catalogue import higher_is_better, is_share


def conclusions(group: Group) -> list[str]:
    """What the tests say of each pair that is shown, and who beats the best reference."""
    shown = set(group.labels)
    pairs = [v for v in group.verdicts if {v["label"], v["against"]} <= shown]
    return [verdict["sentence"] for verdict in pairs] + reference_sentences(group)


def all_conclusions(comparison: ComparisonResult) -> list[str]:
    """Those of all groups, pairs first, then how they were tested, then the references."""
    said = [verdict["sentence"] for verdict in comparison.verdicts] + comparison.verdict_notes
    return said + [text for group in comparison.groups() for text in reference_sentences(group)]


def sentence(verdict: Verdict) -> str:
    """What a reader may conclude, from how many runs and items, and what would tell more."""
    p = verdict["p_adjusted"]
    chance = "" if p is None or verdict["conclusion"] == "untested" else f", {_p_value(p)}"
    power = _power(verdict)
    text = f"{_conclusion(verdict)}{chance}, {_evidence(verdict)}{f'; {power}' if power else ''}"
    return f"{text} ({verdict['note']})" if verdict["note"] else text


def _conclusion(verdict: Verdict) -> str:
    one, other = verdict["label"], verdict["against"]
    if verdict["conclusion"] == "untested":
        if verdict["difference"] is None:
            return f"{one} and {other} are not tested"
        runs = ((one, verdict["runs"]), (other, verdict["runs_against"]))
        single = [label for label, count in runs if count < 2]
        if verdict["items"]:
            why = "the difference is the same on every test item"
        elif single:
            why = f"the variance over seeds is unknown for {' and '.join(single)}"
        else:
            why = "the difference is the same with every seed, which may well be chance"
        return f"{one} and {other} are not tested, {why}: {_difference(verdict)}"
    margin = amount(verdict["metric"], verdict["margin"])
    said = {
        "better": f"{one} is better than {other}{_by_little(verdict)}",
        "worse": f"{one} is worse than {other}{_by_little(verdict)}",
        "same": f"{one} and {other} are equivalent within {margin}",
        "run_better": f"of these two adapters {one} scores higher{_by_little(verdict)}",
        "run_worse": f"of these two adapters {other} scores higher{_by_little(verdict)}",
        "run_same": f"these two adapters, {one} and {other}, are equivalent within {margin}",
        "hint": f"{one} and {other} may differ, but not significantly after correction for "
        f"{verdict['comparisons']} comparisons",
        "unclear": f"no significant difference between {one} and {other}",
    }[verdict["conclusion"]]
    return f"{said}: {_difference(verdict)}"


def _by_little(verdict: Verdict) -> str:
    low, high, margin = verdict["ci_low"], verdict["ci_high"], verdict["margin"]
    if low is None or high is None or not -margin < low <= high < margin:
        return ""
    return f" by less than {amount(verdict['metric'], margin)}"


def _difference(verdict: Verdict) -> str:
    metric, estimate = verdict["metric"], verdict["difference"]
    assert estimate is not None  # asked of verdicts with one only
    share = is_share(metric)
    text = f"difference {_number(metric, estimate)}{' points' if share else ''} of {metric}"
    low, high = verdict["ci_low"], verdict["ci_high"]
    if low is None or high is None:
        return text
    return f"{text}, 95% interval {_number(metric, low)} to {_number(metric, high)}"


def _p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def _evidence(verdict: Verdict) -> str:
    one, other = verdict["runs"], verdict["runs_against"]
    seeds = f"{one} seeds" if one == other else f"{one} and {other} seeds"
    if one == other == 1:
        seeds = "one run each: nothing is said about the methods, another seed may score otherwise"
    return f"{verdict['items']:,} {_units(verdict)}, {seeds}" if verdict["items"] else seeds


def _units(verdict: Verdict) -> str:
    return "groups of test items" if verdict["grouped"] else "test items"


def _power(verdict: Verdict) -> str:
    """What it takes to detect a difference of the margin; nothing where one was found."""
    if verdict["conclusion"] not in ("unclear", "hint") or not verdict["detectable"]:
        return ""
    metric = verdict["metric"]
    margin = amount(metric, verdict["margin"])
    shown = amount(metric, float(f"{verdict['detectable']:.2g}"))
    seeds, items = verdict["seeds_needed"], _about(verdict["items_needed"] or 0)
    runs = f"about {_about(seeds)} seeds" if seeds else "more than a thousand seeds"
    if verdict["limit"] is None:
        return f"80% power to detect {margin}"
    if verdict["limit"] == "seeds":
        wanted = f"detecting {margin} takes {runs}"
    elif "seeds" in verdict["covers"]:
        wanted = (
            f"more seeds alone do not help: detecting {margin} takes about {items} "
            f"{_units(verdict)} and {runs}"
        )
    else:
        wanted = f"detecting {margin} takes about {items} {_units(verdict)}"
    return f"{wanted}; these runs have 80% power from {shown} on"


def tests_used(verdicts: Sequence[Verdict]) -> list[str]:
    """Which tests were used, and for how many comparisons their p-values are corrected."""
    used = [text for name, text in TESTS.items() if any(v["test"] == name for v in verdicts)]
    if not used:
        return []
    many = max(verdict["comparisons"] for verdict in verdicts)
    correction = f"; p-values corrected for {many} comparisons (Holm)" if many > 1 else ""
    return [f"tested by {' and '.join(used)}{correction}"]


def amount(metric: str, value: float) -> str:
    """``1 point``, ``0.5 points``, or a number of the metric's own unit."""
    if not is_share(metric):
        return f"{value:.3g} of {metric}"
    points = f"{100 * value:.3g}"
    return f"{points} point" if points == "1" else f"{points} points"


def _number(metric: str, value: float) -> str:
    if is_share(metric):
        return f"{100 * value:+.1f}".replace("+0.0", "0.0").replace("-0.0", "0.0")
    return f"{value:+.3g}"


def _about(count: int) -> str:
    """Two digits are all that such a forecast is worth."""
    digits = max(0, len(str(count)) - 2)
    return f"{round(count, -digits):,}"


_SIDES = {
    "better": ("scores better", "score better"),
    "unclear": ("does not differ significantly", "do not differ significantly"),
    "worse": ("scores worse", "score worse"),
}


def reference_sentences(group: Group) -> list[str]:
    """Who beats the best score without fine-tuning, by the interval over seeds or the one run."""
    metric, scores = group.metric, group.reference_scores
    if not scores:
        return []
    higher = higher_is_better(metric)
    best = (max if higher else min)(scores, key=lambda name: scores[name])
    sides: dict[str, list[str]] = {side: [] for side in _SIDES}
    found = [(row["label"], row["metrics"].get(metric)) for row in group.rows]
    scored = [(label, each) for label, each in found if each and each["mean"] is not None]
    for label, summary in scored:
        sides[_side(summary, scores[best], higher)].append(label)
    parts = [
        f"{listing(labels, None)} {_SIDES[side][len(labels) > 1]}"
        for side, labels in sides.items()
        if labels
    ]
    several = any(summary["n"] > 1 for _, summary in scored)
    by = "95% intervals over seeds" if several else "one run each"
    score = formatting.score(scores[best])
    return [f"compared with {best} ({metric} {score}): {'; '.join(parts)} ({by})"]


def _side(summary: Summary, reference: float, higher: bool) -> str:
    low, high = summary["ci_low"], summary["ci_high"]
    if summary["n"] == 1:
        low = high = summary["mean"]
    if low is None or high is None or low <= reference <= high:
        return "unclear"
    return "better" if (low > reference) == higher else "worse"


def pareto_sentences(group: Group) -> list[str]:
    """Who is on the front by the means, and who is surely beaten."""
    if len(group.pareto) < 2 or not group.objectives:
        return []
    together = listing([OBJECTIVES.get(name, name) for name in group.objectives])
    front = [each["label"] for each in group.pareto if each["on_front_by_means"]]
    said = [f"Pareto front of {together}, by means: {listing(front, None)}."] if front else []
    return said + [
        f"{each['label']} is dominated by {listing(each['dominated_by'], None)}."
        for each in group.pareto
        if each["dominated_by"]
    ]
