"""The queue: what waits and in which order, and who works on it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from layout import runs_dir, show_error
from workbench import jobs
from workbench.errors import WorkbenchError
from workbench.store import Entry, Queue

MOST = 20
"""Entries that get buttons; a row of them takes 5 ms to draw."""


def show() -> None:
    """The panel; nothing while the queue is empty and has no worker."""
    queue = Queue(runs_dir())
    entries, workers = queue.list(), jobs.list_workers(queue)
    waiting = [entry for entry in entries if not entry.job]
    if not entries and not workers:
        return
    title = f"Queue: {len(waiting)} waiting"
    with st.expander(title, icon=":material/playlist_play:", expanded=True, key="queue-panel"):
        _worker(workers, bool(waiting))
        for number, entry in enumerate(waiting[:MOST], 1):
            _row(queue, number, entry, last=number == len(waiting))
        if len(waiting) > MOST:
            st.caption(f"and {len(waiting) - MOST} more")


def _worker(workers: list[jobs.WorkerRecord], waiting: bool) -> None:
    left, right = st.columns([3, 1], vertical_alignment="center")
    if workers:
        for worker in workers:
            state = "stops after the current run" if worker.stopping else "works on the queue"
            where = "the whole machine" if worker.slots == ("all",) else ", ".join(worker.slots)
            left.text(f"Process {worker.pid} on {worker.host} {state} ({where}).")
        if not all(worker.stopping for worker in workers):
            right.button(
                "Stop after this run",
                key="queue-stop",
                width="stretch",
                on_click=_do,
                args=(jobs.stop_workers, runs_dir()),
            )
    elif waiting:
        left.text("No worker is running.")
        right.button(
            "Start the queue",
            key="queue-start",
            width="stretch",
            icon=":material/play_arrow:",
            on_click=_do,
            args=(jobs.ensure_worker, runs_dir()),
        )


def _row(queue: Queue, number: int, entry: Entry, *, last: bool) -> None:
    about, first, up, down, cancel = st.columns(
        [4, 1, 1, 1, 1.1], vertical_alignment="center", gap="small"
    )
    several = f" · {entry.processes} processes" if entry.processes > 1 else ""
    about.text(f"{number}. {entry.id}{several}")
    buttons: list[tuple[DeltaGenerator, str, Callable[[], object], bool]] = [
        (first, "First", lambda: queue.move(entry, "first"), number == 1),
        (up, "Up", lambda: _shift(queue, entry, -1), number == 1),
        (down, "Down", lambda: _shift(queue, entry, 1), last),
        (cancel, "Cancel", lambda: _cancel(queue, entry), False),
    ]
    for column, words, action, disabled in buttons:
        column.button(
            words,
            key=f"{words.lower()}:{entry.id}",
            disabled=disabled,
            width="stretch",
            on_click=_do,
            args=(action,),
        )


def _shift(queue: Queue, entry: Entry, by: int) -> None:
    """Moves an entry by one among those that wait, as they are now."""
    with queue.changing():
        waiting = [each for each in queue.list() if not each.job]
        ids = [each.id for each in waiting]
        if entry.id not in ids:
            return
        place = ids.index(entry.id)
        if by < 0 < place:
            queue.move(entry, waiting[place - 1])
        elif by > 0 and place + 2 < len(waiting):
            queue.move(entry, waiting[place + 2])
        elif by > 0:
            queue.move(entry, "last")


def _cancel(queue: Queue, entry: Entry) -> None:
    with queue.changing():
        now = queue.find(entry.study, entry.name)
        if now is not None and not now.job:  # one that has begun is stopped on its page
            queue.remove(now)


def _do(action: Callable[..., object], *arguments: object) -> None:
    try:
        action(*arguments)
    except WorkbenchError as error:
        show_error(error)
