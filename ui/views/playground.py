"""Playground: one text, what several adapters on one resident base say to it, and why."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cards import card
from layout import action_button, empty, heading
from playground import answer_cards, explain_panel, input_form, playground_client, text_table
from playground.adapters import Adapter, find_adapters, takes_a_second_text
from workbench.formatting import plural, size


def page() -> None:
    """The view: choose adapters, give a text, read the answers, ask why."""
    heading(
        "Playground",
        "Compare the answers of several adapters. They share one base model in memory, in a "
        "process of its own.",
    )
    adapters = find_adapters()
    if not adapters:
        empty(
            "No adapters yet",
            "Finish a run first (see Recipes), or import an adapter with `workbench import`.",
        )
        return
    left, right = st.columns([2.6, 1], gap="large")
    with left:
        chosen = input_form.choose(adapters)
        texts, from_file = input_form.given(chosen) if chosen else ([], False)
    status = right.empty()
    if not texts:
        _status(status)
    if not chosen:
        empty("No adapter chosen", "Choose one above, or several to compare them.")
    elif texts:
        with card("at-work", status, gap="xsmall"):
            st.caption("Models in memory")
            st.text("Running …")
        _answer(chosen, texts, from_file)
        _status(status)


def _status(place: DeltaGenerator) -> None:
    """What the models take, and the button that frees it."""
    playground = playground_client.playground()
    running, memory = playground.pid is not None, playground.memory
    with card("models", place, gap="xsmall"):
        st.caption("Models in memory")
        if not running:
            st.text("None. They are loaded with the first request.")
            return
        if memory.get("adapters"):
            st.text(
                f"{size(memory['weights_bytes'])} of weights: "
                f"{plural(memory['adapters'], 'adapter')} with their base models, shared weights "
                f"once. The process takes {size(memory['process_bytes'])}."
            )
        about = "Ends the process, which frees its memory; it also ends after 15 idle minutes."
        look = {"icon": ":material/eject:", "help": about}
        action_button(st, "Unload", "unload", playground.unload, **look)


def _answer(chosen: list[Adapter], texts: list[tuple[str, str]], from_file: bool) -> None:
    picked = text_table.show(chosen, texts) if from_file else texts[0]
    if picked is None:
        return
    text, second = picked
    pairs = {a.key: second or None if takes_a_second_text(a) else None for a in chosen}
    answers = answer_cards.show(chosen, text, pairs)
    if answers:
        explain_panel.show(chosen, text, pairs, answers)


page()
