"""Why an adapter answers as it does: the words that speak for it, and what its heads look at."""

import streamlit as st

from layout import errors_shown, plain
from playground import playground_client, token_charts, weight_charts
from playground.adapters import Adapter
from playground.answer_cards import confidence
from playground.attribution_text import quoted, sentences, words_of
from playground.playground_client import Result

TOP = 8
"""Words in the list beside the text."""
MEAN = "mean"


def show(adapters: list[Adapter], text: str, pairs: dict[str, str | None], answers: Result) -> None:
    """The section below the answers; `answers` are those that came, by key."""
    st.header("Why this answer?", anchor=False)
    by_key = {adapter.key: adapter for adapter in adapters if adapter.key in answers}
    left, middle, right = st.columns([2, 1.2, 2], vertical_alignment="bottom")
    key = left.selectbox("Adapter", list(by_key), key="why", bind="query-params")
    adapter = by_key[key if key in by_key else next(iter(by_key))]
    ways = {"Words": _words, "Attention": _attention}
    view = middle.radio("Explain by", list(ways), horizontal=True, key="look", bind="query-params")
    answer = answers[adapter.key]
    with right:
        choice = _choice(adapter, text, answer)
    request = {"text": text, "pair": pairs[adapter.key], "choice": choice, "ids": answer.get("ids")}
    if answer["kind"] == "text" and not answer["ids"]:
        st.caption("Empty output: there is nothing to explain.")
        return
    with errors_shown():
        ways[view](adapter, request)


def _choice(adapter: Adapter, text: str, answer: Result) -> int | None:
    """What is to be explained: by default what the adapter answered."""
    kind = answer["kind"]
    if kind == "labels" and answer["score"] is not None:
        names = [row["label"] for row in answer["labels"]]
        best = max(range(len(names)), key=lambda i: answer["labels"][i]["probability"])
        title = "Label"
    elif kind == "tags":
        names = [row["word"] for row in answer["words"]]
        entities = [i for i, row in enumerate(answer["words"]) if row["tag"] != "O"]
        title, best = "Word", (entities or [0])[0]
    elif kind == "masked":
        names = [(mask["candidates"] or [{"word": "?"}])[0]["word"] for mask in answer["masks"]]
        title, best = "Mask", 0
    elif kind == "text" and answer["pieces"]:
        names = [token_charts.spoken(row["text"]) for row in answer["pieces"]]
        title, best = "Token of the answer", 0
    else:
        return None
    # Another answer has other choices, so it is another box.
    key = f"choice-{adapter.key}-{hash((text, tuple(names))) & 0xFFFFFFFF:x}"
    return st.selectbox(
        title, range(len(names)), index=best, format_func=lambda i: f"{i + 1}. {names[i]}", key=key
    )


def _words(adapter: Adapter, request: Result) -> None:
    with st.spinner("Computing integrated gradients …"):
        found = playground_client.explain(adapter, {**request, "do": "attribution"})
    tokens, about, base = found["tokens"], found["about"], found["base"]
    mine = found["adapter"]["values"]
    theirs = base["values"] if base else []
    largest = max(map(abs, [*mine, *theirs]), default=1.0) or 1.0
    with st.container(horizontal=True, gap="large", vertical_alignment="top"):
        with st.container(width=token_charts.WIDTH + 16, gap="small"):
            title = f"Attribution for {quoted(about)}, with the adapter"
            _text_line(title, tokens, mine, largest)
            if base:
                _text_line("The same for the base model (zero-shot)", tokens, theirs, largest)
                change = [a - b for a, b in zip(mine, theirs, strict=True)]
                _text_line("Change by fine-tuning", tokens, change, largest)
            st.caption(
                "Blue supports the answer, orange opposes it; darker is more. Integrated gradients "
                "over the word embeddings; baseline: all words masked."
            )
        with st.container(width="stretch", gap="small"):
            for sentence in sentences(found):
                st.text(sentence)
            heaviest = sorted(words_of(tokens, mine), key=lambda pair: -abs(pair[1]))[:TOP]
            rows = weight_charts.numbered([{"name": w, "value": value} for w, value in heaviest])
            chart = weight_charts.bars(rows, signed=True, format="+.2f")
            st.altair_chart(chart, width="stretch", alt="Words with the largest attributions")
            if not base:
                st.caption(plain(found["why_no_base"] + " Attention can be compared."))
    if found["cut"]:
        st.caption("Truncated: this explains the part of the text that the model has read.")


def _text_line(title: str, tokens: list[Result], values: list[float], largest: float) -> None:
    with st.container(gap="xxsmall"):
        st.markdown(f"**{plain(title)}**")
        chart = token_charts.weighed_text(tokens, values, largest=largest, title="weight")
        st.altair_chart(chart, width="content", alt=title)


def _attention(adapter: Adapter, request: Result) -> None:
    request = {**request, "do": "attention"}
    with st.spinner("Computing attention …"):
        found = playground_client.explain(adapter, {**request, "layer": -1, "head": None})
        layer, head = _layer_and_head(found["layers"], found["heads"])
        if (layer, head) != (found["layer"], None):
            found = playground_client.explain(adapter, {**request, "layer": layer, "head": head})
    virtual, tokens = found["virtual_columns"], found["tokens"]
    reader = token_charts.spoken(tokens[found["position"]]["text"])
    mine, base = found["rows"]["adapter"], found["rows"]["base"]
    where = "the mean of all heads" if found["head"] is None else f"head {found['head'] + 1}"
    st.text(_told(found, reader, where))
    with st.container(horizontal=True, gap="large", vertical_alignment="top"):
        with st.container(width=token_charts.WIDTH + 16, gap="small"):
            title = f"Layer {found['layer'] + 1}, {where}: what “{reader}” attends to"
            _looked_at(title, found, mine["attention"], base["attention"])
            title = f"Rollout over all layers: what reaches “{reader}”"
            _looked_at(title, found, mine["rollout"], base["rollout"])
        with st.container(width="stretch", gap="small"):
            if virtual:
                st.markdown(f"**Attention on the {virtual} virtual tokens, head by head**")
                chart = weight_charts.head_overview(found["share"])
                st.altair_chart(chart, width="stretch", alt="Share of attention on virtual tokens")
            else:
                st.caption("This method adds no virtual tokens: all attention is on the text.")
            _changes(tokens, mine["rollout"][virtual:], base["rollout"])
    _map(found)


def _layer_and_head(layers: int, heads: int) -> tuple[int, int | None]:
    """What the boxes say; both count from 1, as people do."""
    left, right, _ = st.columns([1, 1, 2])
    numbers = [str(number) for number in range(1, layers + 1)]
    layer = left.selectbox(
        f"Layer of {layers}", numbers, index=layers - 1, key="layer", bind="query-params"
    )
    names = [MEAN, *(str(number) for number in range(1, heads + 1))]
    head = right.selectbox(f"Head of {heads}", names, key="head", bind="query-params")
    return int(layer or layers) - 1, None if head in (None, MEAN) else int(head) - 1


def _told(found: Result, reader: str, where: str) -> str:
    virtual, mine = found["virtual_columns"], found["rows"]["adapter"]
    words = f"The prediction is read off at “{reader}”."
    if virtual:
        share, rolled = sum(mine["attention"][:virtual]), sum(mine["rollout"][:virtual])
        words += (
            f" In layer {found['layer'] + 1}, {where}, it spends {confidence(share)} of "
            f"its attention on the {virtual} virtual tokens; over all layers "
            f"{confidence(rolled)} of what reaches it comes from them."
        )
    return words


def _looked_at(title: str, found: Result, mine: list[float], base: list[float]) -> None:
    virtual, tokens = found["virtual_columns"], found["tokens"]
    largest = max([*mine, *base], default=1.0)
    with st.container(gap="xxsmall"):
        st.markdown(f"**{plain(title)}**")
        names = [{"text": f"v{i + 1}", "virtual": True} for i in range(virtual)]
        for label, weights, before in (
            ("adapter", mine, names),
            ("base model (zero-shot)", base, []),
        ):
            st.caption(label)
            chart = token_charts.looked_at_text([*before, *tokens], weights, largest=largest)
            st.altair_chart(chart, width="content", alt=f"{title}, {label}")


def _changes(tokens: list[Result], mine: list[float], base: list[float]) -> None:
    """The words that count more with the adapter, or less, among the words alone."""
    now, before = (_among_words(tokens, weights) for weights in (mine, base))
    change = [(word, a - b) for (word, a), (_, b) in zip(now, before, strict=True)]
    heaviest = sorted(change, key=lambda pair: -abs(pair[1]))[:TOP]
    if not heaviest:
        return
    st.markdown("**Change of each word's share by fine-tuning**")
    rows = weight_charts.numbered([{"name": word, "value": value} for word, value in heaviest])
    chart = weight_charts.bars(rows, signed=True, format="+.1%")
    st.altair_chart(chart, width="stretch", alt="Change of each word's share")
    st.caption("Share of the rollout among the words, with the adapter minus without it.")


def _among_words(tokens: list[Result], weights: list[float]) -> list[tuple[str, float]]:
    words = words_of(tokens, weights)
    total = sum(value for _, value in words) or 1.0
    return [(word, value / total) for word, value in words]


def _map(found: Result) -> None:
    virtual, first = found["virtual_columns"], found["first"]
    shown = len(found["map"][0]) - virtual if found["map"] else 0
    names = [token_charts.spoken(token["text"]) for token in found["tokens"]][first:][:shown]
    virtual_names = [f"v{i + 1}" for i in range(virtual)]
    rows = [*virtual_names[: found["virtual_rows"]], *names]
    with st.expander("Full attention map: every token to every token", icon=":material/grid_on:"):
        if shown < len(found["tokens"]):
            st.caption(f"Tokens {first + 1} to {first + shown} of {len(found['tokens'])}.")
        chart = weight_charts.attention_map(found["map"], rows, [*virtual_names, *names])
        st.altair_chart(chart, width="content", alt="Attention map")
