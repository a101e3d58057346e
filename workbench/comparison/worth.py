"""Whether fine-tuning is worth it: scores beside what the same split gives without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from workbench import formatting
from workbench.comparison.rows import Reference, Row, Summary
from workbench.recipe.catalogue import higher_is_better

Side = Literal["better", "worse", "unclear"]
_WORDS: dict[Side, tuple[str, str]] = {
    "better": ("does better", "do better"),
    "unclear": ("cannot be told apart from it", "cannot be told apart from it"),
    "worse": ("does worse", "do worse"),
}


def worth_sentences(
    rows: Sequence[Row], references: Sequence[Reference], metric: str | None = None
) -> list[str]:
    """For each group one sentence: who beats the best of its references.

    A row is on one side of it when its interval over seeds is, or the one run that it has.

    Args:
        metric: instead of the first metric of each group.
    """
    said = []
    for group in dict.fromkeys(row["group"] for row in rows):
        own = [row for row in rows if row["group"] == group]
        name = metric or own[0]["primary_metric"]
        found = {
            r["name"]: r["metrics"].get(name) for r in references if r["group"] == group if name
        }
        scores = {each: score for each, score in found.items() if score is not None}
        if name and scores:
            said.append(_sentence(own, name, scores))
    return said


def _sentence(rows: Sequence[Row], metric: str, scores: dict[str, float]) -> str:
    best = (max if higher_is_better(metric) else min)(scores, key=lambda each: scores[each])
    sides: dict[Side, list[str]] = {"better": [], "unclear": [], "worse": []}
    several = False
    for row in rows:
        summary = row["metrics"].get(metric)
        if summary is not None and summary["mean"] is not None:
            several = several or summary["n"] > 1
            sides[_side(summary, scores[best], higher_is_better(metric))].append(row["label"])
    parts = [
        f"{_listed(labels)} {_WORDS[side][len(labels) > 1]}"
        for side, labels in sides.items()
        if labels
    ]
    by = "by intervals over seeds" if several else "by one run each"
    return f"beside {best}, {metric} {formatting.score(scores[best])}: {'; '.join(parts)} ({by})"


def _side(summary: Summary, reference: float, higher: bool) -> Side:
    low, high = summary["ci_low"], summary["ci_high"]
    if summary["n"] == 1:
        low = high = summary["mean"]
    if low is None or high is None or low <= reference <= high:
        return "unclear"
    return "better" if (low > reference) == higher else "worse"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
