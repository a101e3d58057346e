"""What may be concluded, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from workbench.analysis.costs import COSTS
from workbench.comparison import Comparison, Row
from workbench.comparison.pareto import METRIC, Standing, pareto
from workbench.comparison.worth import worth_sentences


def findings(comparison: Comparison, group: int) -> list[str]:
    """What the tests say of each pair of a group, who beats what is not fine-tuned, and who is
    beaten in everything."""
    said = [v["sentence"] for v in comparison.verdicts if v["group"] == group]
    standings = [s for s in comparison.pareto if s["group"] == group]
    rows = [row for row in comparison.rows if row["group"] == group]
    said += worth_sentences(rows, comparison.references)
    return said + _pareto(standings, comparison.pareto_objectives)


def _pareto(standings: Sequence[Standing], objectives: Sequence[str]) -> list[str]:
    if len(standings) < 2 or not objectives:
        return []
    names = [_objective(name) for name in objectives]
    together = f"{', '.join(names[:-1])} and {names[-1]} together"
    kept = [s["label"] for s in standings if s["on_front_by_means"]]
    sentences = []
    if kept:
        verb = "is" if len(kept) == 1 else "are"
        sentences.append(f"By their means, {_listed(kept)} {verb} beaten by none in {together}.")
    for standing in standings:
        if standing["dominated_by"]:
            by = _listed(standing["dominated_by"])
            sentences.append(f"{standing['label']} is surely no better than {by} in any of these.")
    return sentences


def _objective(name: str) -> str:
    if name == METRIC:
        return "score"
    return COSTS[name].title if name in COSTS else name


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def pareto_front(rows: Sequence[Mapping[str, Any]], metric: str, cost: str) -> list[str]:
    """Labels of the rows that no other beats in a metric and a cost, by their means."""
    standings = pareto(cast(Sequence[Row], rows), [metric, cost]) if metric else []
    return [s["label"] for s in standings if s["on_front_by_means"]]
