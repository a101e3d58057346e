"""What a run answers to each example of the test split."""

import pandas as pd
import streamlit as st

from workbench.analysis.predictions import Predictions, kind_of_run, read_predictions
from workbench.comparison.formats import csv_text
from workbench.formatting import plural
from workbench.recipe.catalogue import MULTI, SINGLE, SPANS, TAGS
from workbench.recipe.squad import same_answer
from workbench.store import Run

MOST = 1000
"""Rows that the page gets; the csv has all."""
JUDGED = (SINGLE, MULTI, TAGS, SPANS)


def show(run: Run) -> None:
    """The table of examples: all, or those answered otherwise than the label says."""
    found = read_predictions(run)
    if found is None:
        reason = "its predictions cannot be read" if run.state == "finished" else "not tested yet"
        st.caption(f"No examples to show: {reason}.")
        return
    frame = _frame(found)
    judged = kind_of_run(run) in JUDGED
    if judged:
        spans = kind_of_run(run) == SPANS
        pairs = zip(found.labels, found.predictions, strict=True)
        frame["right"] = [_right(label, said, spans=spans) for label, said in pairs]
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    words = right.text_input("Text contains", key="text", bind="query-params", width=320)
    if judged and left.toggle("Only errors", key="errors", bind="query-params"):
        frame = frame[~frame["right"]]
    if words.strip():
        frame = frame[frame["text"].str.contains(words.strip(), case=False, regex=False)]
    some = f", the first {MOST} of them here" if len(frame) > MOST else ""
    st.caption(f"{plural(len(frame), 'example')} of {len(found.ids)}{some}.")
    st.dataframe(frame.head(MOST), hide_index=True, key="examples")


def predictions_csv(run: Run) -> bytes:
    """The same rows as a file for a spreadsheet."""
    found = read_predictions(run)
    rows = [] if found is None else _frame(found).to_dict("records")
    return csv_text([{str(key): value for key, value in row.items()} for row in rows]).encode()


def _frame(found: Predictions) -> pd.DataFrame:
    pairs = {} if found.pairs is None else {"second text": found.pairs}
    scores = {} if all(score is None for score in found.scores) else {"score": found.scores}
    columns = {"id": found.ids, "text": found.texts, **pairs, "label": found.labels}
    return pd.DataFrame({**columns, "prediction": found.predictions, **scores})


def _right(label: str, said: str, *, spans: bool) -> bool:
    return same_answer(label.split(" | "), said) if spans else label.strip() == said.strip()
