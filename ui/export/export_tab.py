"""The adapter of a finished run: is it right, what it says of itself, how it leaves."""

import shlex
from pathlib import Path

import streamlit as st

from export import export_actions
from export.archives import CARD, adapter_files, adapter_zip
from layout import empty, facts, plain, right_aligned, runs_dir, say_unknown
from workbench.analysis.records import finite, get_section
from workbench.formatting import size
from workbench.store import Run, list_runs, open_regular

CARD_BYTES = 200_000


def show() -> None:
    finished = {run.id: run for run in list_runs(runs_dir()) if run.state == "finished"}
    with_adapter = {name: run for name, run in finished.items() if run.adapter.is_dir()}
    if not with_adapter:
        hint = "Finish a run first." if not finished else "No finished run has an adapter folder."
        empty("Nothing to export yet", hint)
        return
    left, right = st.columns([1, 1.6], gap="large")
    with left:
        say_unknown("run", with_adapter, "run")
        name = st.selectbox("Run", list(with_adapter), key="run", bind="query-params")
        run = with_adapter[name or next(iter(with_adapter))]
        _check(run)
    with right:
        card = _card(run)
    with left:
        _files(run, card)
        export_actions.show(run, card)
        st.subheader("From a terminal", anchor=False)
        command = ["workbench", "export", run.id, "--output", f"exports/{run.path.name}"]
        if runs_dir() != Path("runs").absolute():
            command += ["--runs", str(runs_dir())]
        st.code(shlex.join(command), language=None, wrap_lines=True)


def _check(run: Run) -> None:
    export = get_section(run.result, "export")
    gap, examples = export.get("max_logit_difference"), export.get("examples")
    if export.get("checked") is True:
        words = "Reloaded with plain transformers and PEFT in a fresh process"
        if finite(gap) and finite(examples):
            words += f": {examples} examples, outputs differ by at most {gap:.1e}"
        st.success(plain(words + "."), icon=":material/verified:")
    else:
        st.warning("This adapter was not verified by reloading it.", icon=":material/warning:")
    about = [(key, run.result.get(key)) for key in ("task", "model", "method")]
    facts(about)


def _files(run: Run, card: str | None) -> None:
    st.subheader("Files", anchor=False)
    files = adapter_files(run.adapter)
    rows = [
        {"file": str(path.relative_to(run.adapter)), "size": size(path.stat().st_size)}
        for path in files
    ]
    st.dataframe(rows, hide_index=True, column_config=right_aligned(["size"]))
    st.download_button(
        "Download as zip",
        lambda: adapter_zip(run.adapter, card),
        f"{run.path.parent.name}-{run.path.name}.zip",
        "application/zip",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
        disabled=not files,
        key="zip",
    )


def _card(run: Run) -> str | None:
    """Shows the model card, or lets it be changed; the text that leaves, None for the run's own."""
    written = _read(run)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Model card", anchor=False, width="stretch")
        edit = st.toggle("Edit", key="edit", bind="query-params")
    if not edit:
        st.code(written or "(no model card)", language=None, wrap_lines=True, height=640)
        return None
    typed = st.text_area(
        "Model card",
        written,
        height=600,
        key=f"card:{run.id}",
        label_visibility="collapsed",
        max_chars=CARD_BYTES,
    )
    if typed == written:
        st.caption("Edits go into the exported copies; the run keeps its own card.")
        return None
    st.caption("Changed: the zip, a merged model and an upload use this text.")
    return typed


def _read(run: Run) -> str:
    try:
        with open_regular(run.adapter / CARD) as file:
            return file.read(CARD_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""
