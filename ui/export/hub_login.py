"""The login to the Hub of whoever runs this server, in huggingface_hub's own store."""

import os

import streamlit as st
from huggingface_hub import get_token, login, logout, whoami

from layout import action_button, errors_shown
from workbench.errors import WorkbenchError
from workbench.redact import without_secrets

NAME = "hub-name"
"""Under which this page keeps who is logged in, once the Hub has said so."""


class NotLoggedIn(WorkbenchError):
    """What the Hub, or the way to it, said of a token."""

    kind = "login"


def show() -> None:
    """Whether there is a login, and the form that makes one or ends it."""
    if get_token() is None:
        _form()
        return
    name = st.session_state.get(NAME)
    said = f"Logged in to the Hub as {name}." if name else "There is a token for the Hub."
    st.text(said)
    with st.container(horizontal=True):
        if not name:
            action_button(st, "Who am I?", "hub-whoami", _ask)
        if _is_of_the_environment():
            st.caption("It comes from the environment of this server.")
        else:
            action_button(st, "Log out", "hub-logout", _leave)


def _form() -> None:
    st.text("Not logged in to the Hub.")
    with st.form("hub-login", border=False, clear_on_submit=True):
        token = st.text_input(
            "Token to log in with",
            type="password",
            autocomplete="off",
            placeholder="hf_…",
            help="Kept by huggingface_hub for the account that runs this server, as "
            "`hf auth login` does; no page, address, log or record has it.",
        )
        if st.form_submit_button("Log in", key="hub-login-now") and token.strip():
            with errors_shown():
                enter(token.strip())
                st.rerun()


def enter(token: str) -> None:
    """Asks the Hub whose token it is, and keeps it.

    Raises:
        NotLoggedIn: with what was said, without the token.
    """
    try:
        st.session_state[NAME] = str(whoami(token).get("name"))
        login(token=token, add_to_git_credential=False, skip_if_logged_in=False)
    except Exception as error:  # of the connection, of the Hub, or of a token that is none
        st.session_state.pop(NAME, None)
        raise _in_words(error, token) from None


def _ask() -> None:
    try:
        st.session_state[NAME] = str(whoami().get("name"))
    except Exception as error:
        raise _in_words(error, get_token() or "") from None


def _leave() -> None:
    st.session_state.pop(NAME, None)
    logout()


def _is_of_the_environment() -> bool:
    return any(os.environ.get(name) for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"))


def _in_words(error: Exception, token: str) -> NotLoggedIn:
    said = " ".join(str(error).split())[:400]
    said = without_secrets(said.replace(token, "***") if token else said)
    return NotLoggedIn(
        "the Hub could not say whose token this is",
        why=said or type(error).__name__,
        fix="check the token and the connection; https://huggingface.co/settings/tokens has yours",
    )
