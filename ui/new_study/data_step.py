"""The data of a new study: an upload, a file of this machine, or what is embedded."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from layout import errors_shown, plain
from new_study import address
from workbench.assets import ASSETS
from workbench.cli.ui_server import LARGEST_UPLOAD_MB
from workbench.data.preview import Preview
from workbench.errors import StorageError, UsageError
from workbench.recipe.sources import ASSET_PREFIX, TABLE_SUFFIXES

SUFFIXES = (*TABLE_SUFFIXES, ".zip")
SHOWN_ROWS = 100
LONGEST_CELL = 300


def choose() -> str:
    """The boxes; what is chosen, empty where nothing is."""
    left, right = st.columns(2, gap="large")
    upload = left.file_uploader(
        "Upload your data", type=list(SUFFIXES), max_upload_size=LARGEST_UPLOAD_MB
    )
    if upload is not None and st.session_state.get("kept") != upload.file_id:
        with errors_shown():
            address.put_data(str(keep(upload)))
            st.session_state["kept"] = upload.file_id
    known = [f"{ASSET_PREFIX}{name}" for name, asset in ASSETS.items() if asset.kind == "data"]
    known += sorted(str(path) for path in address.data_folder().glob("[!.]*"))
    asked = address.source("data")
    options = list(dict.fromkeys([*([asked] if asked else []), *known]))
    chosen = right.selectbox(
        "or data on the machine that serves this page",
        options,
        index=0 if asked else None,
        key=f"data:{asked}",
        placeholder="a file, a folder, embedded data or a Hub id",
        accept_new_options=True,
    )
    if chosen and chosen != asked:
        address.put_data(chosen.strip())
    return address.source("data")


def keep(upload: Any) -> Path:
    """The upload as a file of the data folder, named after itself and its content.

    Raises:
        WorkbenchError: no data by its name, or it cannot be written.
    """
    content = upload.getbuffer()
    stem, _, suffix = re.split(r"[/\\]", upload.name)[-1].rpartition(".")
    suffix = f".{suffix.lower()}"
    if suffix not in SUFFIXES:  # the browser offers no other, but others may ask
        raise UsageError(f"a {suffix[:20]} file", fix=f"one of {', '.join(SUFFIXES)}")
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:60] or "data"
    folder = address.data_folder()
    path = folder / f"{stem}-{hashlib.sha256(content).hexdigest()[:8]}{suffix}"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            temporary.write_bytes(content)
            os.replace(temporary, path)
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)
    return path


def show(found: Preview) -> None:
    """The first rows."""
    sizes = ", ".join(f"{role} {size:,}" for role, size in found.sizes.items())
    rows = f"{len(found.ids):,} rows" + (f": {sizes}" if len(found.sizes) > 1 else "")
    st.caption(plain(f"{rows}. The first {min(SHOWN_ROWS, len(found.ids))}:"))
    columns = {
        name: [_cell(value) for value in values[:SHOWN_ROWS]]
        for name, values in found.columns.items()
    }
    st.dataframe(pd.DataFrame(columns), height=240, hide_index=True)


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…"
