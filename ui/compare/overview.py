"""The answer, the score against its cost, the table, and the verdict on each pair."""

import streamlit as st

from cards import card
from compare.draw import show_table
from compare.figures import show_figures
from compare.selection import Selection
from layout import plain
from workbench.analysis.group import Analysis
from workbench.analysis.tables import verdict_table
from workbench.charts.scores import FIGURE as LEAD
from workbench.comparison.against_reference import reference_sentences
from workbench.comparison.answer import answer
from workbench.comparison.sentences import conclusions, details
from workbench.comparison.table import comparison_table


def answer_box(selection: Selection, analysis: Analysis) -> None:
    with card(f"answer-{analysis.number}"):
        st.text(answer(analysis.group, selection.comparison.warnings)["text"])


def show(selection: Selection, analysis: Analysis) -> None:
    group, shown = analysis.group, set(analysis.labels)
    if not selection.answered:
        answer_box(selection, analysis)
    show_figures([LEAD], analysis)
    show_table(comparison_table(group, pareto=True, wide=True))
    found = [v for v in group.verdicts if {v["label"], v["against"]} <= shown]
    references = reference_sentences(group)
    notes = selection.comparison.verdict_notes
    if not (found or references) and (selection.comparison.verdicts or not notes):
        return  # the notes are about the groups that were tested, or say why none was
    st.subheader("Conclusions", anchor=False)
    if found:
        show_table(verdict_table(found))
    for text in references:
        st.text(f"{text[0].upper()}{text[1:]}.")
    for note in notes:
        st.caption(plain(f"{note[0].upper()}{note[1:]}."))
    if found:
        with st.expander("In full sentences, and what they rest on"):
            for said in conclusions(group)[: len(found)]:
                st.text(said.sentence)
            for text in details(group):
                st.text(text)
