"""Test examples on which the recipes say different things."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import streamlit as st

from compare.selection import Group, Selection
from layout import plain
from workbench.analysis.disagreements import Answer, Example, disagreements, examples_of, pairs_of
from workbench.analysis.predictions import aligned_answers, kind_of, score_word
from workbench.analysis.tables import pair_table
from workbench.formatting import ABSENT, score

ON_A_PAGE = 10
LONGEST_TEXT = 420
SHORT_ANSWER = 40
"""Characters up to which answers stand beside each other."""


def show(selection: Selection, group: Group) -> None:
    """Who is right how often, then the examples one by one, furthest apart first."""
    kind = kind_of(group.samples[0])
    answers = aligned_answers(group.samples)
    if len(answers) < 2:
        st.caption("It takes two recipes whose runs kept their answers.")
        return
    number = group.number
    chosen = st.multiselect(
        "Between", list(answers), default=list(answers),
        key=f"between-{number}", bind="query-params", format_func=plain,
    )  # fmt: skip
    if len(chosen) < 2:
        st.caption("Choose two recipes or more.")
        return
    examples = examples_of(kind, {label: answers[label] for label in chosen})
    apart = disagreements(kind, examples)
    table = pair_table(pairs_of(kind, examples))
    if table.lines:
        names = [name for name, _ in table.headers]
        lines = [[line[0].text, *(cell.value for cell in line[1:])] for line in table.lines]
        st.dataframe(pd.DataFrame(lines, columns=names), hide_index=True, height="content")
        st.caption("Test examples by who is right, with more than half of the seeds of a recipe.")
    labels = sorted({example.label for example in apart})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input("Text contains", key=f"find-{number}", bind="query-params", width=260)
        right = None
        if 1 < len(labels) <= 50:
            right = st.selectbox(
                "Right answer", labels, index=None, key=f"right-{number}", bind="query-params",
                placeholder="any", width=220,
            )  # fmt: skip
    found = [e for e in apart if _matches(e, words, right)]
    st.caption(
        f"They say different things to {len(apart)} of {len(examples)} test examples"
        + (f"; {len(found)} match." if len(found) < len(apart) else ".")
        + f" Numbers beside a recipe: {score_word(kind)}, mean over seeds."
    )
    pages = max(1, -(-len(found) // ON_A_PAGE))
    page = 1
    if pages > 1:
        page = int(
            st.number_input(
                f"Page of {pages}", 1, pages, key=f"page-{number}", bind="query-params", width=140
            )
        )
    for example in found[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]:
        _example(example)


def _matches(example: Example, words: str, right: str | None) -> bool:
    text = f"{example.text} {example.pair or ''} {example.id}".lower()
    return words.lower() in text and right in (None, example.label)


def _example(example: Example) -> None:
    with st.container(border=True, gap="xsmall"):
        st.caption(plain(f"{example.id} · right: {example.label or ABSENT}"))
        for text in (example.text, example.pair or ""):
            _text(text)
        answers = example.answers.items()
        if max(len(answer.text) for _, answer in answers) <= SHORT_ANSWER:
            with st.container(horizontal=True, gap="medium"):
                for name, answer in answers:
                    with st.container(gap="xxsmall", width=200):
                        st.caption(plain(f"{name}{_votes(answer)}"))
                        st.badge(plain(answer.text or ABSENT), color=_color(answer))
        else:
            for name, answer in answers:
                st.caption(plain(f"{name}{_votes(answer)}"))
                st.text(answer.text or ABSENT)


def _text(text: str) -> None:
    """A text of the data, the beginning of a long one; its line breaks would take a page."""
    line = " ".join(text.split())
    if line:
        st.text(line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}…")
    if len(line) > LONGEST_TEXT:
        with st.expander("The whole text"):
            st.text(text)


def _votes(answer: Answer) -> str:
    """How far the seeds of a recipe agree, and its mean score."""
    words = [] if answer.decided else ["undecided"]
    if answer.right is not None and 0 < answer.right < answer.seeds:
        words.append(f"{answer.right} of {answer.seeds} seeds right")
    elif answer.decided and answer.agreeing < answer.seeds:
        words.append(f"{answer.agreeing} of {answer.seeds} seeds say so")
    if answer.score is not None:
        words.append(score(answer.score))
    return f" · {', '.join(words)}" if words else ""


def _color(answer: Answer) -> Literal["green", "red", "orange", "gray"]:
    if answer.right is None:
        return "gray"
    return "green" if answer.right == answer.seeds else "orange" if answer.right else "red"
