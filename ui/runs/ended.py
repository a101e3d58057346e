"""Runs that end while somebody looks: the title of the window counts them, a word says so, and the
browser does if it was asked to."""

import uuid
from collections.abc import Collection, Sequence

import streamlit as st

from workbench.formatting import plural
from workbench.store import ACTIVE, Run

SEEN, TOLD = "run-seen", "run-told"


def watch(runs: Sequence[Run], waiting: Collection[str], study: str = "") -> bool:
    """How many of the runs that this page has seen at work are done, as the title of the window,
    and a word once the last of them is. Returns whether there is something to wait for.

    Args:
        study: whose runs alone these are; empty for all.
    """
    state = st.session_state
    seen: set[str] = state.setdefault(f"{SEEN}:{study}" if study else SEEN, set())
    active = {*waiting, *(run.id for run in runs if run.state in ACTIVE)}
    seen |= active
    if not seen:
        return False
    done = len(seen - active)
    st.set_page_config(page_title=f"{done} of {len(seen)} done · PEFT workbench")
    if not active:
        failed = sum(run.id in seen and run.state not in ("finished", "stopped") for run in runs)
        words = f"{plural(len(seen), 'run')} ended" + (f", {failed} failed" if failed else "")
        icon = ":material/error:" if failed else ":material/task_alt:"
        st.toast(words, icon=icon, duration="infinite")
        state[TOLD] = {"id": uuid.uuid4().hex, "words": f"{study}: {words}" if study else words}
        seen.clear()
    return bool(active)


def notifier(*, awaited: bool) -> None:
    """The button that asks the browser for notifications, which it shows of what `watch` says;
    nothing where nothing is awaited and nothing has ended."""
    if awaited or TOLD in st.session_state:
        _notifier(key="notifier", data=st.session_state.get(TOLD), width="content")


# The browser keeps the choice; each end has an id, as a page is drawn again and again.
_notifier = st.components.v2.component(
    "notifier",
    html='<button type="button" hidden></button>',
    css="""
        button {
            font: inherit; font-size: 0.875rem; padding: 0.25rem 0.75rem; cursor: pointer;
            color: var(--st-text-color); background: transparent;
            border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius);
        }
        button[aria-pressed="true"] { border-color: var(--st-primary-color); }
        button:disabled { cursor: default; }
    """,
    js="""
        export default function ({ data, parentElement }) {
            const CHOICE = "workbench-notify", LAST = "workbench-notified";
            const button = parentElement.querySelector("button");
            const isOn = () =>
                Notification.permission === "granted" && localStorage.getItem(CHOICE) === "on";
            const draw = () => {
                const blocked = Notification.permission === "denied";
                button.disabled = blocked;
                button.setAttribute("aria-pressed", String(isOn()));
                button.textContent = blocked
                    ? "Notifications are blocked in this browser"
                    : isOn() ? "Notifications on" : "Notify me when runs end";
                button.hidden = false;
            };
            if (!("Notification" in window) || !window.isSecureContext) return;
            button.onclick = async () => {
                const wanted = !isOn();
                if (wanted) await Notification.requestPermission();
                localStorage.setItem(CHOICE, wanted ? "on" : "off");
                draw();
            };
            draw();
            if (data && sessionStorage.getItem(LAST) !== data.id) {
                sessionStorage.setItem(LAST, data.id);
                if (isOn()) new Notification("PEFT workbench", { body: data.words, tag: data.id });
            }
        }
    """,
)
