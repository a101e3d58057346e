"""Scores side by side, and the conclusions from them."""

from typing import Literal

import streamlit as st

from compare.draw import show_table
from compare.selection import Selection
from layout import plain
from workbench.analysis.group import Analysis
from workbench.comparison.against_reference import reference_sentences
from workbench.comparison.answer import answer
from workbench.comparison.schema import Conclusion
from workbench.comparison.sentences import details
from workbench.comparison.table import comparison_table

Color = Literal["green", "red", "gray", "orange", "blue"]
BADGES: dict[Conclusion, tuple[str, Color]] = {
    "better": ("better", "green"),
    "worse": ("worse", "red"),
    "same": ("equivalent", "blue"),
    "run_better": ("one run each", "gray"),
    "run_worse": ("one run each", "gray"),
    "run_same": ("one run each", "gray"),
    "hint": ("may differ", "orange"),
    "unclear": ("not significant", "gray"),
    "trivial": ("nothing learned", "red"),
    "untested": ("not tested", "gray"),
}


def answer_box(selection: Selection, analysis: Analysis) -> None:
    with st.container(border=True):
        st.text(answer(analysis.group, selection.comparison.warnings)["text"])


def show(selection: Selection, analysis: Analysis) -> None:
    group, shown = analysis.group, set(analysis.labels)
    if not selection.answered:
        answer_box(selection, analysis)
    show_table(comparison_table(group, pareto=True))
    found = [v for v in group.verdicts if {v["label"], v["against"]} <= shown]
    references = reference_sentences(group)
    notes = selection.comparison.verdict_notes
    if not (found or references) and (selection.comparison.verdicts or not notes):
        return  # the notes are about the groups that were tested, or say why none was
    st.subheader("Conclusions", anchor=False)
    with st.container(gap="xsmall"):
        for verdict in found:
            word, color = BADGES[verdict["conclusion"]]
            left, right = st.columns([1, 8.5], gap="small")
            left.badge(word, color=color)
            right.text(verdict["sentence"])
        for text in references:
            st.text(text)
        for note in notes:
            st.caption(plain(note))
    if found:
        with st.expander("What they rest on"):
            for text in details(group):
                st.text(text)
