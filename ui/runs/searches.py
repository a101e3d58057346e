"""Searches: what was tried for each recipe of a study, what it gave and what it cost."""

import shlex
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from compare.draw import draw
from layout import empty, plain, right_aligned, runs_dir, say_unknown
from run_summary import decimal, share_done
from workbench.analysis.records import finite, get_section, number
from workbench.charts.curves import seed_curves
from workbench.charts.style import HEIGHT, SCORE, Fields, row_color, score_scale
from workbench.formatting import ABSENT, count, duration
from workbench.recipe import recipes_dir
from workbench.tuning.expected import expected_best
from workbench.tuning.load_search import Search, list_searches, options_of
from workbench.tuning.space import LEARNING_RATE, describe_values

REFRESH_SECONDS = 2
USUAL_TRIALS = 8

Row = dict[str, Any]
_AT_TRIALS: Fields = {
    "mean:Q": ("expected best", SCORE),
    "low:Q": ("low end of 95%", SCORE),
    "high:Q": ("high end of 95%", SCORE),
}


def show() -> None:
    """The searches of a study, which move while one is running; how to begin one where none is."""
    searches = list_searches(runs_dir())
    if not searches:
        empty(
            "No search yet",
            "A search tries learning rates (and other values) with the same number of trials for "
            "each method of a study, scored on the validation split. Start one with Tune on the "
            "page of a study, or in a terminal:",
        )
        _command("bbc-news", USUAL_TRIALS, [])
        return
    studies = sorted({search.study for search in searches})
    say_unknown("searched", studies, "study")
    study = st.selectbox("Study", studies, key="searched", bind="query-params", width=320)
    active = any(search.is_active for search in searches if search.study == study)
    st.fragment(run_every=REFRESH_SECONDS if active else None)(_study)(study or studies[0], active)


def _study(study: str, watched: bool) -> None:
    searches = [search for search in list_searches(runs_dir()) if search.study == study]
    active = any(search.is_active for search in searches)
    if watched and not active:
        st.rerun()  # nobody has to look again
    rows = [_row(search, active) for search in searches]
    if not rows:
        st.caption("These searches no longer exist.")
        return
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=_columns())
    note = "Validation scores chose the values; the score to report is the test score of a run."
    st.caption(note)
    _picture(searches)
    _expected(searches)
    _trials(searches)
    st.subheader("Continue from a terminal", anchor=False)
    st.caption("Finished trials are not repeated; an interrupted one resumes.")
    _command(study, max(search.wanted for search in searches), options_of(searches))
    if not (recipes_dir() / study).is_dir():
        st.caption(plain(f"Replace {study} by the folder or file of its recipes."))


def _row(search: Search, active: bool) -> Row:
    best = get_section(search.document, "best")
    steps, seconds = (number(search.document, key) for key in ("steps", "train_seconds"))
    failed, pruned = (int(number(search.document, key) or 0) for key in ("failed", "pruned"))
    return {
        "recipe": search.recipe,
        "state": _state(search, active),
        "progress": len(search.trials) / search.wanted if search.wanted else 0.0,
        "trials": f"{len(search.trials)} of {search.wanted or '?'}"
        + (f", {failed} failed" if failed else "")
        + (f", {pruned} pruned" if pruned else ""),
        "best": decimal(best.get("score")),
        "values": describe_values(get_section(best, "values")) or ABSENT,
        "training time": ABSENT if seconds is None else duration(seconds),
        "steps": ABSENT if steps is None else f"{steps:,.0f}",
        "tokens": count(number(search.document, "tokens")),
    }


def _state(search: Search, active: bool) -> str:
    if search.is_active and search.current is not None:
        share = share_done(search.current)
        return f"running trial {len(search.trials) + 1}" + (f", {share:.0%}" if share else "")
    if search.wanted and len(search.trials) >= search.wanted:
        return "done"
    if active:
        return "waiting"
    return "not finished" if search.document else "cannot be read"


def _columns() -> dict[str, Any]:
    config = st.column_config
    return {
        "progress": config.ProgressColumn("progress", min_value=0, max_value=1, format="percent"),
        **right_aligned(("training time", "steps", "tokens")),
        "best": config.TextColumn("best score", alignment="right"),
        "values": config.TextColumn("best values", width="medium"),
    }


def _picture(searches: list[Search]) -> None:
    """Learning rate against score, a colour for each recipe."""
    points = [point for search in searches for point in points_of(search)]
    if not points:
        return
    metric = str(next(filter(None, (s.document.get("metric") for s in searches)), "score"))
    st.subheader(plain(f"validation {metric} against learning rate"), anchor=False)
    words = f"Validation {metric} of each trial by its learning rate; the table has the numbers."
    draw(_chart(points, metric), "searched", words)
    note = "One dot per trial; the ring marks the best of a recipe. Failed trials have no score."
    st.caption(note)


def _expected(searches: list[Search]) -> None:
    """What the best of fewer trials would have scored, a colour for each recipe."""
    bands = [band for search in searches for band in expected_of(search)]
    metric = str(next(filter(None, (s.document.get("metric") for s in searches)), "score"))
    methods = {search.recipe: method_of(search) for search in searches}
    title = f"expected best validation {metric}"
    chart = seed_curves(bands, title, methods, x_title="trials", points=True, shown_at=_AT_TRIALS)
    if chart is None or max(band["x"] for band in bands) < 2:
        return
    st.subheader(plain(f"{title} against trials"), anchor=False)
    ends = {band["label"]: f"{band['label']} {decimal(band['mean'])}" for band in bands}
    draw(
        chart,
        "expected",
        f"{title} by the number of trials; at the end: {', '.join(ends.values())}.",
    )
    st.caption(
        "The best of so many trials, drawn from those of the search (Dodge et al. 2019); the band "
        "holds the middle 95% of draws."
    )


def expected_of(search: Search) -> list[Row]:
    """The expected best of a search by the number of trials."""
    given = [trial.get("score") for trial in search.trials]
    scores = [score if finite(score) else None for score in given]
    found = expected_best(scores, higher=search.document.get("higher_is_better") is not False)
    return [
        {"label": search.recipe, "x": each.trials, "mean": each.mean}
        | {"low": each.low, "high": each.high}
        for each in found
    ]


def method_of(search: Search) -> str:
    return str(search.document.get("method") or search.recipe)


def points_of(search: Search) -> list[Row]:
    """The trials of a search that have both a learning rate and a score."""
    best = get_section(search.document, "best").get("number")
    found = []
    for trial in search.trials:
        values, score = get_section(trial, "values"), trial.get("score")
        rate = values.get(LEARNING_RATE)
        if finite(rate) and rate > 0 and finite(score):
            point: Row = {"recipe": search.recipe, "rate": rate, "score": score}
            point["method"] = method_of(search)
            point |= {"trial": _counted(trial), "best": trial.get("number") == best}
            found.append(point | {"tried": describe_values(values)})
    return found


def _counted(trial: Row) -> int:
    return int(number(trial, "number") or 0) + 1


def _chart(points: list[Row], metric: str) -> Any:
    frame, scale = pd.DataFrame(points), score_scale(metric, [p["score"] for p in points])
    axis = alt.Axis(format="~e", tickCount=6, grid=False)
    base = alt.Chart(frame).encode(
        x=alt.X("rate:Q", title="learning rate", scale=alt.Scale(type="log"), axis=axis),
        y=alt.Y("score:Q", title=f"validation {metric}", scale=scale),
        color=row_color("recipe:N", {point["recipe"]: point["method"] for point in points}),
        tooltip=["recipe:N", "trial:Q", "tried:N", alt.Tooltip("score:Q", format=".4f")],
    )
    lines = base.mark_line(strokeWidth=1.2, opacity=0.45).encode(tooltip=alt.TooltipValue(None))
    dots = base.mark_point(filled=True, size=55, opacity=1)
    rings = base.transform_filter("datum.best").mark_point(size=230, strokeWidth=2)
    return alt.layer(lines, dots, rings).properties(height=HEIGHT)


def _trials(searches: list[Search]) -> None:
    by_name = {search.folder.name: search for search in searches if search.trials}
    if not by_name:
        return
    with st.expander("Every trial"):
        # The folder's name: a recipe that was changed meanwhile has two searches.
        name = st.selectbox("Of", list(by_name), key="trials-of", bind="query-params", width=320)
        search = by_name[name if name in by_name else next(iter(by_name))]
        rows = [
            {
                "trial": _counted(trial),
                "tried": describe_values(get_section(trial, "values")),
                "score": decimal(trial.get("score")),
                "loss": decimal(trial.get("loss")),
                "training time": duration(number(trial, "train_seconds") or 0.0),
                "reason": str(trial.get("reason") or ""),
            }
            for trial in search.trials
        ]
        numbers = right_aligned(("score", "loss", "training time"))
        st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=numbers)


def _command(study: str, trials: int, options: list[str]) -> None:
    words = ["workbench", "tune", study, "--trials", str(trials), *options]
    st.code(shlex.join([*words, "--runs", str(runs_dir())]), language=None, wrap_lines=True)
