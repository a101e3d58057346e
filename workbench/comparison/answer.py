"""The answer to the question that a comparison is made for, in one or two sentences.

Which recipe to use instead of the baseline, at what cost, and whether fine-tuning was worth it. The
rule is in docs/comparing.md: it follows from the verdicts alone, so that what they leave open is
said to be open.
"""

import math
from collections.abc import Iterable, Sequence

from workbench import formatting
from workbench.comparison.against_reference import reference_sides
from workbench.comparison.result import ComparisonResult, Group
from workbench.comparison.rows import grouped
from workbench.comparison.schema import Answer, Row, Standing, Verdict
from workbench.comparison.sentences import amount, at_cost, costs_more, effect, needs
from workbench.comparison.statistics import scale_of
from workbench.formatting import listing
from workbench.recipe.catalogue import higher_is_better, is_share

LOOSEST = 3
"""Times the margin: an interval that reaches further leaves too much open to call it a match."""
TOO_OPEN = {"share": 0.25, "ratio": 1.0}
"""An interval that reaches further says nothing at all, and is given no number."""


def answers(comparison: ComparisonResult) -> list[Answer]:
    """One for each group of comparable rows, in their order."""
    return [answer(group, comparison.warnings) for group in comparison.groups()]


def answer(group: Group, warnings: Sequence[str] = ()) -> Answer:
    """What follows for a group from its verdicts; ``warnings`` are those of the comparison."""
    rows = {row["label"]: row for row in _best_first(group)}
    found = _standings(group, rows)
    labels = _by_standing(rows, found)
    bases = list(dict.fromkeys(verdict["against"] for _, verdict in found.values()))
    nothing = [label for label, row in rows.items() if row["trivial"]]
    if len(nothing) == len(rows):
        said, more = [_nothing_learned(group)], []
    else:
        said = [] if found else [_untested(rows, group.metric)]
        if found and all(v["runs"] == v["runs_against"] == 1 for _, v in found.values()):
            said = [_single_runs(rows, group.metric)]
        elif found:
            said = [text for base in bases for text in _methods(rows, rows[base], found)]
        said += [f"{listing(nothing)} learned nothing"] if nothing else []
        said += _against_reference(group)
        more = [*_what_would_tell(labels, found), *_collapsed(group)]
    more += [f"mind the {w.split(':')[0].lower()}" for w in warnings if w.startswith("DIFFERENT ")]
    return {
        "group": group.number,
        "metric": group.metric,
        "baselines": bases,
        "standings": labels,
        "text": " ".join(f"{'; '.join(part)}." for part in (said, more) if part),
    }


def _best_first(group: Group) -> list[Row]:
    sign = -1 if higher_is_better(group.metric) else 1

    def rank(row: Row) -> float:
        mean = row["metrics"][group.metric]["mean"] if group.metric in row["metrics"] else None
        return math.inf if mean is None else sign * mean

    return sorted(group.rows, key=rank)


_STANDINGS: tuple[Standing, ...] = (
    "better",
    "matches",
    "worse",
    "undecided",
    "untested",
    "learned_nothing",
)
_Found = dict[str, tuple[Standing, Verdict]]


def _standings(group: Group, rows: dict[str, Row]) -> _Found:
    """How each row stands to its baseline. Where no row is called so, all pairs were tested and the
    best row is, or the only pair was."""
    found: _Found = {}
    first = next(iter(rows))
    only = group.verdicts[0]["against"] if len(group.verdicts) == 1 else first
    named = any(row["baseline"] in rows for row in rows.values())
    for label, row in rows.items():
        base = row["baseline"] if named else only
        verdict = group.verdict_between(label, base)
        if base in rows and verdict is not None and verdict["metric"] == group.metric:
            found[label] = (_standing(row, verdict), verdict)
    return found


def _by_standing(rows: Iterable[str], found: _Found) -> dict[Standing, list[str]]:
    return {
        standing: [label for label in rows if label in found and found[label][0] == standing]
        for standing in _STANDINGS
    }


def _standing(row: Row, verdict: Verdict) -> Standing:
    if row["trivial"]:
        return "learned_nothing"
    conclusion = verdict["conclusion"]
    if conclusion in ("better", "worse"):
        return "better" if conclusion == "better" else "worse"
    if conclusion == "trivial":
        return "undecided"
    if conclusion == "untested" or verdict["runs"] == verdict["runs_against"] == 1:
        return "untested"
    near = conclusion != "hint" and _open(verdict) <= LOOSEST * _margin(verdict)
    if conclusion == "same" or near:
        return "matches"
    return "undecided"


def _open(verdict: Verdict) -> float:
    """The largest difference that the interval leaves open: of an exponential the relative one."""
    if verdict["ratio"] is not None:
        low, high = verdict["ratio_low"], verdict["ratio_high"]
        return max(high or math.inf, 1 / low if low else math.inf) - 1
    low, high = verdict["ci_low"], verdict["ci_high"]
    return math.inf if low is None or high is None else max(abs(low), abs(high))


def _margin(verdict: Verdict) -> float:
    """The smallest difference worth detecting, in the same unit."""
    ratio = verdict["margin_ratio"]
    return verdict["margin"] if ratio is None else ratio - 1


def _within(verdicts: Sequence[Verdict]) -> str:
    """``1.6 points``, rounded up."""
    most, metric = max(map(_open, verdicts)), verdicts[0]["metric"]
    if verdicts[0]["ratio"] is not None:
        return f"{math.ceil(100 * most - 1e-9)}%"
    return amount(metric, math.ceil(1000 * most - 1e-9) / 1000 if is_share(metric) else most)


def _methods(rows: dict[str, Row], base: Row, all_found: _Found) -> list[str]:
    """The verdicts against a baseline, best news first."""
    parts, name = [], base["label"]
    found = {label: each for label, each in all_found.items() if each[1]["against"] == name}
    labels = _by_standing(rows, found)
    verdicts = {standing: [found[label][1] for label in labels[standing]] for standing in labels}
    if better := labels["better"]:
        first, *others = better
        by, cost = effect(found[first][1]), at_cost(rows[first], base)
        parts.append(f"{first} is better than {name} ({by}){cost}{_so(others, 'is', 'are')}")
    matching = sorted(labels["matches"], key=lambda each: _size(rows[each]))
    worth_it = bool(matching) and not costs_more(rows[matching[0]], base)
    if worth_it:
        parts.append(
            _matches(matching, name, verdicts["matches"], at_cost(rows[matching[0]], base))
        )
    by_gap = grouped(labels["undecided"], lambda label: _says_nothing(found[label][1]))
    for gap, several in by_gap.items():
        left_open = gap or _left_open([found[label][1] for label in several])
        parts.append(f"{listing(several)} cannot be told from {name} ({left_open})")
    if worse := labels["worse"]:
        by = effect(verdicts["worse"][0]) if len(worse) == 1 else _range(verdicts["worse"])
        if parts:
            parts.append(f"{listing(worse)} {_verb(worse, 'is', 'are')} worse ({by})")
        else:
            cost = at_cost(rows[worse[0]], base)
            cost = f", {worse[0]}{cost}" if cost and len(worse) > 1 else cost
            verb = _verb(worse, "is", "are")
            parts.append(f"{listing(worse)} {verb} worse than {name} ({by}){cost}")
    if matching and not worth_it:
        parts.append(_matches(matching, name, verdicts["matches"], " at a higher cost"))
    if untested := labels["untested"]:
        verb = _verb(untested, "is", "are")
        parts.append(f"{listing(untested)} {verb} not tested against {name}")
    return parts


def _matches(labels: list[str], name: str, verdicts: Sequence[Verdict], cost: str) -> str:
    first, *others = labels
    return f"{first} matches {name} to within {_within(verdicts)}{cost}{_so(others, 'does', 'do')}"


def _left_open(verdicts: Sequence[Verdict]) -> str:
    """``the intervals leave open up to 5.7 points``."""
    one = len(verdicts) == 1
    return f"the interval{'' if one else 's'} leave{'s' * one} open up to {_within(verdicts)}"


def _says_nothing(verdict: Verdict) -> str:
    """What lacks where the interval is no statement; empty where it is one."""
    if _open(verdict) <= TOO_OPEN.get(scale_of(verdict["metric"]), math.inf):
        return ""
    if verdict["limit"] == "items":
        return "there are too few test items to say anything"
    return "these seeds scatter too much to say anything"


def _range(verdicts: Sequence[Verdict]) -> str:
    """From the smallest difference to the largest; both of two, which are no interval."""
    ratios = [verdict["ratio"] for verdict in verdicts if verdict["ratio"] is not None]
    to = "and" if len(verdicts) == 2 else "to"
    if ratios:
        return f"{min(ratios):.2f} {to} {max(ratios):.2f} times the {verdicts[0]['metric']}"
    metric = verdicts[0]["metric"]
    sizes = sorted(abs(verdict["difference"] or 0.0) for verdict in verdicts)
    if is_share(metric):
        return f"by {100 * sizes[0]:.1f} {to} {100 * sizes[-1]:.1f} points"
    return f"by {sizes[0]:.3g} {to} {sizes[-1]:.3g} of {metric}"


def _size(row: Row) -> tuple[int, str]:
    return row["trainable_parameters"], row["label"]


def _against_reference(group: Group) -> list[str]:
    """Who beats the best score without fine-tuning; nothing of recipes of one run."""
    sides, rows = reference_sides(group), len(group.rows)
    judged = sides and [*sides.better, *sides.unclear, *sides.worse]
    if sides is None or not judged:
        return []
    reference = f"{sides.name} ({formatting.score(sides.score)})"
    whole = {1: "it", 2: "both"}.get(rows, "all of them")
    all_of = whole if len(judged) == rows else listing(judged)
    beats = _verb(judged, "beats", "beat")
    below = f", which beats {listing(sides.worse)}" if sides.worse else ""
    if len(sides.worse) == len(judged):
        return [f"{reference} beats {all_of}"]
    if len(sides.better) == len(judged):
        return [f"{all_of} {beats} {reference}"]
    if not sides.better:
        if len(judged) == 1:
            return [f"{all_of} does not clearly beat {reference}"]
        none_of = f"none of {'them' if len(judged) == rows else all_of}"
        none_of = "neither" if len(judged) == rows == 2 else none_of
        return [f"{none_of} clearly beats {reference}{below}"]
    clearly = f"clearly {_verb(sides.better, 'beats', 'beat')}"
    return [f"only {listing(sides.better)} {clearly} {reference}{below}"]


def _nothing_learned(group: Group) -> str:
    reasons = {row["trivial"] for row in group.rows}
    each = [f"{row['label']} {row['trivial']}" for row in group.rows]
    why = f"each recipe {reasons.pop()}" if len(reasons) == 1 < len(each) else listing(each)
    return f"Nothing was learned, so there is nothing to compare: {why}"


def _untested(rows: dict[str, Row], metric: str) -> str:
    first = next(iter(rows))
    if len(rows) == 1:
        return f"{first} is alone, so nothing can be said of methods"
    return f"{first} has the best mean {metric}, but nothing is tested, so that may be chance"


def _single_runs(rows: dict[str, Row], metric: str) -> str:
    return (
        f"One run each, so nothing can be said of methods: {next(iter(rows))} has the best "
        f"{metric}, and another seed may change that (run three at least)"
    )


def _what_would_tell(labels: dict[Standing, list[str]], found: _Found) -> list[str]:
    """What the most telling of the open verdicts lacks."""
    for standing in ("matches", "undecided"):
        for label in labels[standing]:
            if text := needs(found[label][1]):
                return [text[0].upper() + text[1:]]
    few = [
        label
        for label in labels["untested"]
        if found[label][1]["runs"] < 2 <= found[label][1]["runs_against"]
    ]
    return [f"{listing(few)} {_verb(few, 'needs', 'need')} more seeds"] if few else []


def _collapsed(group: Group) -> list[str]:
    return [
        f"{len(row['collapsed'])} of {len(row['runs'])} seeds of {row['label']} collapsed"
        for row in group.rows
        if row["collapsed"] and not row["trivial"]
    ]


def _so(labels: Sequence[str], one: str, many: str) -> str:
    return f", as {_verb(labels, one, many)} {listing(labels)}" if labels else ""


def _verb(labels: Sequence[str], one: str, many: str) -> str:
    return one if len(labels) == 1 else many
