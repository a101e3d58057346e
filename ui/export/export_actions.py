"""Ways out for an adapter besides the zip: merged into plain weights, or onto the Hub."""

import os
import secrets
import tempfile
from pathlib import Path

import streamlit as st

from export import hub_login
from layout import errors_shown, runs_dir
from run_cli import ask
from workbench.errors import UsageError
from workbench.recipe.sources import is_hub_id
from workbench.store import Run

TOKEN = "HF_TOKEN"


def show(run: Run, card: str | None) -> None:
    with st.expander("Merge into plain weights", icon=":material/merge:"):
        _merge(run, card)
    with st.expander("Push to the Hub", icon=":material/cloud_upload:"):
        _push(run, card)


def exports_dir() -> Path:
    """Where exported folders go: beside the runs."""
    return runs_dir().parent / "exports"


def _merge(run: Run, card: str | None) -> None:
    st.caption(
        "Writes the whole model with the adapter merged in: serves without PEFT. Verified by a "
        "plain load. Virtual tokens cannot be merged."
    )
    if not st.button("Merge", key="merge", width="stretch"):
        return
    target = exports_dir() / f"{run.path.name}-merged-{secrets.token_hex(3)}"
    with errors_shown():
        with st.spinner("Merging and checking"):
            _export(run, target, card, "--merge")
        words = "Merged and verified: the model reproduces the run's outputs."
        st.success(words, icon=":material/verified:")
        st.code(str(target), language=None, wrap_lines=True)


def _push(run: Run, card: str | None) -> None:
    st.caption(
        "Uploads a verified copy to a repository, private if it is new. A token of the form is "
        "passed to the uploading process only and stored nowhere."
    )
    hub_login.show()
    with st.form("push", border=False, clear_on_submit=True):
        repository = st.text_input("Repository", placeholder="me/my-adapter", max_chars=96)
        there = bool(os.environ.get(TOKEN))
        token = st.text_input(
            "Token",
            type="password",
            autocomplete="off",
            placeholder=f"{TOKEN} of the environment" if there else "hf_…",
            help="For this upload alone. Empty: the one of the login above or the environment.",
        )
        pressed = st.form_submit_button("Push", key="push-now", width="stretch")
    if pressed:
        with errors_shown():
            address = push(run, card, repository.strip(), token.strip())
            st.success("Uploaded.", icon=":material/check:")
            st.code(address, language=None, wrap_lines=True)


def push(run: Run, card: str | None, repository: str, token: str) -> str:
    """Uploads a run's adapter; returns the address.

    Raises:
        WorkbenchError: when the name is none, or with what the upload said, without the token.
    """
    if "/" not in repository or not is_hub_id(repository):
        what = f"{repository[:96]!r} is not a Hub repository"
        raise UsageError(what, fix="owner/name, e.g. me/my-adapter")
    with (
        tempfile.TemporaryDirectory(prefix="workbench-push-") as folder,
        st.spinner("Checking and uploading"),
    ):
        target = Path(folder) / "adapter"
        done = _export(run, target, card, "--push", repository, token=token)
    return str(done.get("pushed") or "")


def _export(
    run: Run, target: Path, card: str | None, *options: str, token: str = ""
) -> dict[str, object]:
    arguments: list[str | Path] = ["export", run.path, "--output", target, *options]
    environment = {TOKEN: token} if token else {}
    if card is None:
        return ask(arguments, environment=environment)
    with tempfile.TemporaryDirectory(prefix="workbench-card-") as folder:
        file = Path(folder) / "card.md"
        file.write_text(card, encoding="utf-8")
        return ask([*arguments, "--card", file], environment=environment)
