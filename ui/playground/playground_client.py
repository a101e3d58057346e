"""Putting questions to the playground's process, and keeping what it said for this page."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from playground.adapters import Adapter
from workbench.services.playground import Playground

KEPT = 200
"""Answers that a page keeps."""
_STORE = "playground-answers"

Result = dict[str, Any]


@st.cache_resource
def playground() -> Playground:
    """The one process of this server that holds models; it starts with the first question."""
    return Playground()


def answer(
    adapter: Adapter,
    text: str,
    pair: str | None,
    *,
    zero_shot: bool = False,
    on_piece: Callable[[str], None] | None = None,
) -> Result:
    """What an adapter, or its base model (zero-shot), answers.

    Raises:
        PlaygroundError: as `Playground.stream` does.
    """
    request = {"do": "answer", "text": text, "pair": pair, "zero_shot": zero_shot}
    return explain(adapter, request, on_piece)


def explain(
    adapter: Adapter, request: dict[str, Any], on_piece: Callable[[str], None] | None = None
) -> Result:
    """An explanation: ``do``, ``text``, ``pair``, ``choice`` and what else it needs.

    Raises:
        PlaygroundError: as `Playground.stream` does.
    """
    request = {**request, "folder": str(adapter.folder)}
    store: dict[str, Result] = st.session_state.setdefault(_STORE, {})
    key = repr((adapter.version, sorted(request.items())))
    if key not in store:
        written = ""
        for event in playground().stream(request):
            if "piece" in event and on_piece:
                written += str(event["piece"])
                on_piece(written)
            if "result" in event:
                store[key] = event["result"]
        while len(store) > KEPT:
            store.pop(next(iter(store)))
    return store[key]
