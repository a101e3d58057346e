"""The queue: what waits and in which order, and who works on it."""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from layout import action_button, runs_dir
from run_summary import minutes_of
from workbench import jobs
from workbench.formatting import about
from workbench.store import Entry, Queue, Run, list_runs, read_run

MOST = 20
"""Entries that get buttons; a row of them takes 5 ms to draw."""


def show() -> None:
    """The panel; nothing while the queue is empty and has no worker."""
    queue = Queue(runs_dir())
    entries, workers = queue.list(), jobs.list_workers(queue)
    waiting = [entry for entry in entries if not entry.job]
    if not entries and not workers:
        return
    left = time_left(entries) if waiting else ""
    title = f"Queue: {len(waiting)} waiting{left}"
    with st.expander(title, icon=":material/playlist_play:", expanded=True, key="queue-panel"):
        _worker(workers, bool(waiting))
        if len(waiting) > 1:
            _cancel_all(queue, waiting)
        for number, entry in enumerate(waiting[:MOST], 1):
            _row(queue, number, entry, last=number == len(waiting))
        if len(waiting) > MOST:
            st.caption(f"and {len(waiting) - MOST} more")


def time_left(entries: Sequence[Entry]) -> str:
    """How long the queue still takes, one run after the other, as earlier runs of the same recipe
    took; of the others it says how many there are."""
    known: dict[str, list[float]] = {}
    for study in {entry.study for entry in entries}:
        for run in list_runs(runs_dir() / study):
            taken = minutes_of(run)[0]
            if run.state == "finished" and taken is not None:
                known.setdefault(str(run.status.get("fingerprint")), []).append(taken)
    total, unknown = 0.0, 0
    for entry in entries:
        usual = known.get(str(entry.fields.get("fingerprint")))
        left = minutes_of(read_run(runs_dir() / entry.study / entry.name))[1] if entry.job else None
        if left is None and usual is None:
            unknown += 1
        else:
            total += median(usual) if left is None and usual else left or 0.0
    if unknown == len(entries):
        return ""
    more = f", and {unknown} of which no run has finished yet" if unknown else ""
    return f" · {about(60 * total)} left{more}"


def place_of(run: Run) -> str:
    """What a queued run waits for."""
    queue = Queue(runs_dir())
    waiting = [entry.id for entry in queue.list() if not entry.job]
    if run.id not in waiting:
        return "It is being started; this page updates by itself."
    number = waiting.index(run.id) + 1
    if not jobs.list_workers(queue):
        return f"Number {number} in the queue, and no worker is running: start the queue below."
    return f"Number {number} in the queue; this page updates by itself."


def _worker(workers: list[jobs.WorkerRecord], waiting: bool) -> None:
    left, right = st.columns([3, 1], vertical_alignment="center")
    if workers:
        for worker in workers:
            state = "stops after the current run" if worker.stopping else "works on the queue"
            where = "the whole machine" if worker.slots == ("all",) else ", ".join(worker.slots)
            left.text(f"Process {worker.pid} on {worker.host} {state} ({where}).")
        if not all(worker.stopping for worker in workers):
            stop = partial(jobs.stop_workers, runs_dir())
            action_button(right, "Stop after this run", "queue-stop", stop, width="stretch")
    elif waiting:
        left.text("No worker is running.")
        look = {"width": "stretch", "icon": ":material/play_arrow:"}
        start = partial(jobs.ensure_worker, runs_dir())
        action_button(right, "Start the queue", "queue-start", start, **look)


def _cancel_all(queue: Queue, waiting: Sequence[Entry]) -> None:
    with st.popover("Cancel all", icon=":material/playlist_remove:"):
        st.text("These are taken out of the queue:")
        for entry in waiting[:MOST]:
            st.text(f"• {entry.id}")
        if len(waiting) > MOST:
            st.text(f"• and {len(waiting) - MOST} more")
        action_button(st, "Take them out", "cancel-all", queue.clear, type="primary")


def _row(queue: Queue, number: int, entry: Entry, *, last: bool) -> None:
    name, first, up, down, cancel = st.columns(
        [4, 1, 1, 1, 1.1], vertical_alignment="center", gap="small"
    )
    several = f" · {entry.processes} processes" if entry.processes > 1 else ""
    name.text(f"{number}. {entry.id}{several}")
    buttons: list[tuple[DeltaGenerator, str, Callable[[], object], bool]] = [
        (first, "First", lambda: queue.move(entry, "first"), number == 1),
        (up, "Up", lambda: _shift(queue, entry, -1), number == 1),
        (down, "Down", lambda: _shift(queue, entry, 1), last),
        (cancel, "Cancel", lambda: _cancel(queue, entry), False),
    ]
    for column, words, action, disabled in buttons:
        key = f"{words.lower()}:{entry.id}"
        action_button(column, words, key, action, disabled=disabled, width="stretch")


def _shift(queue: Queue, entry: Entry, by: int) -> None:
    """Moves an entry by one among those that wait, as they are now."""
    with queue.changing():
        waiting = [each for each in queue.list() if not each.job]
        ids = [each.id for each in waiting]
        if entry.id not in ids:
            return
        before = ids.index(entry.id) + (by if by < 0 else by + 1)
        if before >= 0:
            queue.move(entry, waiting[before] if before < len(waiting) else "last")


def _cancel(queue: Queue, entry: Entry) -> None:
    with queue.changing():
        now = queue.find(entry.study, entry.name)
        if now is not None and not now.job:  # one that has begun is stopped on its page
            queue.remove(now)
