"""Starting what a form says: seeds, processes, now or queued, and what it costs."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

import devices
from cards import card
from layout import action_button, errors_kept, plain, runs_dir, show_error
from recipes import plan_panel
from recipes.snippets import Wanted, command_line, python_lines
from run_summary import STATES
from workbench import jobs
from workbench.errors import RunRefused, WorkbenchError
from workbench.formatting import plural
from workbench.recipe import Recipe, load_recipes
from workbench.store import ACTIVE, Run, read_run, run_path

MOST_PROCESSES = 64
LOOK_SECONDS = 0.5
"""Between two looks whether the plan is there."""


def panel(wanted: Wanted, *, complete: bool) -> None:
    """Seeds, processes, the buttons, the plan, and the same as command and Python.

    Args:
        complete: False where values of the form were lost, so that nothing is started.
    """
    with card("start"):
        st.subheader("Start", anchor=False)
        seeds = _seeds(wanted)
        about = "GPUs of this machine that train one run together; the batch size stays the same."
        with st.expander("Several processes"):
            count = st.number_input(
                "Processes per run",
                1,
                MOST_PROCESSES,
                key="processes",
                bind="query-params",
                help=about,
            )
        wanted = replace(wanted, seeds=seeds, processes=int(count))
        wanted = replace(wanted, devices=devices.choose() if wanted.processes == 1 else "")
        runs = [read_run(run_path(runs_dir(), wanted.recipe, seed)) for seed in wanted.seeds]
        wanted, todo = _with_force(wanted, runs)
        _show_states(runs)
        devices.warn_if_busy()
        _buttons(wanted, todo, any(run.state in ACTIVE for run in runs), complete)
    with card("plan"):
        st.subheader("Plan", anchor=False)
        _plan(wanted.recipe)
    terminal, python = st.tabs(["From a terminal", "In Python"])
    with terminal:
        st.code(command_line(wanted), language=None, wrap_lines=True)
    with python:
        st.code(python_lines(wanted), language=None, wrap_lines=True)


def _with_force(wanted: Wanted, runs: list[Run]) -> tuple[Wanted, list[Run]]:
    """What is wanted and which runs that means, once it is known whether to repeat any."""
    done = [run for run in runs if run.state == "finished"]
    if done:
        st.caption(f"{len(done)} of {len(runs)} have already finished with exactly these values.")
    again = bool(done) and st.checkbox(
        "Rerun finished runs", help="The old folders are kept.", key="again"
    )
    todo = runs if again else [run for run in runs if run.state != "finished"]
    return replace(wanted, force=again), todo


def _seeds(wanted: Wanted) -> list[int]:
    recipe = wanted.recipe
    options = sorted({*recipe.seeds, *range(5)})
    chosen = st.multiselect(
        "Seeds",
        options,
        default=recipe.seeds,
        key=f"{wanted.path}:seeds",
        accept_new_options=True,
        help="One run per seed. A seed sets initialization and data order, never the split.",
    )
    seeds = {seed for seed in chosen if str(seed).isdecimal() and int(seed) < 2**32}
    for seed in [seed for seed in chosen if seed not in seeds]:
        st.warning(plain(f"{seed!r} is not a seed: whole numbers from 0 to 4294967295"))
    return sorted({int(seed) for seed in seeds})


def _show_states(runs: list[Run]) -> None:
    known = [run for run in runs if run.path.exists() or run.state in ACTIVE]
    if not known:
        return
    with st.container(horizontal=True, gap="small"):
        for run in known:
            seed = run.status.get("seed", "?")
            st.badge(f"seed {plain(seed)} {run.state}", color=STATES[run.state][0])


def _buttons(wanted: Wanted, todo: list[Run], active: bool, complete: bool) -> None:
    runs = plural(len(todo), "run")
    refused = _is_refused(plan_panel.planner().answer(wanted.recipe))
    disabled = not todo or active or refused or not complete
    look: dict[str, Any] = {"width": "stretch", "disabled": disabled}
    icon = ":material/play_arrow:"
    if st.button(f"Start {runs}", key="start", type="primary", icon=icon, **look):
        _launch(wanted, todo[0])
    about = "Appended to the queue: one run per device at a time; the queue survives a reboot."
    icon = ":material/playlist_add:"
    look["disabled"] = disabled or not devices.can_queue(wanted.devices)
    if st.button(f"Queue {runs}", key="queue", help=about, icon=icon, **look):
        _launch(wanted, todo[0], queue=True)
    if active:
        st.caption("Some of these are already queued or running; see Runs.")
    if refused:
        st.caption("Cannot start: the plan below says what is wrong.")


def _is_refused(plan: object) -> bool:
    """Whether planning found a fault, as it names its place, in the recipe or its data."""
    return isinstance(plan, WorkbenchError) and bool(plan.where)


def _launch(wanted: Wanted, first: Run, *, queue: bool = False) -> None:
    with errors_kept():
        # Loaded once more because this also finds out whether local models and data are there.
        recipes = load_recipes(wanted.path, wanted.overrides)
        plan_panel.planner().unload()
        submit: Callable[..., object] = jobs.enqueue if queue else jobs.start
        options: dict[str, Any] = {"seeds": wanted.seeds, "force": wanted.force}
        options |= {"processes": wanted.processes, **devices.options(wanted.devices, queue=queue)}
        launched: set[str] = st.session_state.setdefault("launched", set())
        try:
            submit(recipes, runs_dir(), **options)
        except RunRefused:
            # The second click of two ends the script of the first before it changes the page.
            if first.id not in launched:
                raise
        launched.add(first.id)
        if queue:
            with st.spinner("Starting the queue worker"):
                jobs.ensure_worker(runs_dir())
        st.switch_page("views/runs.py", query_params={"run": first.id})


def _plan(recipe: Recipe) -> None:
    """The plan of what the form says; it follows the form where it fetches nothing."""
    planner = plan_panel.planner()
    waiting = planner.answer(recipe) is None
    if waiting and not plan_panel.is_at_hand(recipe):
        st.caption("Parameters, memory and time; may download the model or the data.")
        if not st.button("Plan this recipe", width="stretch", key="plan"):
            return
    if waiting:
        planner.ask(recipe, st.session_state)
    st.fragment(run_every=LOOK_SECONDS if waiting else None)(_answer)(recipe, waiting)


def _answer(recipe: Recipe, waiting: bool) -> None:
    found = plan_panel.planner().answer(recipe)
    if found is None:
        st.caption("Planning: parameters, memory and time …")
    elif waiting:
        st.rerun()  # what it says stays; nobody has to look again
    elif isinstance(found, WorkbenchError):
        show_error(found)
        again = partial(plan_panel.planner().forget, recipe)
        action_button(st, "Try again", "plan-again", again)
    else:
        plan_panel.show(found)
