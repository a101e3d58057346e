"""What runs in the browser on every page: mends of Streamlit's own page."""

import streamlit as st

# Streamlit makes an entry of the history for each change of the address that the server sends:
# leaving a page takes its values out, entering one changes the path and puts the values of its last
# visit in. Back would stop at each of them, so what comes without anything done since the last
# entry changes that entry instead.
# Its toasts are dialogs that name themselves after an element that is not there.
_mends = st.components.v2.component(
    "mends",
    css="""
    [data-testid="stLayoutWrapper"]:has(> .st-key-mends) {
        display: none;
    }
    """,
    js="""
    function oneEntryEach() {
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
    function nameToasts() {
        for (const each of document.querySelectorAll("[data-testid=stToast][aria-labelledby]")) {
            each.setAttribute("aria-label", each.innerText);
            each.removeAttribute("aria-labelledby");
        }
    }
    export default function () {
        if (window.mended) return;
        window.mended = true;
        oneEntryEach();
        const seen = { childList: true, subtree: true };
        new MutationObserver(nameToasts).observe(document.body, seen);
    }
    """,
    isolate_styles=False,
)


def mend() -> None:
    """One entry of the history for each thing that a reader does, and toasts with a name."""
    with st.container(key="mends"):
        _mends(key="in-browser")
