"""Tokens of a text as a picture: what each one weighs, and what looks at what.

A chart, because text from outside may not become HTML, and a chart knows no markup at all.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from cards import INK
from workbench.charts.style import Chart

FOR, AGAINST = "#3b82c4", "#d9772b"
"""Blue and orange: told apart with any kind of colour blindness, on white and on black."""
SIDES = {"for": FOR, "against": AGAINST}
VIRTUAL = "#8b6fd1"
WIDTH = 620
"""Pixels of a line: as much as a page of 768 pixels has room for."""
CHARACTER, LINE = 7.9, 27
"""Pixels of a character and of a line."""
LONGEST_TOKEN = 40
NONE = {"left": 0, "right": 0, "top": 0, "bottom": 0}
"""No padding. Streamlit takes 20 pixels for the bottom where that is not said by its name."""
DARKEST, MARKED = 0.72, 0.4
"""Opacity behind text that can still be read, in light and dark."""

Token = Mapping[str, Any]


def spoken(text: str) -> str:
    """A token so that it can be seen: line breaks and lone spaces have a sign of their own."""
    seen = text.strip(" ").replace("\n", "⏎").replace("\t", "⇥")
    return (seen or "␣")[:LONGEST_TOKEN]


def laid_out(tokens: Sequence[Token], width: int = WIDTH) -> pd.DataFrame:
    """Where each token stands: line, first character and the one after the last."""
    per_line = int(width / CHARACTER)
    rows, line, at = [], 0, 0
    for number, token in enumerate(tokens):
        text = spoken(str(token["text"]))
        gap = 0 if token.get("goes_on") or at == 0 else 1
        if at + gap + len(text) > per_line:
            line, at, gap = line + 1, 0, 0
        start = at + gap
        at = start + len(text)
        rows.append({"number": number, "token": text, "line": line, "start": start, "end": at})
    return pd.DataFrame(rows, columns=["number", "token", "line", "start", "end"])


def weighed_text(
    tokens: Sequence[Token], values: Sequence[float], *, largest: float | None = None, title: str
) -> Chart:
    """A text whose tokens are the darker the more they weigh: blue for, orange against.

    Args:
        tokens: ``text`` and ``goes_on`` of each.
        largest: the number that is darkest; by default the largest there is.
    """
    values = [float(value) for value in values]
    top = largest or max(map(abs, values), default=0.0) or 1.0
    strengths = [min(1.0, abs(value) / top) for value in values]
    kinds = ["for" if value >= 0 else "against" for value in values]
    shown = alt.Tooltip("value:Q", title=title, format=".4f")
    return _text_chart(laid_out(tokens).assign(value=values), strengths, kinds, SIDES, shown)


def looked_at_text(tokens: Sequence[Token], weights: Sequence[float], *, largest: float) -> Chart:
    """A text whose tokens are the darker the more attention they get; virtual ones are violet.

    The darkness is the root of the weight: one token often draws most of the attention, and the
    others would all look the same.

    Args:
        tokens: ``text`` and ``goes_on`` of each, ``virtual`` where it is none of the text.
        weights: attention on each, 0 to 1.
    """
    values = [float(weight) for weight in weights]
    strengths = [math.sqrt(min(1.0, value / (largest or 1.0))) for value in values]
    kinds = ["virtual" if token.get("virtual") else "text" for token in tokens]
    shown = alt.Tooltip("value:Q", title="attention", format=".2%")
    colors = {"text": FOR, "virtual": VIRTUAL}
    return _text_chart(laid_out(tokens).assign(value=values), strengths, kinds, colors, shown)


def marked_text(
    tokens: Sequence[Token],
    marks: Sequence[str],
    colors: Mapping[str, str],
    *,
    title: str,
    width: int = WIDTH,
) -> Chart:
    """A text in which some tokens are marked, a colour for each kind of mark.

    Args:
        tokens: ``text`` and ``goes_on`` of each.
        marks: the kind of each token's mark, empty for none.
    """
    strengths = [MARKED / DARKEST if mark else 0.0 for mark in marks]
    shown = alt.Tooltip("mark:N", title=title)
    frame = laid_out(tokens, width)
    return _text_chart(frame, strengths, marks, {**colors, "": "#888"}, shown, width)


def _text_chart(
    frame: pd.DataFrame,
    strengths: Sequence[float],
    kinds: Sequence[str],
    colors: Mapping[str, str],
    shown: alt.Tooltip,
    width: int = WIDTH,
) -> Chart:
    """Words on boxes, each in the colour of its kind and as dark as it is strong, 0 to 1."""
    lines = int(frame["line"].max()) + 1 if len(frame) else 1
    frame = frame.assign(
        mark=list(kinds),
        strength=list(strengths),
        x=frame["start"] * CHARACTER - 2,
        x2=frame["end"] * CHARACTER + 2,
        y=frame["line"] * LINE + 2,
        y2=(frame["line"] + 1) * LINE - 3,
        middle=frame["line"] * LINE + LINE / 2 - 0.5,
        left=frame["start"] * CHARACTER,
    )
    # A unit of the scales is a pixel, and the first line is on top.
    x = alt.Scale(domain=[-2, width + 2], nice=False, zero=False)
    y = alt.Scale(domain=[lines * LINE, 0], nice=False, zero=False)
    base = alt.Chart(frame).encode(tooltip=[alt.Tooltip("token:N"), shown])
    boxes = base.mark_rect(cornerRadius=3).encode(
        x=alt.X("x:Q", scale=x, axis=None),
        x2="x2:Q",
        y=alt.Y("y:Q", scale=y, axis=None),
        y2="y2:Q",
        color=kind_color("mark:N", colors),
        opacity=alt.Opacity(
            "strength:Q", scale=alt.Scale(domain=[0, 1], range=[0, DARKEST]), legend=None
        ),
    )
    words = base.mark_text(
        align="left", baseline="middle", font="monospace", fontSize=13, color=INK
    ).encode(
        x=alt.X("left:Q", scale=x, axis=None),
        y=alt.Y("middle:Q", scale=y, axis=None),
        text="token:N",
    )
    view = alt.ViewBackground(strokeWidth=0)
    chart: Chart = alt.layer(boxes, words).properties(
        width=width, height=lines * LINE, padding=NONE, view=view
    )
    return chart


def kind_color(field: str, colors: Mapping[str, str]) -> alt.Color:
    scale = alt.Scale(domain=[*colors], range=[*colors.values()])
    return alt.Color(field, scale=scale, legend=None)
