"""A verdict in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.comparison.testing import TESTS
from workbench.recipe.catalogue import is_share

if TYPE_CHECKING:
    from workbench.comparison.verdicts import Verdict


def sentence(verdict: Verdict) -> str:
    """What a reader may conclude, from how many runs and items, and what would tell more."""
    parts = [_conclusion(verdict)]
    if verdict["conclusion"] != "untested":
        parts.append(_p_value(verdict))
    parts.append(_evidence(verdict))
    forecast = _forecast(verdict)
    text = f"{', '.join(part for part in parts if part)}{f'; {forecast}' if forecast else ''}"
    return f"{text} ({verdict['note']})" if verdict["note"] else text


def _conclusion(verdict: Verdict) -> str:
    one, other = verdict["label"], verdict["against"]
    if verdict["conclusion"] == "untested":
        if verdict["difference"] is None:
            return f"{one} and {other} are not tested"
        alone = [
            label
            for label, runs in ((one, verdict["runs"]), (other, verdict["runs_against"]))
            if runs < 2
        ]
        if verdict["items"]:
            why = ": what is between them is the same on every test item"
        elif alone:
            why = f": what a seed changes is not known of {' and '.join(alone)}"
        else:
            why = ": what is between them is the same with every seed, which may well be chance"
        return f"{one} and {other} are not tested{why}: {_difference(verdict)}"
    worth = amount(verdict["metric"], verdict["margin"])
    said = {
        "better": f"{one} is better than {other}{_by_little(verdict)}",
        "worse": f"{one} is worse than {other}{_by_little(verdict)}",
        "same": f"{one} and {other} are the same to within {worth}",
        "hint": f"{one} and {other} may differ, or it is one of {verdict['comparisons']} "
        "comparisons that does so by chance",
        "unclear": f"{one} and {other} cannot be told apart here",
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


def _p_value(verdict: Verdict) -> str:
    p = verdict["p_adjusted"]
    assert p is not None
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def _evidence(verdict: Verdict) -> str:
    runs = (verdict["runs"], verdict["runs_against"])
    items = f"{verdict['items']:,} test items" if verdict["items"] else ""
    if runs == (1, 1):
        seeds = "one run each, so it says something of these adapters and not of the methods"
    elif runs[0] == runs[1]:
        seeds = f"{runs[0]} seeds"
    else:
        seeds = f"{runs[0]} and {runs[1]} seeds"
    return ", ".join(part for part in (items, seeds) if part)


def _forecast(verdict: Verdict) -> str:
    """What would be needed to see a difference that is worth it; nothing where one was seen."""
    if verdict["conclusion"] not in ("unclear", "hint") or not verdict["detectable"]:
        return ""
    metric = verdict["metric"]
    worth = amount(metric, verdict["margin"])
    shown = amount(metric, float(f"{verdict['detectable']:.2g}"))
    seeds, items = verdict["seeds_needed"], _about(verdict["items_needed"] or 0)
    runs = f"about {_about(seeds)} seeds" if seeds else "more than a thousand seeds"
    if verdict["limit"] is None:
        return f"{worth} would have shown in 4 of 5 such comparisons"
    if verdict["limit"] == "seeds":
        wanted = f"{runs} would be needed to see {worth}"
    elif "seeds" in verdict["covers"]:
        wanted = (
            f"no number of seeds would show {worth} on so few test items, it takes about {items} "
            f"of them and {runs}"
        )
    else:
        wanted = f"about {items} test items would be needed to see {worth}"
    return f"{wanted}; as it is, differences show from {shown} on"


def tests_used(verdicts: Sequence[Verdict]) -> list[str]:
    """Which tests were used, and for how many comparisons their p-values are corrected."""
    used = [text for name, text in TESTS.items() if any(v["test"] == name for v in verdicts)]
    if not used:
        return []
    many = max(verdict["comparisons"] for verdict in verdicts)
    correction = f"; p after Holm's correction for {many} comparisons" if many > 1 else ""
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
