"""Export: the adapter of a finished run, with the proof that it loads and its model card."""

from __future__ import annotations

import shlex
from pathlib import Path

import streamlit as st

from archives import adapter_files, adapter_zip
from records import finite, part
from shell import empty, facts, heading, plain, runs_dir
from workbench.comparison.units import size
from workbench.store import Run, list_runs

CARD_BYTES = 200_000


def page() -> None:
    """The view: choose a run, see what its adapter is, take it away."""
    heading("Export", "The adapter of a finished run: plain PEFT files and a model card.")
    finished = {run.id: run for run in list_runs(runs_dir()) if run.state == "finished"}
    with_adapter = {name: run for name, run in finished.items() if run.adapter.is_dir()}
    if not with_adapter:
        hint = "Finish a run first." if not finished else "No finished run has an adapter folder."
        empty("Nothing to export yet", hint)
        return
    left, right = st.columns([1, 1.6], gap="large")
    with left:
        name = st.selectbox("Run", list(with_adapter), key="run", bind="query-params")
        run = with_adapter[name or next(iter(with_adapter))]
        _check(run)
        _files(run)
        _use(run)
    with right:
        st.subheader("Model card", anchor=False)
        st.code(_card(run), language="markdown", wrap_lines=True, height=640)


def _check(run: Run) -> None:
    export = part(run.result, "export")
    gap, examples = export.get("max_logit_difference"), export.get("examples")
    if export.get("checked") is True:
        words = "Reloaded with plain transformers and PEFT in a fresh process"
        if finite(gap) and finite(examples):
            words += f": {examples} examples, outputs differ by at most {gap:.1e}"
        st.success(plain(words + "."), icon=":material/verified:")
    else:
        st.warning("This adapter was not checked by reloading it.", icon=":material/warning:")
    facts(
        [
            ("kind", export.get("kind")),
            ("task", run.result.get("task")),
            ("model", run.result.get("model")),
            ("method", run.result.get("method")),
        ]
    )


def _files(run: Run) -> None:
    st.subheader("Files", anchor=False)
    files = adapter_files(run.adapter)
    st.dataframe(
        [
            {"file": str(path.relative_to(run.adapter)), "size": size(path.stat().st_size)}
            for path in files
        ],
        hide_index=True,
        width="stretch",
    )
    st.download_button(
        "Download as zip",
        lambda: adapter_zip(run.adapter),
        file_name=f"{run.path.parent.name}-{run.path.name}.zip",
        mime="application/zip",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
        disabled=not files,
        key="zip",
    )


def _use(run: Run) -> None:
    st.subheader("From a terminal", anchor=False)
    command = ["workbench", "export", run.id, "--to", f"exports/{run.path.name}"]
    if runs_dir() != Path("runs").absolute():
        command += ["--runs", str(runs_dir())]
    st.code(shlex.join(command), language=None, wrap_lines=True)


def _card(run: Run) -> str:
    try:
        with open(run.adapter / "README.md", "rb") as file:
            return file.read(CARD_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return "(no model card)"


page()
