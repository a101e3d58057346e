"""Compare: recipes side by side, seeds taken together, with intervals and what they cost."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

import charts
from records import finite, part
from shell import empty, heading, plain, remarks, runs_dir, show_error
from workbench.comparison import Comparison, compare
from workbench.comparison.units import ABSENT, count, difference, duration, score, share, size
from workbench.errors import WorkbenchError
from workbench.recipe.catalogue import higher_is_better
from workbench.store import Run, list_runs

FORMATS = {
    "CSV": ("csv", "text/csv", "csv"),
    "Markdown": ("markdown", "text/markdown", "md"),
    "LaTeX": ("latex", "application/x-tex", "tex"),
    "JSON": ("json", "application/json", "json"),
}

Row = dict[str, Any]


def page() -> None:
    """The view: choice, warnings, table, charts, downloads."""
    heading(
        "Compare",
        "Finished runs, seeds of a recipe taken together; ± is half of the 95% "
        "interval of the mean.",
    )
    finished = [run for run in list_runs(runs_dir()) if run.state == "finished"]
    studies = sorted({run.path.parent.name for run in finished})
    if not studies:
        empty("Nothing to compare yet", "A recipe appears here when its first run has finished.")
        return
    choice, baseline_box, metric_box = st.columns([3, 1.2, 1.2], vertical_alignment="bottom")
    chosen = choice.multiselect(
        "Studies", studies, default=studies[:1], key="studies", bind="query-params"
    )
    if not chosen:
        empty("No study chosen", "Choose one above.")
        return
    recipes = sorted({_recipe(run) for run in finished if run.path.parent.name in chosen})
    baseline = baseline_box.selectbox(
        "Baseline",
        recipes,
        index=recipes.index("full") if "full" in recipes else None,
        key="baseline",
        placeholder="none",
        help="The recipe that the others are held against.",
    )
    try:
        comparison = compare([runs_dir() / study for study in chosen], baseline=baseline)
    except WorkbenchError as error:
        show_error(error)
        return
    rows: list[Row] = json.loads(comparison.to("json"))["rows"]
    if not rows:
        _show_warnings(comparison.warnings)
        empty("Nothing to compare here", "None of these runs has a result that can be read.")
        return
    metrics = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    primary = rows[0].get("primary_metric")
    metric = metric_box.selectbox(
        "Metric", metrics, index=metrics.index(primary) if primary in metrics else 0, key="score"
    )
    _show_warnings(comparison.warnings)
    groups = sorted({row["group"] for row in rows})
    for group in groups:
        if len(groups) > 1:
            st.subheader(f"Group {group}: comparable among themselves", anchor=False)
        members = [row for row in rows if row["group"] == group]
        _group(members, _metric_of(members, metric), comparison)
    _downloads(comparison)


def _recipe(run: Run) -> str:
    return str(run.result.get("recipe") or run.status.get("recipe") or run.path.name)


def _show_warnings(warnings: list[str]) -> None:
    title = f"{len(warnings)} remark{'' if len(warnings) == 1 else 's'} on what is compared"
    remarks(title, warnings, ":material/info:")


def _metric_of(rows: list[Row], chosen: str) -> str:
    """The metric chosen for the page, or these rows' own where they do not have it."""
    if any(chosen in row["metrics"] for row in rows):
        return chosen
    return rows[0].get("primary_metric") or chosen


def _group(rows: list[Row], metric: str, comparison: Comparison) -> None:
    higher = higher_is_better(metric)
    references = {
        reference["name"]: value
        for reference in comparison.references
        if reference["group"] == rows[0]["group"]
        and finite(value := reference["metrics"].get(metric))
    }
    table = [_table_row(row, metric) for row in rows]
    table += [
        {"recipe": name, "method": "reference", metric: score(value)}
        for name, value in sorted(references.items(), key=lambda pair: pair[1], reverse=higher)
    ]
    text = st.column_config.TextColumn
    numbers = ("seeds", "trainable", "of model", "peak memory", "training", "adapter")
    st.dataframe(
        pd.DataFrame(table).fillna(""),
        hide_index=True,
        width="stretch",
        height="content",
        column_config={"recipe": text("recipe", width=215)}
        | {name: text(name, alignment="right") for name in numbers},
    )
    if not higher:
        held = any(row["baseline"] for row in rows)
        sign = ", so a difference below 0 is an improvement" if held else ""
        st.caption(plain(f"{metric}: lower is better{sign}."))
    left, right = st.columns([1.25, 1], gap="large")
    with left:
        st.subheader(plain(f"{metric} against trainable parameters"), anchor=False)
        chart = charts.score_against_cost(rows, metric, references)
        if chart is None:
            st.caption("No recipe here has this metric.")
        else:
            st.altair_chart(chart, width="stretch")
            far = charts.far_references(rows, metric, references)
            if far:
                named = ", ".join(f"{name} {score(value)}" for name, value in far.items())
                st.caption(plain(f"{'Below' if higher else 'Above'} the axis: {named}."))
    with right:
        st.subheader("Peak memory by component", anchor=False)
        bars = charts.memory_bars(_memory(rows, comparison))
        if bars is None:
            st.caption("These runs did not measure memory.")
        else:
            st.altair_chart(bars, width="stretch")
            st.caption("Mean over seeds; the red tick is the measured peak.")


def _table_row(row: Row, metric: str) -> Row:
    delta = row["baseline_delta"].get(metric)
    return {
        "recipe": row["label"],
        "method": row["method"],
        metric: _with_interval(row["metrics"].get(metric) or {}),
        "vs baseline": "baseline" if row["baseline"] == row["label"] else difference(delta),
        "seeds": ", ".join(map(str, row["seeds"])),
        "trainable": count(row["trainable_parameters"]),
        "of model": share(row["trainable_parameters"], row["total_parameters"]),
        "peak memory": size(row["peak_memory_bytes"]),
        "training": duration(row["train_seconds"]),
        "adapter": size(row["adapter_bytes"]),
    }


def _with_interval(summary: Row) -> str:
    mean, low, high = summary.get("mean"), summary.get("ci_low"), summary.get("ci_high")
    if not finite(mean):
        return ABSENT
    return score(mean, (high - low) / 2 if finite(low) and finite(high) else None)


def _memory(rows: list[Row], comparison: Comparison) -> list[Row]:
    """Per recipe: the measured peak and the mean of each component over its runs."""
    runs = {sample.label: sample.runs for sample in comparison.samples}
    found = []
    for row in rows:
        parts = [part(part(run.result, "memory"), "breakdown") for run in runs[row["label"]]]
        bar: Row = {"label": row["label"], "peak_memory_bytes": row["peak_memory_bytes"]}
        for key in charts.COMPONENTS:
            values = [p[key] for p in parts if finite(p.get(key))]
            bar[key] = sum(values) / len(values) if values else None
        found.append(bar)
    return found


def _downloads(comparison: Comparison) -> None:
    st.space("small")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Download this comparison", width="content")
        for name, (format, mime, suffix) in FORMATS.items():
            st.download_button(
                name,
                comparison.to(format),
                f"comparison.{suffix}",
                mime,
                on_click="ignore",
                icon=":material/download:",
                key=f"download-{format}",
            )


page()
