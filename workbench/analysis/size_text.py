"""What `workbench curve` prints: tables, sentences, csv."""

from collections.abc import Sequence
from typing import Any

from workbench import formatting
from workbench.analysis.size_curves import Difference, Pair, SizeCurves
from workbench.comparison.table import Cell, Table, table_of
from workbench.formatting import listing
from workbench.recipe.catalogue import higher_is_better, is_share


def tables(curves: SizeCurves) -> list[Table]:
    """The scores at each size, and the differences of the pairs that are compared."""
    sizes = curves.sizes
    headers = [f"{size:,} examples" for size in sizes]
    scores = []
    for name in curves.names:
        found = curves.of(name)
        line = [Cell(name)]
        for size in sizes:
            if size in found:
                each = found[size].interval
                line.append(Cell(formatting.score(each.mean, each.ends, each.n), each.mean))
            else:
                line.append(Cell(formatting.ABSENT))
        scores.append(line)
    pairs = []
    for pair in curves.pairs:
        by_size = {each.size: each for each in pair.differences}
        cells = [_difference(by_size.get(size)) for size in sizes]
        pairs.append([Cell(pair.first), Cell(f"- {pair.second}"), *cells])
    direction = "" if higher_is_better(curves.metric) else ", lower is better"
    title = f"{curves.metric} by the number of training examples{direction}"
    found_tables = [table_of(title, ["recipe", *headers], scores)]
    if pairs:
        head = ["recipe", "less", *headers]
        title = "Differences; * significant"
        found_tables.append(table_of(title, head, pairs, left=["less"]))
    return found_tables


def _difference(found: Difference | None) -> Cell:
    if found is None:
        return Cell(formatting.ABSENT)
    half = None if found.low is None or found.high is None else (found.high - found.low) / 2
    star = "" if found.ahead == "undecided" else " *"
    return Cell(f"{formatting.difference(found.estimate, half)}{star}", found.estimate)


def sentences(curves: SizeCurves) -> list[str]:
    return [_sentence(pair, curves.metric) for pair in curves.pairs]


def _sentence(pair: Pair, metric: str) -> str:
    one, other, found = pair.first, pair.second, pair.differences
    signs = [_better(each, metric) for each in found]
    decided = _decided(pair)
    if len(pair.crossings) > 1:
        places = listing([_about(size) for size in pair.crossings])
        return (
            f"the means of {one} and {other} cross at {places} examples: no clear order; {decided}"
        )
    if pair.crossings:
        place, up = _about(pair.crossings[0]), signs[-1] > 0
        verb = "passes" if up else "falls behind"
        below, above = (other, one) if up else (one, other)
        return (
            f"{one} {verb} {other} at about {place} examples by the means; below that {below} is "
            f"ahead, above it {above}; {decided}"
        )
    if not any(signs):
        return f"{one} and {other} have the same mean at every size"
    ahead, behind = (one, other) if max(signs) > 0 else (other, one)
    widest = max(found, key=lambda each: abs(each.estimate))
    return (
        f"{ahead} is ahead of {behind} at every size by the means, most with {widest.size:,} "
        f"examples ({_amount(widest, metric)}); {decided}"
    )


def _better(found: Difference, metric: str) -> int:
    sign = (found.estimate > 0) - (found.estimate < 0)
    return sign if higher_is_better(metric) else -sign


def _decided(pair: Pair) -> str:
    """At which sizes the difference is significant, and where between them the order turns."""
    ahead = {
        pair.first: [each.size for each in pair.differences if each.ahead == "first"],
        pair.second: [each.size for each in pair.differences if each.ahead == "second"],
    }
    parts = [f"{name} with {_sizes(sizes)}" for name, sizes in ahead.items() if sizes]
    if not parts:
        return "significant at no size, so even the order is uncertain"
    text = f"significantly ahead: {' and '.join(parts)}"
    left = [each.size for each in pair.differences if each.ahead == "undecided"]
    return f"{text}; uncertain with {_sizes(left)}" if left else text


def _sizes(sizes: Sequence[int]) -> str:
    return listing([f"{size:,}" for size in sizes], None)


def _amount(found: Difference, metric: str) -> str:
    value = abs(found.estimate)
    return f"{100 * value:.1f} points" if is_share(metric) else f"{value:.3g}"


def _about(size: float) -> str:
    """Two digits: between two sizes there is no more to know."""
    return f"{float(f'{size:.2g}'):,.0f}"


def csv_lines(curves: SizeCurves) -> list[dict[str, Any]]:
    """A line for each recipe and size, and for each pair and size."""
    lines: list[dict[str, Any]] = []
    for point in curves.points:
        found = point.interval
        lines.append(
            {
                "kind": "recipe" if point.trained else "reference",
                "name": point.name,
                "examples": point.size,
                "metric": curves.metric,
                "mean": found.mean,
                "ci_low": found.low,
                "ci_high": found.high,
                "seeds": found.n,
                "steps": point.steps,
                **{f"seed_{seed}": score for seed, score in point.scores.items()},
            }
        )
    for pair in curves.pairs:
        for each in pair.differences:
            lines.append(
                {
                    "kind": "difference",
                    "name": pair.first,
                    "against": pair.second,
                    "examples": each.size,
                    "metric": curves.metric,
                    "mean": each.estimate,
                    "ci_low": each.low,
                    "ci_high": each.high,
                    "p_adjusted": each.p_adjusted,
                    "ahead": each.ahead,
                }
            )
    return lines
