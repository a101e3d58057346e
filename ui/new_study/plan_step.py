"""The plan of a whole study, made beside the page, and the buttons that write and start it."""

import json
import shlex
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

import devices
from layout import action_button, errors_kept, plain, remarks, runs_dir, show_error
from new_study import address
from run_cli import ask
from workbench import jobs
from workbench.errors import RunRefused, WorkbenchError
from workbench.formatting import duration, plural, size
from workbench.new_study import Choices, write_files
from workbench.recipe import load_recipes

LOOK_SECONDS = 0.5
KEPT = 16
FORMATS = {
    **dict.fromkeys(("trained parameters", "steps"), "localized"),  # 22,715,141
    **dict.fromkeys(("peak memory (MB)", "time of a run (min)"), "%.1f"),
}
Plan = dict[str, Any]


class Plans:
    """Plans by the choices that they are for; one that is of no use any more holds up no other."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(2, thread_name_prefix="study-plan")
        self._futures: dict[str, Future[Plan]] = {}

    def of(self, choices: Choices, stamp: object) -> Future[Plan]:
        key = json.dumps([choices.arguments(), str(stamp)])
        if key not in self._futures:
            for waiting in self._futures.values():  # what nobody looks at any more
                waiting.cancel()
            words = [*choices.arguments()[1:], "--dry-run", "--runs", str(runs_dir())]
            self._futures[key] = self._thread.submit(ask, words)
            for old in list(self._futures)[:-KEPT]:
                del self._futures[old]
        return self._futures[key]

    def forget(self, future: Future[Plan]) -> None:
        self._futures = {k: each for k, each in self._futures.items() if each is not future}


@st.cache_resource(show_spinner=False)
def _plans() -> Plans:
    return Plans()


def show(choices: Choices, stamp: object) -> None:
    """What the study takes and can show; the buttons follow once that is known."""
    future = _plans().of(choices, stamp)
    waiting = not future.done()
    device = devices.choose(width=300)
    every = LOOK_SECONDS if waiting else None
    st.fragment(run_every=every)(_answer)(choices, future, device, waiting)


def _answer(choices: Choices, future: Future[Plan], device: str, waiting: bool) -> None:
    if future.cancelled():
        _plans().forget(future)
        st.rerun()
    if not future.done():
        st.caption("Planning: reads the texts as the model does, counts and times …")
        return
    if waiting:
        st.rerun()  # what it says stays; nobody has to look again
    try:
        found = future.result()
    except WorkbenchError as error:
        show_error(error)
        action_button(st, "Try again", "plan-again", lambda: _plans().forget(future))
        return
    _table(found)
    _buttons(choices, found, device)


def _table(found: Plan) -> None:
    rows = [
        {
            "method": plan["recipe"],
            "trained parameters": plan.get("trainable_parameters"),
            "steps": plan.get("steps"),
            "peak memory (MB)": _scaled(plan.get("peak_memory_bytes"), 1e6),
            "time of a run (min)": _scaled(plan.get("train_seconds"), 60),
        }
        for plan in found["plans"]
    ]
    columns = {name: st.column_config.NumberColumn(format=each) for name, each in FORMATS.items()}
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns)
    st.markdown(plain(found["shows"][:1].upper() + found["shows"][1:] + "."))
    too_large = [plan["recipe"] for plan in found["plans"] if plan.get("fits") is False]
    if too_large:
        st.warning(plain(f"Not enough memory here for {', '.join(too_large)}."))
    notes = [*found["notes"], *(n for plan in found["plans"] for n in plan.get("notes") or ())]
    remarks(
        plural(len(set(notes)), "note") + " on the plan", [*dict.fromkeys(notes)], ":material/info:"
    )


def _scaled(value: Any, unit: float) -> float | None:
    return None if value is None else value / unit


def _total(choices: Choices, found: Plan) -> str:
    runs = len(choices.seeds) * len(found["plans"])
    seconds = [plan.get("train_seconds") for plan in found["plans"]]
    memory = [plan.get("peak_memory_bytes") for plan in found["plans"]]
    parts = [plural(runs, "run")]
    if None not in seconds:
        parts.append(f"about {duration(sum(map(float, seconds)) * len(choices.seeds))} of training")
    if None not in memory:
        parts.append(f"{size(max(memory))} of memory")
    return ", ".join(parts)


def _buttons(choices: Choices, found: Plan, device: str) -> None:
    st.caption(plain(_total(choices, found)))
    runs = plural(len(choices.seeds) * len(found["plans"]), "run")
    devices.warn_if_busy()
    queues = devices.can_queue(device)
    with st.container(horizontal=True):
        if st.button(f"Start {runs}", key="start", type="primary", icon=":material/play_arrow:"):
            _launch(found, device)
        icon = ":material/playlist_add:"
        if st.button(f"Queue {runs}", key="queue", icon=icon, disabled=not queues):
            _launch(found, device, queue=True)
    st.caption("The same from a terminal:")
    command = f"{found['command']} --run --runs {shlex.quote(str(runs_dir()))}"
    st.code(devices.command_on(device, command), language=None, wrap_lines=True)
    with st.expander("The recipes"):
        for name, text in found["files"].items():
            st.caption(plain(name))
            st.code(text, language="yaml")


def _launch(found: Plan, device: str, *, queue: bool = False) -> None:
    submit: Callable[..., object] = jobs.enqueue if queue else jobs.start
    with errors_kept():
        folder = Path(found["folder"])
        # So that the second click of two, which may end this script, means the same study.
        address.put("named", folder.name)
        write_files(found["files"], folder)
        recipes = load_recipes(folder)
        with suppress(RunRefused):  # it is at work already, which its page shows
            submit(recipes, runs_dir(), **devices.options(device, queue=queue))
        if queue:
            jobs.ensure_worker(runs_dir())
        st.switch_page("views/study.py", query_params={"study": recipes[0].study})
