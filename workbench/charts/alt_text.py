"""What a picture shows, in words: for whoever cannot see it, and under it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from workbench.analysis.classes import Classes
from workbench.charts import far_references
from workbench.formatting import count, score, size
from workbench.recipe.catalogue import higher_is_better


class Words(NamedTuple):
    """The text for a screen reader, and what stands under the picture."""

    alt: str
    caption: str


def cost_in_words(
    rows: Sequence[Mapping[str, Any]],
    metric: str,
    references: Mapping[str, float],
    front: Collection[str],
) -> Words:
    """Of a metric against a cost."""
    far = far_references(rows, metric, references)
    found = [row["metrics"].get(metric) or {} for row in rows]
    bars = any(each.get("ci_low") is not None for each in found)
    caption = "Bars are the 95% intervals of the mean over seeds. " if bars else ""
    caption += "The axis of parameters is logarithmic."
    if len(front) > 1:
        caption += " The line joins the recipes that no other beats in both, by their means."
    if far:
        named = ", ".join(f"{name} {score(value)}" for name, value in far.items())
        caption += f" {'Below' if higher_is_better(metric) else 'Above'} the axis: {named}."
    alt = f"{metric} and trainable parameters of each recipe: {_listed(rows, metric)}."
    return Words(alt, caption)


def _listed(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """``lora 0.957 with 75.7k trained; full ...``."""
    parts = []
    for row in rows:
        found = row["metrics"].get(metric) or {}
        low, high = found.get("ci_low"), found.get("ci_high")
        half = (high - low) / 2 if low is not None and high is not None else None
        value = score(found.get("mean"), half)
        parts.append(f"{row['label']} {value} with {count(row['trainable_parameters'])} trained")
    return "; ".join(parts)


def memory_in_words(bars: Sequence[Mapping[str, Any]]) -> Words:
    """Of memory by component; ``bars`` as ``memory_rows`` gives them."""
    peaks = "; ".join(f"{bar['label']} {size(bar['peak_memory_bytes'])}" for bar in bars)
    caption = "Mean over seeds; the red tick is the peak."
    if any(bar["forecast"]["peak_memory_bytes"] is not None for bar in bars):
        caption = "Mean over seeds. The full bar and its red tick, the peak, were measured; the "
        caption += "fainter bar and its tick were forecast before the run."
    return Words(f"Peak memory of training by component; measured peaks: {peaks}.", caption)


def class_rows(classes: Mapping[str, Classes], names: Collection[str]) -> list[dict[str, Any]]:
    """What ``charts.class_scores`` draws of some classes."""
    return [
        {
            "label": label,
            "name": found.name,
            "mean": found.f1,
            "low": found.f1_low,
            "high": found.f1_high,
            "support": found.support,
        }
        for label, each in classes.items()
        for found in each.scores
        if found.name in names
    ]


def confusion_in_words(label: str, counts: Sequence[Sequence[float]], names: Sequence[str]) -> str:
    """Of a confusion matrix: what is mistaken for what most often."""
    wrong = [
        (number, names[i], names[j])
        for i, row in enumerate(counts)
        for j, number in enumerate(row)
        if i != j and number > 0
    ]
    worst = [f"{right} taken for {said} {n:.3g} times" for n, right, said in sorted(wrong)[:-4:-1]]
    listed = ", ".join(worst) or "none"
    return f"Confusion matrix of {label}. Most frequent confusions: {listed}."
