"""A study's runs, a row for each recipe and a column for each seed: each cell opens its run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from layout import plain, runs_dir
from run_summary import decimal, minutes_of, score_of, share_done, state_of, time_of
from runs import ended
from runs.run_table import not_begun, pending
from workbench.formatting import ABSENT, duration, plural
from workbench.new_study.existing import Row, Study
from workbench.store import ACTIVE, Run, run_path

ACROSS = 6
"""Seeds side by side; more go below."""
FEWEST = 4
"""Columns where there are fewer seeds, so that numbers stand near what they are of."""
MOVING = ACTIVE - {"queued"}
"""States of a run that makes progress."""
ICONS = {
    "running": ":material/progress_activity:",
    "stopping": ":material/progress_activity:",
    "queued": ":material/schedule:",
    "starting": ":material/schedule:",
    "stopped": ":material/stop_circle:",
    "failed": ":material/error:",
    "interrupted": ":material/error:",
    "unreadable": ":material/error:",
}


Cell = tuple[str, str, int]
"""Name and fingerprint of a recipe, and a seed."""
SUMMARY: Cell = ("", "", 0)
Places = dict[Cell, DeltaGenerator]


def states(study: Study) -> frozenset[tuple[object, ...]]:
    """What the page is drawn for: while it stays as it is, only cells of runs at work move."""
    runs = {(run.id, state_of(run)) for row in study.rows for run in row.runs.values()}
    rows = {(row.name, row.fingerprint, row.recipe is None) for row in study.rows}
    waiting = {(name,) for name in pending() if name.startswith(f"{study.name}/")}
    return frozenset({*runs, *rows, *waiting, tuple(study.seeds)})


def show(study: Study) -> Places:
    """Draws what stands still; returns the places of what moves, for ``refresh``."""
    waiting, places = pending(), {SUMMARY: st.empty()}
    runs = [run for row in study.rows for run in row.runs.values()]
    own = [name for name in not_begun(runs) if name.startswith(f"{study.name}/")]
    awaited = ended.watch(runs, own, study.name)
    names = [row.name for row in study.rows]
    seeds = study.seeds
    for first in range(0, len(seeds), ACROSS):
        block = seeds[first : first + ACROSS]
        widths = [1.6, *[1.0] * min(ACROSS, max(FEWEST, len(seeds)))]
        head = st.columns(widths, gap="small")
        head[0].caption(plain(_measured(study)))
        for cell, seed in zip(head[1:], block, strict=False):
            cell.caption(f"seed {seed}")
        for row in study.rows:
            cells = st.columns(widths, gap="small", vertical_alignment="center")
            repeated = names.count(row.name) > 1
            old = f" ({row.fingerprint}{'' if row.recipe else ', earlier values'})"
            cells[0].text(row.name + (old if repeated else ""))
            for cell, seed in zip(cells[1:], block, strict=False):
                run = row.runs.get(seed)
                if run is not None and run.state in MOVING:
                    places[row.name, row.fingerprint, seed] = cell.empty()
                    continue
                with cell:
                    _cell(row, seed, waiting)
    ended.notifier(awaited=awaited)
    return places


def refresh(study: Study, places: Places) -> None:
    """Draws how far the runs at work and the whole study are."""
    waiting = pending()
    with places[SUMMARY].container():
        _summary(study, waiting)
    for row in study.rows:
        for seed in row.runs:
            if place := places.get((row.name, row.fingerprint, seed)):
                with place.container():
                    _cell(row, seed, waiting)


def _summary(study: Study, waiting: Mapping[str, tuple[Path, bool]]) -> None:
    """How far the whole study is, and how long it will still take."""
    runs = [run for row in study.rows for run in row.runs.values()]
    active = [run for run in runs if run.state in ACTIVE]
    begun = {run.id for run in runs}
    to_come = sum(name.startswith(f"{study.name}/") and name not in begun for name in waiting)
    done = sum(run.state == "finished" for run in runs)
    states = [state_of(run) for run in runs]
    words = [f"{done} of {plural(len(runs) + to_come, 'run')} finished"]
    words += [f"{states.count(s)} {s}" for s in dict.fromkeys(states) if s != "finished"]
    words += [f"{to_come} waiting"] if to_come else []
    if active or to_come:
        words += [f"about {left} left"] if (left := time_left(runs, len(active), to_come)) else []
    if not (active or to_come):
        st.caption(plain(", ".join(words)))
        return
    shares = [share_done(run) or 0.0 for run in runs if run.state in (*ACTIVE, "finished")]
    total = len(shares) + to_come
    st.progress(sum(shares) / total if total else 0.0, text=plain(", ".join(words)))


def time_left(runs: Sequence[Run], active: int, to_come: int) -> str:
    """What the runs at work still need, and those that wait as much as a finished one took."""
    known = [minutes_of(run) for run in runs]
    left = [minutes for _, minutes in known if minutes is not None]
    took = [t for run, (t, _) in zip(runs, known, strict=True) if t and run.state == "finished"]
    took += [(t or 0) + m for t, m in known if m is not None]
    waiting = to_come + active - len(left)
    if not took:
        return ""
    return duration(60 * (sum(left) + waiting * sum(took) / len(took)))


def _measured(study: Study) -> str:
    """What the numbers are."""
    found = (score_of(run) for row in study.rows for run in row.runs.values())
    metric = next((metric for score, metric in found if score is not None), "")
    return f"test {metric}" if metric else ""


def _cell(row: Row, seed: int, waiting: Mapping[str, tuple[Path, bool]]) -> None:
    run = row.runs.get(seed)
    name = run.id if run else ""
    if run is None and row.recipe is not None:
        path = run_path(runs_dir(), row.recipe, seed)
        name = f"{path.parent.name}/{path.name}"
    if run is None and name not in waiting:
        st.caption(ABSENT)
        return
    label, icon = plain(_label(run)), ICONS.get(state_of(run) if run else "starting")
    about = plain(run.reason) if run and run.reason else None
    query = {"run": name}
    st.page_link("views/runs.py", label=label, icon=icon, query_params=query, help=about)


def _label(run: Run | None) -> str:
    """The score of a finished run, how far a running one is, the state of another."""
    if run is None:
        return "waiting"
    if run.state == "finished":
        score, _ = score_of(run)
        return "finished" if score is None else decimal(score)
    share = share_done(run)
    if run.state not in ACTIVE or run.state == "queued" or share is None:
        return state_of(run)
    return " ".join(word for word in (f"{share:.0%},", time_of(run)) if word != ABSENT).rstrip(",")
