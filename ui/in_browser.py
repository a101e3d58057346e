"""What runs in the browser on every page: mends of Streamlit's own page."""

import streamlit as st

# Streamlit makes an entry of the history for each change of the address that the server sends:
# leaving a page takes its values out, entering one changes the path and puts the values of its last
# visit in. Back would stop at each of them, so what comes without anything done since the last
# entry changes that entry instead.
_ONE_ENTRY_EACH = """
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
"""
# A toast is a dialog that names itself after an element that is not there.
_NAMED_TOASTS = """
    new MutationObserver(() => {
        for (const toast of document.querySelectorAll("[data-testid=stToast][aria-labelledby]")) {
            toast.setAttribute("aria-label", toast.innerText);
            toast.removeAttribute("aria-labelledby");
        }
    }).observe(document.body, { childList: true, subtree: true });
"""
_mends = st.components.v2.component(
    "mends",
    css="""
    [data-testid="stLayoutWrapper"]:has(> .st-key-mends) {
        display: none;
    }
    """,
    js=f"""
    export default function () {{
        if (window.mended) return;
        window.mended = true;
        {_ONE_ENTRY_EACH}
        {_NAMED_TOASTS}
    }}
    """,
    isolate_styles=False,
)


def mend() -> None:
    """One entry of the history for each thing that a reader does, and toasts with a name."""
    with st.container(key="mends"):
        _mends(key="in-browser")
