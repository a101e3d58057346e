"""Importing a foreign adapter: preview, confirmed base model, checks."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import streamlit as st

from layout import errors_shown, facts, show_error
from playground.adapters import imported_dir
from run_cli import ask
from workbench.cli.ui_server import LARGEST_UPLOAD_MB
from workbench.errors import UsageError
from workbench.formatting import size
from workbench.recipe.schema import check_name


def show() -> None:
    left, right = st.columns([1, 1.2], gap="large")
    with left:
        st.caption(
            "Safetensors only; no code of it is run. Its header, shapes and head are checked "
            "against a base model that is on this machine already."
        )
        upload = st.file_uploader("A zip", type=["zip"], max_upload_size=LARGEST_UPLOAD_MB)
        path = st.text_input(
            "or a folder or zip of any size on the machine that serves this page",
            key="from",
            placeholder="downloads/their-adapter",
            disabled=upload is not None,
        )
        base = st.text_input(
            "Base model",
            key="base",
            placeholder="as declared by the adapter",
            help="A folder, a Hub id or asset:NAME, if the adapter names another one or none.",
        )
        labels = st.text_input(
            "Labels", key="labels", placeholder="business, sport", help="If it has none."
        )
    with right:
        if upload is None and not path.strip():
            st.caption("A preview appears here before anything is imported.")
            return
        try:
            with errors_shown(), _source(upload, path) as source:
                _proposal(source, base.strip(), labels)
        except (OSError, ValueError, RuntimeError) as error:  # what cannot be a path at all
            show_error(UsageError(str(error), where=path[:200]))


@contextmanager
def _source(upload: Any, path: str) -> Iterator[Path]:
    """The file or folder to read. Of an upload only the bytes are used, never its name."""
    if upload is None:
        yield Path(path.strip()).expanduser()
        return
    with tempfile.TemporaryDirectory(prefix="workbench-upload-") as folder:
        file = Path(folder) / "adapter.zip"
        file.write_bytes(upload.getbuffer())
        yield file


def _proposal(source: Path, base: str, labels: str) -> None:
    # Not at the top: only this tab needs it.
    from workbench.adapters.foreign import propose

    proposal = propose(source, base=base or None)
    declared = proposal.named_base
    st.subheader("Preview", anchor=False)
    facts(
        [
            ("method", proposal.method),
            ("task", proposal.task),
            ("weights", f"{proposal.tensors:,} tensors, {size(proposal.weight_bytes)}"),
            ("base model", proposal.base),
            ("revision", proposal.revision),
            ("base found in", proposal.base_folder),
            ("declared base", declared if declared != proposal.base else None),
        ]
    )
    with st.form("import", border=False):
        name = st.text_input("Name", "their-adapter", max_chars=80)
        sure = st.checkbox("This is the right base model", key="base-confirmed")
        pressed = st.form_submit_button("Import", type="primary", key="import-now")
    if pressed and not sure:
        raise UsageError(
            "the base model has to be confirmed",
            why="an adapter only names its base model, and is useless on another one",
            fix="check the box if the base above is right",
        )
    if pressed:
        _take(source, name.strip(), base, labels)


def _take(source: Path, name: str, base: str, labels: str) -> None:
    check_name(name, where="name")
    target = imported_dir() / name
    options = ["--base", base] if base else []
    for label in filter(None, (each.strip() for each in labels.split(","))):
        options += ["--label", label]
    with st.spinner("Checking it against its base"):
        ask(["import", source, "--output", target, "--yes", *options])
    st.success("Imported. The adapter matches its base model.", icon=":material/verified:")
    st.code(str(target), language=None, wrap_lines=True)
    st.caption("Use it with `workbench predict FOLDER`, or as `init_from` of a recipe.")
