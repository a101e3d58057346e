"""What `workbench compare --across` prints: tables, sentences, csv."""

from typing import Any

from workbench import formatting
from workbench.analysis.across import Across, Improvement
from workbench.analysis.seed_bootstrap import Estimate
from workbench.comparison.sentences import p_value
from workbench.comparison.table import Cell, Column, Table, table_of
from workbench.comparison.verdicts import LEVEL
from workbench.formatting import plural


def tables(found: Across) -> list[Table]:
    """The methods with their scores on each data set, and the pairs that are compared."""
    columns = [
        Column("method", [Cell(method) for method in found.methods], "left"),
        Column("IQM, normalised", [_estimate(found.iqm[m]) for m in found.methods]),
        Column("mean, normalised", [_estimate(found.mean[m]) for m in found.methods], drop=1),
    ]
    for position, each in enumerate(found.data_sets):
        means = [each.mean(method) for method in found.methods]
        cells = [Cell(formatting.score(mean), mean) for mean in means]
        columns.append(Column(f"{each.name} ({each.metric})", cells, drop=2 + position))
    count = len(found.data_sets)
    title = f"{plural(count, 'data set')}, {plural(found.seeds, 'seed')} each"
    pairs = [
        [
            Cell(each.method),
            Cell(each.against),
            _estimate(each.probability),
            Cell(formatting.ABSENT if (p := each.p_adjusted) is None else f"{p:.4f}", p),
            Cell(f"{each.higher_on} of {count}", each.higher_on),
        ]
        for each in found.improvements
    ]
    headers = ["method", "against", "P(improvement)", "p", "higher mean on"]
    return [Table(title, columns), table_of("Pairs of runs", headers, pairs, left=["against"])]


def sentences(found: Across) -> list[str]:
    return [_sentence(each, len(found.data_sets)) for each in found.improvements]


def _sentence(each: Improvement, data_sets: int) -> str:
    one, other, p = each.method, each.against, each.probability
    said = (
        f"over {data_sets} data sets a run of {one} scores higher than one of {other} with "
        f"probability {p.value:.2f}"
    )
    if p.low is None or p.high is None or each.p_adjusted is None:
        return f"{said} (one run each, no interval)"
    said += f" (95% interval {p.low:.2f} to {p.high:.2f}, {p_value(each.p_adjusted)})"
    if each.p_adjusted > LEVEL:
        return f"{said}: no significant difference on these data sets"
    return f"{said}: {one} is {'better' if p.value > 0.5 else 'worse'} on these data sets"


def csv_lines(found: Across) -> list[dict[str, Any]]:
    """A line for each method, each method on each data set, and each pair."""
    lines: list[dict[str, Any]] = []
    for method in found.methods:
        line: dict[str, Any] = {"kind": "method", "method": method}
        for name, value in (("iqm", found.iqm[method]), ("mean", found.mean[method])):
            line |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        lines.append(line)
    for each in found.data_sets:
        for method in found.methods:
            zero = {"zero": each.zero, "zero_score": each.floor}
            named = {"kind": "data set", "method": method, "data_set": each.name}
            scores = {f"seed_{i}": score for i, score in enumerate(each.scores[method], 1)}
            lines.append(named | {"metric": each.metric} | zero | scores)
    for pair in found.improvements:
        p = pair.probability
        named = {"kind": "pair", "method": pair.method, "against": pair.against}
        lines.append(named | {"p_improvement": p.value, "p_low": p.low, "p_high": p.high})
        lines[-1] |= {"p_value": pair.p_value, "p_adjusted": pair.p_adjusted}
    return lines


def _estimate(found: Estimate) -> Cell:
    if found.low is None or found.high is None:
        return Cell(f"{found.value:.3f}", found.value)
    return Cell(f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})", found.value)
