"""A file of texts asked at once: a row for each text, a column for each adapter."""

from typing import Any

import pandas as pd
import streamlit as st

from layout import errors_shown, plain
from playground import playground_client
from playground.adapters import Adapter, takes_a_second_text
from playground.answer_cards import confidence, near_tie

MOST = 100
"""Texts of a file that are asked; `workbench predict --file` takes any number."""
LARGEST_MB = 2
_SHOWN = 120


def read_file() -> list[tuple[str, str]]:
    """The texts of a file that somebody gives, each with its second one; none before that."""
    file = st.file_uploader(
        "A text file, one text a line; with a tab before a second text or question",
        type=["txt", "tsv"],
        key="playground-file",
        max_upload_size=LARGEST_MB,
    )
    if file is None:
        return []
    try:
        lines = file.getvalue().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        st.error(f"Not UTF-8: byte 0x{byte:02x} at {error.start}. Save the file as UTF-8.")
        return []
    texts = [line.partition("\t") for line in lines if line.strip()]
    if not texts:
        st.error("There is no text in this file.")
    if len(texts) > MOST:
        st.caption(
            f"The first {MOST} of {len(texts):,} texts; `workbench predict --file` takes them all."
        )
    return [(text, second) for text, _, second in texts[:MOST]]


def show(adapters: list[Adapter], texts: list[tuple[str, str]]) -> tuple[str, str] | None:
    """Asks everything, and returns the text whose row is selected."""
    with errors_shown():
        return _table(adapters, _answers(adapters, texts), texts)
    return None


def _answers(adapters: list[Adapter], texts: list[tuple[str, str]]) -> list[list[dict[str, Any]]]:
    bar = st.progress(0.0, "Asking …")
    rows: list[list[dict[str, Any]]] = [[] for _ in texts]
    for number, adapter in enumerate(adapters):
        takes_two = takes_a_second_text(adapter)
        for at, (text, second) in enumerate(texts):
            rows[at].append(
                playground_client.answer(adapter, text, second or None if takes_two else None)
            )
            done = (number * len(texts) + at + 1) / (len(texts) * len(adapters))
            bar.progress(done, plain(f"{adapter.name}: {at + 1} of {len(texts)}"))
    bar.empty()
    return rows


def _table(
    adapters: list[Adapter], rows: list[list[dict[str, Any]]], texts: list[tuple[str, str]]
) -> tuple[str, str] | None:
    table, differ = [], 0
    for (text, _), answers in zip(texts, rows, strict=True):
        agree = len({answer["prediction"] for answer in answers}) == 1
        differ += not agree
        row = {"text": text[:_SHOWN]}
        row |= {"agree": "yes" if agree else "no"} if len(adapters) > 1 else {}
        for adapter, answer in zip(adapters, answers, strict=True):
            sure = f"{confidence(answer['score'])}{near_tie(answer)}"
            row[adapter.key] = f"{answer['prediction']} ({sure})"
        table.append(row)
    if len(adapters) > 1:
        st.caption(
            f"The adapters disagree on {differ} of {len(table)} texts. Select one to see why."
        )
    chosen = st.dataframe(
        pd.DataFrame(table),
        key="playground-table",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
    )
    picked = chosen.selection.rows
    return texts[picked[0]] if picked and picked[0] < len(texts) else None
