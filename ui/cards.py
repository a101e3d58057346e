"""Cards: what belongs together, on a surface of its own."""

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

# Streamlit's theme has a border for a container and no surface: in the dark theme a card that lies
# above the page is lighter than it. Nothing in a card is written in the primary colour, which has
# a contrast of 4.5 on the page alone.
_style = st.components.v2.component(
    "card-style",
    css="""
    .stVerticalBlock[class*="st-key-card-"] { background-color: light-dark(transparent, #0f1416); }
    [data-testid="stLayoutWrapper"]:has(> .st-key-style) { display: none; }
    """,
    isolate_styles=False,
)

INK = "currentColor"
"""The colour of the page's texts, for those in a chart, to which Streamlit does not give it: a
canvas and an SVG take it from the page around them, in each theme."""


def style() -> None:
    """What cards look like; once on a page."""
    with st.container(key="style"):
        _style(key="of-cards")


def card(key: str, place: Any = st, **look: Any) -> DeltaGenerator:
    """A card of ``place``; its ``key`` is that of no other on the page."""
    made: DeltaGenerator = place.container(border=True, key=f"card-{key}", **look)
    return made
