"""Scores side by side, what may be concluded from them, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd
import streamlit as st

from compare.draw import draw
from compare.selection import Group, Row, Selection
from layout import plain
from run_summary import finite
from workbench import charts
from workbench.analysis.conclusions import pareto_front
from workbench.analysis.costs import COSTS
from workbench.charts.alt_text import cost_in_words
from workbench.comparison import Row as ComparisonRow
from workbench.comparison import Verdict
from workbench.comparison.worth import worth_sentences
from workbench.formatting import ABSENT, count, difference, duration, score, share, size
from workbench.recipe.catalogue import higher_is_better

Color = Literal["green", "red", "gray", "orange", "blue"]
CONCLUSIONS: dict[str, tuple[str, Color]] = {
    "better": ("better", "green"),
    "worse": ("worse", "red"),
    "same": ("the same", "blue"),
    "hint": ("a hint", "orange"),
    "unclear": ("unclear", "gray"),
    "untested": ("not tested", "gray"),
}
STANDINGS = {"front": "on the front", "perhaps": "may be beaten", "dominated": "beaten"}


def show(selection: Selection, group: Group) -> None:
    """The table of a group, the sentences under it, and the score against a cost."""
    _table(selection, group)
    _verdicts(selection, group)
    _score_and_cost(group)


# --- the table -----------------------------------------------------------------------------


def _table(selection: Selection, group: Group) -> None:
    verdicts = {
        v["label"]: v
        for v in selection.comparison.verdicts
        if v["metric"] == group.metric and v["group"] == group.number
    }
    standings = {s["label"]: s for s in selection.comparison.pareto if s["group"] == group.number}
    higher = higher_is_better(group.metric)
    table = [_line(row, group.metric, verdicts, standings.get(row["label"])) for row in group.rows]
    table += [
        {"recipe": name, "method": "reference", group.metric: score(value)}
        for name, value in sorted(
            group.references.items(), key=lambda pair: pair[1], reverse=higher
        )
    ]
    text = st.column_config.TextColumn
    numbers = ("seeds", "trainable", "of model", "peak memory", "training", "adapter")
    pareto_help = (
        "Among score, trained parameters and memory together. On the front: surely beats each "
        "other row in something. Beaten: another is surely no worse in anything and better in one."
    )
    st.dataframe(
        pd.DataFrame(table).fillna(""),
        hide_index=True,
        width="stretch",
        height="content",
        column_config={"recipe": text("recipe", width=190)}
        | {name: text(name, alignment="right") for name in numbers}
        | {"Pareto": text("Pareto", help=pareto_help)},
    )
    notes = [
        "± is half of a 95% interval: of the mean over seeds, and under “vs baseline” of the "
        "difference, by the test that is named below."
    ]
    if not higher:
        held = any(row["baseline"] for row in group.rows)
        sign = ", so a difference below 0 is an improvement" if held else ""
        notes.append(f"{group.metric}: lower is better{sign}.")
    st.caption(plain(" ".join(notes)))


def _line(
    row: Row, metric: str, verdicts: Mapping[str, Verdict], standing: Mapping[str, Any] | None
) -> Row:
    return {
        "recipe": row["label"],
        "method": row["method"],
        metric: _with_interval(row["metrics"].get(metric) or {}),
        "vs baseline": _against(row, metric, verdicts.get(row["label"])),
        "Pareto": STANDINGS.get(str(standing["standing"]), ABSENT) if standing else ABSENT,
        "seeds": ", ".join(map(str, row["seeds"])),
        "trainable": count(row["trainable_parameters"]),
        "of model": share(row["trainable_parameters"], row["total_parameters"]),
        "peak memory": size(row["peak_memory_bytes"]),
        "training": duration(row["train_seconds"]),
        "adapter": size(row["adapter_bytes"]),
    }


def _with_interval(summary: Row) -> str:
    mean = summary.get("mean")
    return score(mean, _half(summary)) if finite(mean) else ABSENT


def _half(summary: Mapping[str, Any]) -> float | None:
    low, high = summary.get("ci_low"), summary.get("ci_high")
    return (high - low) / 2 if finite(low) and finite(high) else None


def _against(row: Row, metric: str, verdict: Verdict | None) -> str:
    if row["baseline"] == row["label"]:
        return "baseline"
    delta = row["baseline_delta"].get(metric)
    paired = _half(verdict or row["baseline_paired"].get(metric) or {})
    return difference(delta, paired)


# --- in words ------------------------------------------------------------------------------


def _verdicts(selection: Selection, group: Group) -> None:
    found = [
        verdict
        for verdict in selection.comparison.verdicts
        if verdict["group"] == group.number
        and {verdict["label"], verdict["against"]} <= set(group.labels)
    ]
    worth = worth_sentences(_shown(selection, group), selection.comparison.references, group.metric)
    tested = bool(selection.comparison.verdicts)
    if not (found or worth) and (tested or not selection.comparison.verdict_notes):
        return  # the notes are about the groups that were tested, or say why none was
    st.subheader("What may be concluded", anchor=False)
    with st.container(gap="xsmall"):
        for verdict in found:
            word, color = CONCLUSIONS[verdict["conclusion"]]
            left, right = st.columns([1, 8.5], gap="small")
            left.badge(word, color=color)
            right.text(verdict["sentence"])
        for text in worth:
            st.text(text)
        for note in selection.comparison.verdict_notes:
            st.caption(plain(note))


def _shown(selection: Selection, group: Group) -> list[ComparisonRow]:
    return [
        row
        for row in selection.comparison.rows
        if row["group"] == group.number and row["label"] in group.labels
    ]


# --- score and cost ------------------------------------------------------------------------


def _score_and_cost(group: Group) -> None:
    title, cost_box, bubble_box = st.columns([3, 1.4, 1.2], vertical_alignment="bottom")
    cost = cost_box.selectbox(
        "Cost",
        list(COSTS),
        format_func=lambda name: COSTS[name].title,
        key=f"cost-{group.number}",
        bind="query-params",
    )
    bubbles = bubble_box.toggle(
        "Area is memory", key=f"bubbles-{group.number}", bind="query-params"
    )
    about = COSTS[cost].title
    title.subheader(plain(f"{group.metric} against {about}"), anchor=False)
    front = pareto_front(group.rows, group.metric, cost)
    chart = charts.score_against_cost(
        group.rows, group.metric, group.references, cost=cost, front=front, bubbles=bubbles
    )
    if chart is None:
        st.caption("No recipe here has both of this.")
        return
    words = cost_in_words(group.rows, group.metric, group.references, front)
    draw(chart, f"score-cost-{group.number}", words.alt)
    st.caption(plain(words.caption))
