"""What can be done with a resolved recipe: start it, count its parameters, copy its command."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Literal

import streamlit as st

import plans
from shell import plain, runs_dir, show_error
from workbench import jobs
from workbench.errors import WorkbenchError
from workbench.recipe import Recipe, load_recipes, recipes_dir
from workbench.store import ACTIVE, Run, State, read_run, run_path

Color = Literal["green", "blue", "orange", "gray", "red"]
STATE_COLORS: dict[State, Color] = {
    "finished": "green",
    "running": "blue",
    "queued": "blue",
    "stopping": "orange",
    "stopped": "gray",
    "failed": "red",
    "interrupted": "red",
    "unreadable": "red",
}


def panel(path: Path, recipe: Recipe, overrides: list[str]) -> None:
    """Seeds, the Start button, parameter counts and the command line of a resolved recipe."""
    with st.container(border=True):
        st.subheader("Start", anchor=False)
        seeds = _seeds(path, recipe)
        runs = [read_run(run_path(runs_dir(), recipe, seed)) for seed in seeds]
        done = [run for run in runs if run.state == "finished"]
        if done:
            st.caption(f"{len(done)} of {len(runs)} finished already with exactly these values.")
        again = bool(done) and st.checkbox(
            "Run the finished ones again", help="Their folders are kept aside.", key="again"
        )
        todo = runs if again else [run for run in runs if run.state != "finished"]
        _show_states(runs)
        label = f"Start {len(todo)} run{'' if len(todo) == 1 else 's'}"
        active = any(run.state in ACTIVE for run in runs)
        if st.button(
            label,
            type="primary",
            width="stretch",
            icon=":material/play_arrow:",
            disabled=not todo or active,
            key="start",
        ):
            _start(path, overrides, seeds, force=again, first=todo[0])
    with st.container(border=True):
        st.subheader("Parameters", anchor=False)
        _parameters(recipe)
    st.caption("The same from a terminal")
    st.code(command_line(path, overrides, seeds, recipe, again), language=None, wrap_lines=True)


def _seeds(path: Path, recipe: Recipe) -> list[int]:
    options = sorted({*recipe.seeds, *range(5)})
    chosen = st.multiselect(
        "Seeds",
        options,
        default=recipe.seeds,
        key=f"{path}:seeds",
        accept_new_options=True,
        help="One run for each; they change initialisation and data order, never the split.",
    )
    seeds = []
    for seed in chosen:
        if str(seed).isdecimal() and int(seed) < 2**32:
            seeds.append(int(seed))
        else:
            st.warning(plain(f"{seed!r} is not a seed: whole numbers from 0 to 4294967295"))
    return sorted(set(seeds))


def _show_states(runs: list[Run]) -> None:
    known = [run for run in runs if run.path.exists()]
    if not known:
        return
    with st.container(horizontal=True, gap="small"):
        for run in known:
            seed = run.status.get("seed", "?")
            st.badge(f"seed {plain(seed)} {run.state}", color=STATE_COLORS[run.state])


def _start(path: Path, overrides: list[str], seeds: list[int], *, force: bool, first: Run) -> None:
    try:
        # Loaded once more because this also finds out whether local models and data are there.
        recipes = load_recipes(path, overrides)
        jobs.start(recipes, runs_dir(), seeds=seeds, force=force)
    except WorkbenchError as error:
        show_error(error)
        return
    st.switch_page("views/runs.py", query_params={"run": first.id})


def command_line(
    path: Path, overrides: list[str], seeds: list[int], recipe: Recipe, force: bool
) -> str:
    """The shell command that does what the Start button does."""
    root = recipes_dir()
    inside = path.is_relative_to(root)
    name = str(path.relative_to(root).with_suffix("")) if inside else str(path.absolute())
    words = ["workbench", "run", name]
    for override in overrides:
        words += ["--set", override]
    if seeds != recipe.seeds:
        words += ["--seeds", ",".join(map(str, seeds))]
    words += ["--force"] if force else []
    return shlex.join([*words, "--runs", str(runs_dir())])


def _parameters(recipe: Recipe) -> None:
    found: dict[str, Any] | None = plans.known(recipe)
    if found is None:
        st.caption("Counts, memory and time, by a process of its own; takes some seconds.")
        if not st.button("Count parameters", width="stretch", key="count"):
            return
        try:
            with st.spinner("Counting"):
                found = plans.count(recipe)
        except WorkbenchError as error:
            show_error(error)
            return
    plans.show(found)
