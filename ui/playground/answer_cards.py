"""Answers side by side: one card for each adapter, in the form that its task asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from layout import plain, show_error
from playground import playground_client, token_charts, weight_charts
from playground.adapters import Adapter
from workbench.charts.style import Chart
from workbench.errors import WorkbenchError
from workbench.formatting import ABSENT

PER_ROW, WIDE_PER_ROW = 3, 2
WIDE = ("tags", "span")
"""Views that mark a text, which needs more room than bars."""
MARKED_WIDTH = 300
SHOWN_LABELS = 8
TAG_COLORS = (
    "#3b82c4",
    "#d9772b",
    "#6f63b6",
    "#2f8f5b",
    "#b05c9d",
    "#8a8f3c",
    "#4aa3a2",
    "#c2504a",
)
OUTSIDE = "O"
_CONTEXT = 300
"""Characters of a long context that are shown before and after the answer."""

Result = dict[str, Any]


def show(adapters: list[Adapter], text: str, pairs: dict[str, str | None]) -> dict[str, Result]:
    """Asks every adapter and shows what it says; returns the answers that came, by key.

    Args:
        pairs: the second text of each adapter, None for those that take one text.
    """
    bases = _bases(adapters)
    cards: list[tuple[Adapter, bool]] = [(adapter, False) for adapter in adapters]
    cards += [(adapter, True) for adapter in bases]
    found: dict[str, Result] = {}
    per_row = WIDE_PER_ROW if any(adapter.view in WIDE for adapter in adapters) else PER_ROW
    for start in range(0, len(cards), per_row):
        row = cards[start : start + per_row]
        columns = st.columns(max(2, min(len(cards), per_row)), gap="small")
        places = []
        for column, (adapter, zero_shot) in zip(columns, row, strict=False):
            with column, st.container(border=True, height="stretch"):
                _title(adapter, zero_shot)
                places.append(st.container(gap="small"))
        for place, (adapter, zero_shot) in zip(places, row, strict=True):
            with place:
                result = _ask(adapter, text, pairs[adapter.key], zero_shot)
            if result is not None and not zero_shot:
                found[adapter.key] = result
    return found


def _bases(adapters: list[Adapter]) -> list[Adapter]:
    """An adapter of every base whose own answer means something."""
    asked: dict[tuple[str, str], Adapter] = {}
    for adapter in adapters:
        if adapter.spec and not adapter.spec.new_head:
            asked.setdefault((adapter.base, adapter.task), adapter)
    return list(asked.values())


def _title(adapter: Adapter, zero_shot: bool) -> None:
    with st.container(gap="xxsmall"):
        if zero_shot:
            st.subheader("base model (zero-shot)", anchor=False)
            st.caption(plain(adapter.base))
        else:
            st.subheader(plain(adapter.name), anchor=False)
            st.caption(plain(adapter.about))


def _ask(adapter: Adapter, text: str, pair: str | None, zero_shot: bool) -> Result | None:
    place = st.empty()
    with place.container():
        others = playground_client.playground().waiting
        waiting = f"{others} requests ahead …" if others else "Running …"
        st.caption("Loading models …" if playground_client.playground().pid is None else waiting)

    def stream(written: str) -> None:
        place.text(written + " ▌")

    try:
        result = playground_client.answer(
            adapter, text, pair, zero_shot=zero_shot, on_piece=stream if _writes(adapter) else None
        )
    except WorkbenchError as error:
        with place.container():
            show_error(error)
        return None
    with place.container(gap="small"):
        if "silent" in result:
            st.caption(plain(result["silent"]))
            return None
        _VIEWS[result["kind"]](adapter, text, result)
        _footer(result)
    return result


def _writes(adapter: Adapter) -> bool:
    return adapter.view == "text"


def _headline(answer: str, note: str) -> None:
    with st.container(gap="xxsmall"):
        st.header(plain(answer), anchor=False)
        st.caption(plain(note))


def _footer(result: Result) -> None:
    words = [f"{1000 * result['seconds']:.0f} ms", f"{result['tokens']} tokens"]
    if result.get("windows", 1) > 1:
        words.append(f"{result['windows']} windows")
    if result["loading_seconds"] > 0.02:
        words.append(f"loaded in {result['loading_seconds']:.1f} s")
    st.caption(plain(" · ".join(words)))
    if result["cut"]:
        st.warning(
            "Truncated: the text is longer than the model reads.", icon=":material/content_cut:"
        )


def confidence(probability: object) -> str:
    """A probability as a percentage without false precision."""
    if not isinstance(probability, int | float):
        return ABSENT
    if probability > 0.995:
        return "over 99%"
    return "under 1%" if probability < 0.005 else f"{probability:.0%}"


# --- a view for each kind of answer ---------------------------------------------------------


def _labels(adapter: Adapter, text: str, result: Result) -> None:
    rows = sorted(result["labels"], key=lambda row: -(row["probability"] or 0))
    if result["score"] is None:
        _headline(result["prediction"], "regression: a number without a probability")
        return
    note = f"{confidence(result['score'])} confident"
    _headline(result["prediction"] or "none of the labels", note)
    shown = [{"name": r["label"], "value": r["probability"]} for r in rows[:SHOWN_LABELS]]
    _chart(weight_charts.bars(shown), "Probability of each label")
    if len(rows) > SHOWN_LABELS:
        st.caption(f"The first {SHOWN_LABELS} of {len(rows)} labels.")


def _tags(adapter: Adapter, text: str, result: Result) -> None:
    kinds = [_kind(row["tag"]) for row in result["words"]]
    named = dict.fromkeys(kind for kind in kinds if kind)
    colors = {kind: TAG_COLORS[i % len(TAG_COLORS)] for i, kind in enumerate(named)}
    st.caption(f"{confidence(result['score'])} mean confidence")
    if not colors:
        st.text("No entity in this text.")
        return
    tokens = [{"text": row["word"]} for row in result["words"]]
    _marked(
        token_charts.marked_text(tokens, kinds, colors, title="tag", width=MARKED_WIDTH),
        "Tags of words",
    )
    key = token_charts.marked_text(
        [{"text": kind} for kind in colors], [*colors], colors, title="tag", width=MARKED_WIDTH
    )
    _marked(key, "Colour legend")
    rows = [
        {"word": row["word"], "tag": row["tag"], "confidence": confidence(row["probability"])}
        for row in result["words"]
        if _kind(row["tag"])
    ]
    st.dataframe(rows, hide_index=True, width="stretch", height="content")


def _kind(tag: str) -> str:
    """The entity that a tag is of: B-person and I-person are both of a person."""
    if tag == OUTSIDE:
        return ""
    prefix, dash, rest = tag.partition("-")
    return rest if dash and len(prefix) == 1 else tag


def _span(adapter: Adapter, text: str, result: Result) -> None:
    if result["start"] == result["end"]:
        _headline(
            "no answer", f"{confidence(result['score'])} confident that the text has no answer"
        )
        return
    _headline(result["prediction"], f"{confidence(result['score'])} confident")
    start, end = result["start"], result["end"]
    before, after = text[max(0, start - _CONTEXT) : start], text[end : end + _CONTEXT]
    tokens, marks = [], []
    for part, mark in ((before, ""), (text[start:end], "answer"), (after, "")):
        words = part.split()
        tokens += [{"text": word} for word in words]
        marks += [mark] * len(words)
    colors = {"answer": token_charts.FOR}
    chart = token_charts.marked_text(tokens, marks, colors, title="", width=MARKED_WIDTH)
    _marked(chart, f"The answer in the text: {result['prediction']}")


def _masked(adapter: Adapter, text: str, result: Result) -> None:
    _headline(result["prediction"], f"{confidence(result['score'])} mean confidence")
    if result["drawn"]:
        st.caption(
            "The text has no [MASK], so words were masked at random. Put one where you want it."
        )
    for number, mask in enumerate(result["masks"][:4], start=1):
        if len(result["masks"]) > 1:
            st.caption(f"Mask {number}")
        shown = [{"name": c["word"], "value": c["probability"]} for c in mask["candidates"]]
        _chart(weight_charts.bars(weight_charts.numbered(shown)), f"Candidates for mask {number}")


def _text(adapter: Adapter, text: str, result: Result) -> None:
    st.text(result["prediction"] or "(empty output)")
    if result["score"] is not None:
        st.caption(f"{confidence(result['score'])} mean confidence per token")


_VIEWS: dict[str, Callable[[Adapter, str, Result], None]] = {
    "labels": _labels,
    "tags": _tags,
    "span": _span,
    "masked": _masked,
    "text": _text,
}


def _chart(chart: Chart, alt: str) -> None:
    st.altair_chart(chart, width="stretch", alt=alt)


def _marked(chart: Chart, alt: str) -> None:
    """A text whose words stand at pixels, so it must not be stretched."""
    st.altair_chart(chart, width="content", alt=alt)
