"""Answers side by side: one card for each adapter, in the form that its task asks for."""

from collections.abc import Callable

import streamlit as st

from cards import card
from layout import errors_shown, plain
from playground import playground_client, token_charts, weight_charts
from playground.adapters import Adapter
from playground.playground_client import Result
from workbench.charts.style import Chart, method_color
from workbench.formatting import ABSENT

PER_ROW, WIDE_PER_ROW = 3, 2
WIDE = ("tags", "span")
"""Views that mark a text, which needs more room than bars."""
MARKED_WIDTH = 300
SHOWN_LABELS = 8
NEAR = 0.1
"""Difference of two probabilities up to which they are a near-tie."""
TAG_COLORS = "#3b82c4 #d9772b #6f63b6 #2f8f5b #b05c9d #8a8f3c #4aa3a2 #c2504a".split()
OUTSIDE = "O"
_CLEAR = {"background": "transparent"}
"""A card has another surface than the page in the dark theme."""
_CONTEXT = 300
"""Characters of a long context that are shown before and after the answer."""


def show(adapters: list[Adapter], text: str, pairs: dict[str, str | None]) -> dict[str, Result]:
    """Asks every adapter and shows what it says; returns the answers that came, by key.

    Args:
        pairs: the second text of each adapter, None for those that take one text.
    """
    # An adapter of every base whose own answer means something.
    bases: dict[tuple[str, str], Adapter] = {}
    for adapter in adapters:
        if adapter.spec and not adapter.spec.new_head:
            bases.setdefault((adapter.base, adapter.task), adapter)
    cards = [*((each, False) for each in adapters), *((each, True) for each in bases.values())]
    found: dict[str, Result] = {}
    per_row = WIDE_PER_ROW if any(adapter.view in WIDE for adapter in adapters) else PER_ROW
    for start in range(0, len(cards), per_row):
        row = cards[start : start + per_row]
        columns = st.columns(max(2, min(len(cards), per_row)), gap="small")
        places = []
        for number, (adapter, zero_shot) in enumerate(row, start=start):
            with columns[number - start], card(f"answer-{number}", height="stretch"):
                _title(adapter, zero_shot)
                places.append(st.container(gap="small"))
        for place, (adapter, zero_shot) in zip(places, row, strict=True):
            with place:
                result = _ask(adapter, text, pairs[adapter.key], zero_shot)
            if result is not None and not zero_shot:
                found[adapter.key] = result
    return found


def _title(adapter: Adapter, zero_shot: bool) -> None:
    with st.container(gap="xxsmall"):
        title, about = plain(adapter.name), adapter.about
        if zero_shot:
            title, about = "base model (zero-shot)", adapter.base
        st.subheader(title, anchor=False)
        st.caption(plain(about))


def _ask(adapter: Adapter, text: str, pair: str | None, zero_shot: bool) -> Result | None:
    place = st.empty()
    with place.container():
        others = playground_client.playground().waiting
        waiting = f"{others} requests ahead …" if others else "Running …"
        st.caption("Loading models …" if playground_client.playground().pid is None else waiting)

    def stream(written: str) -> None:
        place.text(written + " ▌")

    on_piece = stream if adapter.view == "text" else None
    with errors_shown(place):
        result = playground_client.answer(
            adapter, text, pair, zero_shot=zero_shot, on_piece=on_piece
        )
        with place.container(gap="small"):
            if "silent" in result:
                st.caption(plain(result["silent"]))
                return None
            method = "" if zero_shot else adapter.method
            color = method_color(method) if method else token_charts.FOR
            _VIEWS[result["kind"]](text, {**result, "color": color})
            _footer(result)
        return result
    return None


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
        cut = "Truncated: the text is longer than the model reads."
        st.warning(cut, icon=":material/content_cut:")


def confidence(probability: object) -> str:
    """A probability as a percentage without false precision."""
    if not isinstance(probability, int | float):
        return ABSENT
    if probability > 0.995:
        return "over 99%"
    return "under 1%" if probability < 0.005 else f"{probability:.0%}"


def near_tie(result: Result) -> str:
    """What is almost as probable as the answer, where one of several labels is right."""
    rows = sorted(result.get("labels", []), key=lambda row: -(row["probability"] or 0))[:2]
    chances = [row["probability"] or 0 for row in rows]
    one_of_all = abs(sum(row["probability"] or 0 for row in result.get("labels", [])) - 1) < 0.01
    if len(rows) < 2 or not one_of_all or chances[0] - chances[1] > NEAR:
        return ""
    return f"; near-tie with {rows[1]['label']} ({confidence(chances[1])})"


def _labels(text: str, result: Result) -> None:
    rows = sorted(result["labels"], key=lambda row: -(row["probability"] or 0))
    if result["score"] is None:
        _headline(result["prediction"], "regression: a number without a probability")
        return
    note = f"{confidence(result['score'])} confident{near_tie(result)}"
    _headline(result["prediction"] or "none of the labels", note)
    shown = [{"name": r["label"], "value": r["probability"]} for r in rows[:SHOWN_LABELS]]
    _chart(weight_charts.bars(shown, color=result["color"]), "Probability of each label")
    if len(rows) > SHOWN_LABELS:
        st.caption(f"The first {SHOWN_LABELS} of {len(rows)} labels.")


def _tags(text: str, result: Result) -> None:
    kinds = [_kind(row["tag"]) for row in result["words"]]
    named = dict.fromkeys(kind for kind in kinds if kind)
    colors = {kind: TAG_COLORS[i % len(TAG_COLORS)] for i, kind in enumerate(named)}
    st.caption(f"{confidence(result['score'])} mean confidence")
    if not colors:
        st.text("No entity in this text.")
        return
    _marked([row["word"] for row in result["words"]], kinds, colors, "tag", "Tags of words")
    _marked([*colors], [*colors], colors, "tag", "Colour legend")
    rows = [
        {"word": row["word"], "tag": row["tag"], "confidence": confidence(row["probability"])}
        for row in result["words"]
        if _kind(row["tag"])
    ]
    st.dataframe(rows, hide_index=True, height="content")


def _kind(tag: str) -> str:
    """The entity that a tag is of: B-person and I-person are both of a person."""
    if tag == OUTSIDE:
        return ""
    prefix, dash, rest = tag.partition("-")
    return rest if dash and len(prefix) == 1 else tag


def _span(text: str, result: Result) -> None:
    start, end, sure = result["start"], result["end"], f"{confidence(result['score'])} confident"
    if start == end:
        _headline("no answer", f"{sure} that the text has no answer")
        return
    _headline(result["prediction"], sure)
    before, after = text[max(0, start - _CONTEXT) : start], text[end : end + _CONTEXT]
    parts = ((before, ""), (text[start:end], "answer"), (after, ""))
    marked = [(word, mark) for part, mark in parts for word in part.split()]
    words, marks = [word for word, _ in marked], [mark for _, mark in marked]
    alt = f"The answer in the text: {result['prediction']}"
    _marked(words, marks, {"answer": token_charts.FOR}, "", alt)


def _masked(text: str, result: Result) -> None:
    _headline(result["prediction"], f"{confidence(result['score'])} mean confidence")
    if result["drawn"]:
        st.caption(
            "The text has no [MASK], so words were masked at random. Put one where you want it."
        )
    for number, mask in enumerate(result["masks"][:4], start=1):
        if len(result["masks"]) > 1:
            st.caption(f"Mask {number}")
        shown = [{"name": c["word"], "value": c["probability"]} for c in mask["candidates"]]
        chart = weight_charts.bars(weight_charts.numbered(shown), color=result["color"])
        _chart(chart, f"Candidates for mask {number}")


def _text(text: str, result: Result) -> None:
    st.text(result["prediction"] or "(empty output)")
    if result["score"] is not None:
        st.caption(f"{confidence(result['score'])} mean confidence per token")


_VIEWS: dict[str, Callable[[str, Result], None]] = {
    "labels": _labels,
    "tags": _tags,
    "span": _span,
    "masked": _masked,
    "text": _text,
}


def _chart(chart: Chart, alt: str) -> None:
    st.altair_chart(chart.properties(**_CLEAR), width="stretch", alt=alt)


def _marked(
    words: list[str], marks: list[str], colors: dict[str, str], title: str, alt: str
) -> None:
    """A text whose words stand at pixels, so it must not be stretched."""
    tokens = [{"text": word} for word in words]
    chart = token_charts.marked_text(tokens, marks, colors, title=title, width=MARKED_WIDTH)
    st.altair_chart(chart.properties(**_CLEAR), width="content", alt=alt)
