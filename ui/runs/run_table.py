"""The table of all runs: filtered, refreshed, and a row of it selected."""

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from layout import by_history, empty, error_box, remember, runs_dir, say_unknown, visit
from run_summary import STATES, minutes_of, progress_of, score_of, share_done, state_of
from runs import columns, ended, saved_views
from runs.saved_views import NEWEST
from workbench import jobs
from workbench.analysis.records import number
from workbench.store import ACTIVE, Run, list_runs
from workbench.store.notes import in_words

REFRESH_SECONDS = 2
TABLES, LEFT = "run-tables", "run-filters"
FALLING, RISING = "↓", "↑"
DONE = "✓"
"""What is shown of a finished run: others are to be seen at once."""
MOST_SHOWN = 16
"""Rows of the table that are shown at once; it scrolls through more."""
LATEST = 4e9
"""Seconds since 1970 up to which a date can be shown; a clock that says more is wrong."""


@st.fragment(run_every=REFRESH_SECONDS)
def show() -> None:
    """Filters and the table of all runs; what is clicked goes into the address."""
    everything = sorted(list_runs(runs_dir()), key=_order)
    waiting = not_begun(everything)
    awaited = ended.watch(everything, waiting)
    _job_that_never_began()
    if not everything and not waiting:
        empty("No runs yet", "Start one in Recipes, or with `workbench run` in a terminal.")
        return
    runs, more, order = _filtered(everything)
    if not runs and not waiting:
        st.caption("No runs match these filters.")
        return
    rows = _rows(runs, more)
    places = _sorted(rows, order)
    ids, rows = [runs[place].id for place in places], [rows[place] for place in places]
    chosen = st.query_params.get_all("picked")
    if by_history():
        begin_anew()
    # The selection is row numbers, so a table in another order is another table. What is ticked
    # there leads, and not the address: of two quick ticks the second still sends the old one.
    seed = (visit(), st.session_state.get(TABLES, 0), *ids)
    key = f"runs-{hash(seed) & 0xFFFFFFFF:x}"
    here = [ids.index(name) for name in chosen if name in ids]
    for name in waiting:
        study, _, folder = name.partition("/")
        rows.append({"state": ["starting"], "recipe": folder, "study": study})
    st.dataframe(
        pd.DataFrame(rows),
        key=key,
        hide_index=True,
        height="content" if len(rows) <= MOST_SHOWN else 35 * (1 + MOST_SHOWN),  # pixels of a row
        placeholder="–",
        on_select="rerun",
        selection_mode=["multi-row", "single-cell"],
        selection_default={"selection": {"rows": here}},
        column_config=_columns() | columns.formats(more),
    )
    ended.notifier(awaited=awaited)
    if key in st.session_state:
        _follow(st.session_state[key].selection, ids, [ids[row] for row in here])
    remember()


def begin_anew() -> None:
    """Forgets what was ticked: the address says what is selected."""
    st.session_state[TABLES] = st.session_state.get(TABLES, 0) + 1


def _follow(selection: Any, ids: list[str], chosen: list[str]) -> None:
    """Puts what was clicked into the address: a cell opens its run, the boxes choose several."""
    clicked = [ids[row] for row, _ in selection.cells if row < len(ids)]
    picked = [ids[row] for row in selection.rows if row < len(ids)]
    if clicked:
        begin_anew()
        # Streamlit forgets widgets that are not shown, and takes them out of the address.
        st.session_state[LEFT] = {
            key: st.session_state[key] for key in saved_views.FILTERS if key in st.session_state
        }
        st.query_params["run"] = clicked[0]
        st.rerun()
    if set(picked) != set(chosen):
        st.query_params["picked"] = picked
        st.rerun()


def _rows(runs: list[Run], more: list[str]) -> list[dict[str, Any]]:
    """A row for each run; columns for names and tags only where a run has some."""
    noted = [(run, run.notes) for run in runs]
    named = any(notes.name or notes.starred for _, notes in noted)
    tagged = any(notes.tags for _, notes in noted)
    rows = []
    for run, notes in noted:
        name = {"name": f"{'★ ' * notes.starred}{notes.name}".strip() or None} if named else {}
        tags = {"tags": list(notes.tags)} if tagged else {}
        row = _row(run)
        first = {"state": row.pop("state")} | name
        rows.append(first | row | tags | columns.values(run, more))
    if all(run.state == "finished" for run in runs):
        for row in rows:
            del row["progress"], row["left"]
    return rows


def _sorted(rows: list[dict[str, Any]], order: str) -> list[int]:
    """The places of the rows in an order; rows without a value come last."""
    sign, _, label = order.partition(" ")
    column = next((key for key, each in _columns().items() if each["label"] == label), label)
    values = {place: row.get(column) for place, row in enumerate(rows)}
    known = {place: value for place, value in values.items() if value not in (None, "", [])}
    if not all(isinstance(value, int | float) for value in known.values()):
        known = {place: str(value).casefold() for place, value in known.items()}
    ordered = sorted(known, key=known.__getitem__, reverse=sign == FALLING)
    return [*ordered, *(place for place in values if place not in known)]


def _order_of(added: list[str]) -> str:
    """What the table is sorted by: a column of it, up or down."""
    labels = [str(each["label"]) for each in _columns().values()] + added
    options = [NEWEST, *(f"{sign} {label}" for label in labels for sign in (FALLING, RISING))]
    say_unknown("sort", options, "order")
    if st.session_state.get("sort", NEWEST) not in options:  # of a column that is not shown
        st.session_state["sort"] = NEWEST
    chosen: str | None = st.selectbox("Sort by", options, key="sort", bind="query-params")
    return chosen or NEWEST


def _filtered(runs: list[Run]) -> tuple[list[Run], list[str], str]:
    """The runs that go with the filters, the columns that are added, and what they are sorted by;
    the address has all three."""
    left = st.session_state.pop(LEFT, {})
    for key, value in left.items():
        if not by_history() and key not in st.query_params:  # as they were when a run was opened
            st.session_state.setdefault(key, value)
    if hidden := sum(run.notes.archived for run in runs):
        label = f"Show {hidden} archived"
        if not st.toggle(label, key="archived", bind="query-params"):
            runs = [run for run in runs if not run.notes.archived]
    words, study, states, more, sort, views = st.columns(
        [1, 0.8, 0.85, 1, 0.95, 0.9], vertical_alignment="bottom"
    )
    wanted = words.text_input(
        "Search", key="search", bind="query-params", placeholder="recipe, study, tag"
    )
    there = {run.path.parent.name for run in runs}
    say_unknown("of", there, "study")
    studies = sorted(there.union(st.session_state.get("of", ())))  # a saved view may name others
    chosen = study.multiselect("Studies", studies, key="of", bind="query-params", placeholder="all")
    of_state = states.multiselect(
        "States", list(STATES), key="state", bind="query-params", placeholder="all"
    )
    with more:
        added = columns.pick(runs)
    with sort:
        order = _order_of(added)
    with views:
        saved_views.popover()
    parts = wanted.casefold().split()
    found = [
        run
        for run in runs
        if (not chosen or run.path.parent.name in chosen)
        and (not of_state or state_of(run) in of_state)
        and all(part in _words(run) for part in parts)
    ]
    return found, added, order


def _words(run: Run) -> str:
    known = [run.status.get(key) for key in ("recipe", "method", "task", "model")]
    noted = in_words(run.notes)
    return " ".join(map(str, [run.id, state_of(run), *known, noted])).casefold()


def _order(run: Run) -> tuple[bool, float, str]:
    return run.state not in ACTIVE, -(number(run.status, "started_at") or 0.0), run.id


def _row(run: Run) -> dict[str, Any]:
    """Numbers as numbers, so that a column sorts by them."""
    (taken, left), (score, metric) = minutes_of(run), score_of(run)
    started = number(run.status, "started_at")
    known = started is not None and 0 < started < LATEST
    return {
        "state": [state_of(run)],
        "recipe": str(run.status.get("recipe") or run.path.name),
        "method": str(run.status.get("method") or ""),
        "seed": number(run.status, "seed"),
        "study": run.path.parent.name,
        "progress": None if run.state == "finished" else share_done(run),
        "taken": taken,
        "left": left,
        "loss": number(progress_of(run), "loss"),
        "score": score,
        "metric": metric,
        "started": pd.Timestamp(started, unit="s", tz="UTC") if known else None,
    }


def _columns() -> dict[str, Any]:
    config = st.column_config
    return {
        "state": config.MultiselectColumn(
            "State",
            options=list(STATES),
            color=[each for _, each in STATES.values()],
            format_func=lambda state: DONE if state == "finished" else state,
            width=105,
        ),
        "recipe": config.TextColumn("Recipe", width=130),
        "method": config.TextColumn("Method", width=75),
        "seed": config.NumberColumn("Seed", format="%d", width=55),
        "study": config.TextColumn("Study", width=105),
        "name": config.TextColumn("Name", width=140),
        "tags": config.ListColumn("Tags", width=120),
        "progress": config.ProgressColumn(
            "Progress", min_value=0.0, max_value=1.0, format="percent", width=110
        ),
        "taken": config.NumberColumn("Time, min", format="%.1f", width=75),
        "left": config.NumberColumn("Left, min", format="%.1f", width=75),
        "loss": config.NumberColumn("Last loss", format="%.4f", width=75),
        "score": config.NumberColumn("Test score", format="%.3f", width=85),
        "metric": config.TextColumn("Metric", width=85),
        "started": config.DatetimeColumn("Started", format="distance", width=110),
    }


def not_begun(runs: list[Run]) -> list[str]:
    """Runs that a living job is still to start, in the order in which it will."""
    active = {run.path for run in runs if run.state in ACTIVE}
    finished = {run.path for run in runs if run.state == "finished"}
    return [
        name
        for name, (path, forced) in pending().items()
        if path not in active and (path not in finished or forced)
    ]


def pending() -> dict[str, tuple[Path, bool]]:
    """What living jobs are still to start, by name: its folder, and whether to do it again."""
    return {
        f"{path.parent.name}/{path.name}": (path, "--force" in job.command)
        for job in jobs.list_jobs(runs_dir(), newest=20)
        if job.alive
        for path in job.pending
    }


def _job_that_never_began() -> None:
    """The latest job, when it ended before it wrote a run: its log is all there is to show."""
    latest = next(iter(jobs.list_jobs(runs_dir(), newest=1)), None)
    if (
        latest is None
        or latest.alive
        or not latest.runs
        or any(path.exists() for path in latest.runs)
    ):
        return
    title = "The last job failed before its first run started"
    error_box(title, latest.log_tail(4000) or "No output.")
