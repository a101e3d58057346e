"""What the playground is asked: the adapters, and a text or a file of texts."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import streamlit as st

from layout import plain
from playground import text_table
from playground.adapters import Adapter, examples_of, imported_dir, takes_a_second_text

MOST = 6  # adapters asked at once: more do not fit on a screen side by side
LONGEST = 20_000
TEXT, SECOND = "playground-text", "playground-second"
_EXAMPLE = "playground-example"
ONE, FILE = "One text", "A file of texts"


@dataclass(frozen=True)
class Given:
    """What the page was given to ask."""

    texts: list[tuple[str, str]]
    """Texts with their second ones, which may be empty."""
    from_file: bool


def choose(adapters: dict[str, Adapter]) -> list[Adapter]:
    keys = st.multiselect(
        "Adapters",
        list(adapters),
        key="adapters",
        bind="query-params",
        max_selections=MOST,
        placeholder="Choose up to six",
        help=f"Finished runs, and imported adapters in {plain(imported_dir())}.",
    )
    return [adapters[key] for key in keys if key in adapters]


def given(chosen: list[Adapter]) -> Given | None:
    """What is to be asked: the text in the box, or the lines of a file."""
    # Not a segmented control: its chosen text is too faint on its tint in the dark theme.
    place = st.radio(
        "Input",
        [ONE, FILE],
        horizontal=True,
        key="from",
        bind="query-params",
        label_visibility="collapsed",
    )
    if place == FILE:
        texts = text_table.read_file()
        return Given(texts, from_file=True) if texts else None
    typed = _typed(chosen)
    return Given([typed], from_file=False) if typed else None


def _typed(chosen: list[Adapter]) -> tuple[str, str] | None:
    """The text in the box and the second one; None while there is none."""
    asks = any(takes_a_second_text(adapter) for adapter in chosen)
    masked = any(adapter.view == "masked" for adapter in chosen)
    hint = (
        "Put [MASK] where the model should fill in a word." if masked else "Type or paste a text."
    )
    text = st.text_area(
        "Text", key=TEXT, height=110, max_chars=LONGEST, placeholder=hint,
        label_visibility="collapsed", persist_state="session",
    )  # fmt: skip
    second = ""
    if asks:
        second = st.text_input(
            "Question about the text, or second text",
            key=SECOND,
            max_chars=LONGEST,
            persist_state="session",
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Ask", type="primary", icon=":material/send:", key="ask")
        source = next((a for a in chosen if examples_of(a)), None)
        if source:
            st.button(
                "Random test example",
                icon=":material/casino:",
                key="example",
                help=plain(f"From the test split of {source.name}, with its label."),
                on_click=_take_example,
                args=(source,),
            )
        _right_label(text)
    if not text.strip():
        return None
    if any(a.spec and a.spec.second_text == "required" for a in chosen) and not second.strip():
        st.caption("Ask a question about the text.")
        return None
    return text, second


def _take_example(adapter: Adapter) -> None:
    example = random.choice(examples_of(adapter))
    st.session_state[TEXT] = example["text"][:LONGEST]
    st.session_state[SECOND] = example.get("text_pair", "")[:LONGEST]
    st.session_state[_EXAMPLE] = example


def _right_label(text: str) -> None:
    example: dict[str, Any] = st.session_state.get(_EXAMPLE) or {}
    if example.get("label") and example.get("text", "")[:LONGEST] == text:
        st.caption(plain(f"Label in the test split: {example['label'][:200]}"))
