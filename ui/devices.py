"""Which device runs get, and whether the machine is at work already: asked wherever runs start."""

import shlex
import socket
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from layout import plain, runs_dir, say_unknown
from run_summary import time_of
from runs.hardware import gpus
from workbench.formatting import ABSENT, listing
from workbench.jobs.worker_records import CPU, environment_of
from workbench.store import list_runs

BUSY_SECONDS = 3
Width = Literal["stretch"] | int


def choose(width: Width = "stretch") -> str:
    """The device that is asked for, where the machine has a choice; empty for any."""
    slots = {"any": "", **{name: name.removeprefix("GPU ") for name, _ in gpus()}, "CPU": CPU}
    if len(slots) == 2:
        return ""
    say_unknown("device", slots)
    about = "Which device the runs get; a queued one waits until the queue has it free."
    chosen = st.selectbox(
        "Device", list(slots), key="device", bind="query-params", help=about, width=width
    )
    return slots[chosen or "any"]


def can_queue(device: str) -> bool:
    """Whether the queue gives out the device: its worker shares out the GPUs."""
    return device != CPU


def options(device: str, *, queue: bool) -> dict[str, Any]:
    """What starting or queuing takes for a device."""
    if not device:
        return {}
    return {"devices": device} if queue else {"environment": environment_of(device)}


def command_on(device: str, command: str) -> str:
    """A command as it is typed for a device."""
    given = environment_of(device) if device else {}
    return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in given.items()), command])


def warn_if_busy() -> None:
    if busy := _busy(runs_dir()):
        words = f"This machine is at work on {listing(busy, 3)}. Start shares it with that, which "
        words += "slows both and may run out of memory; Queue waits."
        st.warning(plain(words), icon=":material/hourglass:")


@st.cache_data(ttl=BUSY_SECONDS, show_spinner=False)
def _busy(folder: Path) -> list[str]:
    """The runs at work on this machine, with the time that each has left."""
    here = [
        run
        for run in list_runs(folder)
        if run.state == "running" and run.status.get("host") == socket.gethostname()
    ]
    return [f"{run.id}{f' ({left})' if (left := time_of(run)) != ABSENT else ''}" for run in here]
