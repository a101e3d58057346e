"""Test examples on which the recipes disagree."""

from functools import partial
from typing import Literal

import streamlit as st

from cards import card
from compare.draw import show_table
from compare.selection import Selection
from layout import plain
from workbench.analysis.disagreements import Answer, Example, disagreements, examples_of, pairs_of
from workbench.analysis.group import Analysis
from workbench.analysis.tables import pair_table
from workbench.formatting import ABSENT, score, shortened

FEW = 5
"""Recipes that are chosen before somebody chooses."""
ON_A_PAGE = 10
LONGEST_TEXT = 420
SHORT_ANSWER = 40
"""Characters up to which answers stand beside each other."""
_COLORS: dict[str | None, Literal["green", "red", "orange", "gray"]] = {
    "right": "green",
    "wrong": "red",
    "mixed": "orange",
    None: "gray",
}


def show(selection: Selection, analysis: Analysis) -> None:
    """Who is right how often, then the examples one by one, furthest apart first."""
    kind, found, number = analysis.kind, analysis.predictions, analysis.number
    if len(found) < 2:
        st.caption("Needs at least two recipes with saved predictions.")
        return
    chosen = _chosen(analysis)
    if len(chosen) < 2:
        st.caption("Choose two recipes or more.")
        return
    if len(chosen) == len(found):
        examples, apart, pairs = analysis.examples, analysis.disagreements, analysis.pairs
    else:
        examples = examples_of(kind, {label: found[label] for label in chosen})
        apart, pairs = disagreements(kind, examples), pairs_of(kind, examples)
    if pairs:
        show_table(table := pair_table(pairs))
        st.caption(f"{table.title}.")
    labels = sorted({example.label for example in apart})
    row = st.container(horizontal=True, vertical_alignment="bottom")
    with row:
        words = st.text_input("Text contains", key=f"find-{number}", bind="query-params", width=260)
        right = None
        if 1 < len(labels) <= 50:
            right = st.selectbox(
                "Right answer", labels, index=None, key=f"right-{number}", bind="query-params",
                placeholder="any", width=220,
            )  # fmt: skip
    matching = [
        e
        for e in apart
        if words.lower() in f"{e.text} {e.pair or ''} {e.id}".lower() and right in (None, e.label)
    ]
    st.caption(
        f"They disagree on {len(apart)} of {len(examples)} test examples"
        + (f"; {len(matching)} match." if len(matching) < len(apart) else ".")
        + f" Numbers beside a recipe: {analysis.score_word}, mean over seeds."
    )
    pages = max(1, -(-len(matching) // ON_A_PAGE))
    page = 1
    if pages > 1:
        label, key = f"Page, of {pages}", f"page-{number}"
        page = int(row.number_input(label, 1, pages, key=key, bind="query-params", width=140))
    for place, example in enumerate(matching[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]):
        with card(f"example-{number}-{place}", gap="xsmall"):
            _example(example)


def _chosen(analysis: Analysis) -> list[str]:
    """The recipes that somebody has chosen: at first a few, and all of them with one click."""
    everything, key = list(analysis.predictions), f"between-{analysis.number}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen: list[str] = st.multiselect(
            "Recipes", everything, default=first_chosen(analysis), key=key, bind="query-params",
            format_func=shortened,
        )  # fmt: skip
        if len(chosen) < len(everything):
            all_of_them = partial(st.session_state.__setitem__, key, everything)
            st.button(f"All {len(everything)}", f"all-{key}", on_click=all_of_them)
    return chosen


def first_chosen(analysis: Analysis) -> list[str]:
    """All of a few recipes; of more the best of each method, as long as that is a few."""
    found = [label for label in analysis.labels if label in analysis.predictions]
    if len(found) <= FEW:
        return list(analysis.predictions)
    best = {analysis.methods[label]: label for label in reversed(found)}.values()
    chosen = [label for label in found if label in best]
    return chosen[:FEW] if len(chosen) > 1 else found[:2]


def _example(example: Example) -> None:
    texts = [text for text in (example.text, example.pair or "") if text.strip()]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(plain(f"{example.id} · right: {example.label or ABSENT}"), width="stretch")
        if any(len(_line(text)) > LONGEST_TEXT for text in texts):
            with st.popover("Whole text", type="tertiary", width="content"):
                for text in texts:
                    st.text(text)
    for line in map(_line, texts):
        st.text(line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}…")
    answers = example.answers.items()
    if max(len(answer.text) for _, answer in answers) <= SHORT_ANSWER:
        with st.container(horizontal=True, gap="medium"):
            for name, answer in answers:
                with st.container(gap="xxsmall", width=200):
                    st.caption(plain(f"{name}{_notes(answer)}"))
                    st.badge(plain(answer.text or ABSENT), color=_COLORS[answer.outcome])
    else:
        for name, answer in answers:
            st.caption(plain(f"{name}{_notes(answer)}"))
            st.text(answer.text or ABSENT)


def _line(text: str) -> str:
    """A text of the data without its line breaks, which would take a page."""
    return " ".join(text.split())


def _notes(answer: Answer) -> str:
    """How far the seeds of a recipe agree, and its mean score."""
    words = answer.notes + ([score(answer.score)] if answer.score is not None else [])
    return f" · {', '.join(words)}" if words else ""
