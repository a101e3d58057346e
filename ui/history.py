"""One entry of the browser's history for each thing that a reader does."""

import streamlit as st

# Streamlit makes an entry for each change of the address that the server sends: leaving a page
# takes its values out, entering one changes the path and puts the values of its last visit in.
# Back would stop at each of them, so what comes without anything done since the last entry
# changes that entry instead.
_one_entry = st.components.v2.component(
    "one-entry",
    css="""
    [data-testid="stLayoutWrapper"]:has(> .st-key-history) {
        display: none;
    }
    """,
    js="""
        export default function () {
            if (window.oneEntry) return;
            window.oneEntry = true;
            let acted = navigator.userActivation.hasBeenActive;
            const push = history.pushState.bind(history);
            history.pushState = (...entry) => {
                if (acted) push(...entry);
                else history.replaceState(...entry);
                acted = false;
            };
            for (const event of ["pointerdown", "keydown", "click"])
                addEventListener(event, () => { acted = true; }, true);
            addEventListener("popstate", () => { acted = false; }, true);
        }
    """,
    isolate_styles=False,
)


def one_entry_each() -> None:
    """Keeps the history so from here on; once on a page."""
    with st.container(key="history"):
        _one_entry(key="one-entry")
