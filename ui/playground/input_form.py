"""What the playground is asked: the adapters, and a text or a file of texts."""

import random
from functools import partial
from typing import Any

import streamlit as st

from layout import action_button, plain
from playground import text_table
from playground.adapters import Adapter, examples_of, imported_dir, takes_a_second_text

MOST = 6  # adapters asked at once: more do not fit on a screen side by side
LONGEST = 20_000
TEXT, SECOND = "playground-text", "playground-second"
_EXAMPLE = "playground-example"
ONE, FILE = "One text", "A file of texts"


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


def given(chosen: list[Adapter]) -> tuple[list[tuple[str, str]], bool]:
    """Texts with their second ones, which may be empty, and whether they are lines of a file."""
    # Not a segmented control: its chosen text is too faint on its tint in the dark theme.
    look: dict[str, Any] = {"horizontal": True, "label_visibility": "collapsed"}
    from_file = st.radio("Input", [ONE, FILE], key="from", bind="query-params", **look) == FILE
    return text_table.read_file() if from_file else _typed(chosen), from_file


def _typed(chosen: list[Adapter]) -> list[tuple[str, str]]:
    """The text in the box and the second one; empty while there is none."""
    asks = any(takes_a_second_text(adapter) for adapter in chosen)
    masked = any(adapter.view == "masked" for adapter in chosen)
    mask = "Put [MASK] where the model should fill in a word."
    hint = mask if masked else "Type or paste a text."
    text = st.text_area(
        "Text", key=TEXT, height=110, max_chars=LONGEST, placeholder=hint,
        label_visibility="collapsed", persist_state="session",
    )  # fmt: skip
    second = ""
    if asks:
        label = "Question about the text, or second text"
        second = st.text_input(label, key=SECOND, max_chars=LONGEST, persist_state="session")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Ask", type="primary", icon=":material/send:", key="ask")
        source = next((a for a in chosen if examples_of(a)), None)
        if source:
            about = plain(f"From the test split of {source.name}, with its label.")
            look = {"icon": ":material/casino:", "help": about}
            take = partial(_take_example, source)
            action_button(st, "Random test example", "example", take, **look)
        example: dict[str, Any] = st.session_state.get(_EXAMPLE) or {}
        if example.get("label") and example.get("text", "")[:LONGEST] == text:
            st.caption(plain(f"Label in the test split: {example['label'][:200]}"))
    if not text.strip():
        return []
    if any(a.spec and a.spec.second_text == "required" for a in chosen) and not second.strip():
        st.caption("Ask a question about the text.")
        return []
    return [(text, second)]


def _take_example(adapter: Adapter) -> None:
    example = random.choice(examples_of(adapter))
    st.session_state[TEXT] = example["text"][:LONGEST]
    st.session_state[SECOND] = example.get("text_pair", "")[:LONGEST]
    st.session_state[_EXAMPLE] = example
