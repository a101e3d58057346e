"""Conclusions as sentences: of a verdict, of the baselines, of the Pareto front."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from workbench import formatting
from workbench.comparison.against_reference import reference_sentences
from workbench.comparison.pareto import OBJECTIVES
from workbench.comparison.result import ComparisonResult, Group
from workbench.comparison.schema import Conclusion, Row, Verdict
from workbench.comparison.testing import TESTS
from workbench.formatting import listing, plural
from workbench.recipe.catalogue import is_share

_SAME_COST = 0.9
"""Ratio of two costs from which on they are not worth a word."""


class Said(NamedTuple):
    """A conclusion in a sentence, and what it rests on for whoever asks."""

    sentence: str
    details: str = ""


def conclusions(group: Group) -> list[Said]:
    """What the tests say of each pair that is shown, and who beats the best reference."""
    shown = set(group.labels)
    pairs = [v for v in group.verdicts if {v["label"], v["against"]} <= shown]
    return [Said(v["sentence"], v["details"]) for v in pairs] + [
        Said(text) for text in reference_sentences(group)
    ]


def details(group: Group) -> list[str]:
    """What each conclusion rests on, for whoever asks."""
    shown = set(group.labels)
    return [
        f"{verdict['label']} and {verdict['against']}: {verdict['details']}"
        for verdict in group.verdicts
        if {verdict["label"], verdict["against"]} <= shown
    ]


def all_conclusions(comparison: ComparisonResult) -> list[Said]:
    """Those of all groups, pairs first, then how they were tested, then the references."""
    said = [Said(verdict["sentence"], verdict["details"]) for verdict in comparison.verdicts]
    said += [Said(text) for text in comparison.verdict_notes]
    return said + [Said(text) for each in comparison.groups() for text in reference_sentences(each)]


def answer_lines(comparison: ComparisonResult) -> list[str]:
    """The answer of each group, named where there are several."""
    several = len(comparison.answer) > 1
    return [
        f"Group {each['group']}: {each['text']}" if several else each["text"]
        for each in comparison.answer
    ]


def put_in_words(verdict: Verdict) -> None:
    """Sets ``sentence``, what a reader may conclude, and ``details``, what it rests on and what
    would tell more."""
    said = f"{_conclusion(verdict)} ({_evidence(verdict)})"
    verdict["sentence"] = "; ".join([said, *verdict["caveats"]])
    verdict["details"] = _details(verdict)


def _conclusion(verdict: Verdict) -> str:
    one, other = verdict["label"], verdict["against"]
    margin, little = margin_in_words(verdict), _by_little(verdict)
    said: dict[Conclusion, Callable[[], str]] = {
        "better": lambda: f"{one} is better than {other}{little}",
        "worse": lambda: f"{one} is worse than {other}{little}",
        "same": lambda: f"{one} and {other} are equivalent within {margin}",
        "run_better": lambda: f"of these two adapters {one} scores better than {other}{little}",
        "run_worse": lambda: f"of these two adapters {one} scores worse than {other}{little}",
        "run_same": lambda: (
            f"these two adapters, {one} and {other}, are equivalent within {margin}"
        ),
        "hint": lambda: (
            f"no significant difference between {one} and {other} after correction "
            f"for {verdict['comparisons']} comparisons"
        ),
        "unclear": lambda: f"no significant difference between {one} and {other}",
        "trivial": lambda: f"{one} and {other} are not ranked",
        "untested": lambda: f"{one} and {other} are not tested{_why_untested(verdict)}",
    }
    return said[verdict["conclusion"]]()


def _why_untested(verdict: Verdict) -> str:
    if verdict["difference"] is None:
        return ""
    runs = ((verdict["label"], verdict["runs"]), (verdict["against"], verdict["runs_against"]))
    single = [label for label, count in runs if count < 2]
    if verdict["items"]:
        return ": the difference is the same on every test item"
    if single:
        return f": the variance over seeds is unknown for {' and '.join(single)}"
    return ": the difference is the same with every seed, which may well be chance"


def _by_little(verdict: Verdict) -> str:
    low, high, margin = verdict["ci_low"], verdict["ci_high"], verdict["margin"]
    if low is None or high is None or not -margin < low <= high < margin:
        return ""
    return f" by less than {margin_in_words(verdict)}"


def _evidence(verdict: Verdict) -> str:
    """``+1.9 points, 95% CI -2.0 to 5.7; one run each``."""
    one, other = verdict["runs"], verdict["runs_against"]
    runs = plural(one, "seed") if one == other else f"{one} and {other} seeds"
    runs = "one run each" if one == other == 1 else runs
    runs += " added until decided" if verdict["looks"] else ""
    runs += ", over seeds only" if verdict["covers"] == ["seeds"] else ""
    return "; ".join(filter(None, [effect(verdict), runs]))


def effect(verdict: Verdict) -> str:
    """``+1.9 points, 95% CI -2.0 to 5.7``, or ``1.16 times the perplexity, ...``."""
    metric, estimate = verdict["metric"], verdict["difference"]
    if estimate is None:
        return ""
    if verdict["ratio"] is not None:
        found = [end for end in (verdict["ratio_low"], verdict["ratio_high"]) if end]
        ratio, *bounds = formatting.ratios(verdict["ratio"], *found)
        text = f"{ratio} times the {metric}"
    else:
        text = f"{_number(metric, estimate)} {'points' if is_share(metric) else f'of {metric}'}"
        ends = (verdict["ci_low"], verdict["ci_high"])
        bounds = [_number(metric, end).removeprefix("+") for end in ends if end is not None]
    return f"{text}, 95% CI {' to '.join(bounds)}" if bounds else text


def _details(verdict: Verdict) -> str:
    parts = [verdict["metric"]]
    if (p := verdict["p_adjusted"]) is not None:
        many = verdict["comparisons"]
        corrected = f" after Holm's correction for {many} comparisons" if many > 1 else ""
        parts.append(f"{p_value(p)}{corrected}")
    if verdict["level"] is not None:
        looks = plural(verdict["looks"], "look")
        parts.append(f"{looks} paid for: p by itself has to be at most {verdict['level']:.2g}")
    if verdict["items"]:
        parts.append(f"{verdict['items']:,} {_units(verdict)}")
    if verdict["runs"] == verdict["runs_against"] == 1:
        parts.append("nothing is said about the methods, another seed may score otherwise")
    return "; ".join(filter(None, [", ".join(parts), _power(verdict), verdict["note"]]))


def p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def _units(verdict: Verdict) -> str:
    return "groups of test items" if verdict["grouped"] else "test items"


def _power(verdict: Verdict) -> str:
    """What it takes to detect a difference of the margin; nothing where one was found."""
    if verdict["conclusion"] not in ("unclear", "hint") or not verdict["detectable"]:
        return ""
    metric = verdict["metric"]
    if verdict["limit"] is None:
        return f"80% power to detect {margin_in_words(verdict)}"
    if is_share(metric) and verdict["detectable"] >= 1:  # no score can differ by as much
        return f"{needs(verdict)}; these runs detect no difference with 80% power"
    ratio = verdict["detectable_ratio"]
    shown = amount(metric, float(f"{verdict['detectable']:.2g}"))
    if ratio:
        shown = f"{100 * (ratio - 1):.2g}%" if ratio < 2 else f"a ratio of {ratio:.2g}"
    return f"{needs(verdict)}; these runs have 80% power from {shown} on"


def needs(verdict: Verdict) -> str:
    """What a difference of the margin would take, where there is too little of it."""
    if verdict["conclusion"] not in ("unclear", "hint") or verdict["limit"] is None:
        return ""
    seeds, of_items = verdict["seeds_needed"], verdict["limit"] == "items"
    takes = _between(verdict["needed_range"], _units(verdict) if of_items else "seeds")
    text = f"detecting {margin_in_words(verdict)} takes {takes}"
    if not of_items or "seeds" not in verdict["covers"]:
        return text
    beside = f" and about {_about(seeds)} seeds" if seeds else ""
    return f"more seeds alone do not help: {text}{beside}"


def _between(bounds: Sequence[int | None] | None, units: str) -> str:
    """``8 to 40 seeds``; what is far more than practical is not a number."""
    low, high = bounds or (None, None)
    if low is None:
        return f"far more {units} than is practical"
    if high is None:
        return f"{_about(low)} {units} at least"
    return f"{_about(low)} to {_about(high)} {units}" if low < high else f"{_about(low)} {units}"


def tests_used(verdicts: Sequence[Verdict]) -> list[str]:
    """Which tests were used, and for how many comparisons their p-values are corrected."""
    used = [text for name, text in TESTS.items() if any(v["test"] == name for v in verdicts)]
    if not used:
        return []
    many = max(verdict["comparisons"] for verdict in verdicts)
    correction = f"; p-values corrected for {many} comparisons (Holm)" if many > 1 else ""
    return [f"tested by {' and '.join(used)}{correction}"]


def margin_in_words(verdict: Verdict) -> str:
    """The smallest difference worth detecting: ``1 point``, ``5%`` of a perplexity."""
    if verdict["margin_ratio"] is not None:
        return f"{100 * (verdict['margin_ratio'] - 1):.3g}%"
    return amount(verdict["metric"], verdict["margin"])


def amount(metric: str, value: float) -> str:
    """``1 point``, ``0.5 points``, or a number of the metric's own unit."""
    if not is_share(metric):
        return f"{value:.3g} of {metric}"
    points = f"{100 * value:.3g}"
    return f"{points} point" if points == "1" else f"{points} points"


def _number(metric: str, value: float) -> str:
    if not is_share(metric):
        return formatting.difference(value)
    points = 100 * value
    if abs(points) >= 0.05:
        return f"{points:+.1f}"
    # The end of an interval that leaves out 0 is not written as 0.
    return f"{points:+.1g}" if abs(points) > 0.001 else "0.0"


def _about(count: int) -> str:
    """Two digits are all that such a forecast is worth."""
    digits = max(0, len(str(count)) - 2)
    return f"{round(count, -digits):,}"


def at_cost(row: Row, base: Row) -> str:
    """`` with 1/300 of the trained parameters and half of the memory``."""
    parts = [(row["trainable_parameters"], base["trainable_parameters"], "trained parameters")]
    memory = row["peak_memory_bytes"], base["peak_memory_bytes"]
    if row["hardware"] == base["hardware"] and memory[0] and memory[1]:
        parts.append((memory[0], memory[1], "memory"))
    known = [text for ours, theirs, what in parts if (text := _times(ours, theirs, what))]
    return f" with {listing(known)}" if known else ""


def costs_more(row: Row, base: Row) -> bool:
    """More trained parameters, and no less memory where that is known."""
    more = row["trainable_parameters"] * _SAME_COST > base["trainable_parameters"]
    memory = row["peak_memory_bytes"], base["peak_memory_bytes"]
    saves = memory[0] and memory[1] and memory[0] < _SAME_COST * memory[1]
    return more and not (saves and row["hardware"] == base["hardware"])


def _times(ours: int, theirs: int, what: str) -> str:
    """Empty where the two are about the same."""
    if not ours or not theirs or _SAME_COST < ours / theirs < 1 / _SAME_COST:
        return ""
    ratio = ours / theirs
    if ratio > 1:
        return f"{float(f'{ratio:.2g}'):,g} times the {what}"
    if ratio < 0.1:
        return f"1/{float(f'{1 / ratio:.2g}'):,.0f} of the {what}"
    return f"half of the {what}" if 0.45 < ratio < 0.55 else f"{ratio:.0%} of the {what}"


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
