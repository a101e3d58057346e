"""The playground's explanations: words, attention, and that text stays text in all of it."""

from __future__ import annotations

import re

import pytest
from made_runs import RunsFolder
from opening import texts
from playground_stand_in import LABELS, TOKENS, StandIn, add_adapter, ask, attribution, charts_of

from playground import answer_cards, attribution_text, token_charts, weight_charts

HOSTILE = "<script>alert(1)</script> ![x](http://x.example) **bold** :red[x] $a$"


# --- why ------------------------------------------------------------------------------------


def test_the_words_that_speak_for_an_answer_are_named(runs: RunsFolder, worker: StandIn) -> None:
    said = texts(ask(add_adapter(runs))).replace("\\", "")
    assert "“teams” supports “sport” most." in said
    assert "Against it: “won”." in said
    assert "Probability: 90%; with all words masked 30%." in said
    assert "no base: at random" in said


def test_the_base_stands_beside_where_it_has_an_answer(runs: RunsFolder, worker: StandIn) -> None:
    numbers = {"values": [0.0, 0.2, 0.1, 0.4, 0.0], "value": -0.7, "empty": -1.4, "gap": 0.0}
    worker.says["attribution"] = lambda _: attribution(base=numbers, why_no_base="")
    app = ask(add_adapter(runs))
    assert "Change by fine-tuning" in texts(app).replace("\\", "")
    assert "Base model (zero-shot): 50%" in texts(app)
    changed = {r["number"]: r["value"] for r in charts_of(app)[3]}
    assert changed[1] == pytest.approx(0.8) and changed[3] == pytest.approx(-0.8)


def test_numbers_that_do_not_add_up_are_not_to_be_leaned_on(
    runs: RunsFolder, worker: StandIn
) -> None:
    worker.says["attribution"] = lambda _: attribution(
        about="B-club for “team”",
        adapter={"values": [0.0, 1.0, 0.5, -0.4, 0.0], "value": -0.1, "empty": -1.2, "gap": 1.32},
    )
    said = texts(ask(add_adapter(runs))).replace("\\", "")
    assert "Unreliable: attributions miss the change by 120%." in said
    assert "Attribution for B-club for “team”, with the adapter" in said


def test_a_word_that_comes_twice_is_named_once(runs: RunsFolder, worker: StandIn) -> None:
    tokens = [{"text": text, "special": False, "goes_on": False} for text in ("the", "cup", "the")]
    numbers = {"values": [0.5, 0.4, 0.3], "value": -0.1, "empty": -1.3, "gap": 0.0}
    worker.says["attribution"] = lambda _: attribution(tokens=tokens, adapter=numbers)
    said = texts(ask(add_adapter(runs)))
    assert "“the” and “cup” support “sport” most." in said


def test_a_text_of_one_line_keeps_its_whole_height() -> None:
    chart = token_charts.weighed_text(TOKENS, [0.0] * len(TOKENS), title="weight").to_dict()
    assert chart["height"] == token_charts.LINE
    # Streamlit's page puts 20 pixels of its own under a chart that does not say this by its name.
    assert chart["padding"]["bottom"] == 0


def test_attention_is_addressed_by_layer_and_head(runs: RunsFolder, worker: StandIn) -> None:
    app = ask(add_adapter(runs, "prefix"), look="Attention", layer="2", head="1")
    asked = [(r["layer"], r["head"]) for r in worker.asked if r["do"] == "attention"]
    assert asked == [(-1, None), (1, 0)]
    said = texts(app).replace("\\", "")
    assert "Layer 2, head 1: what “[CLS]” attends to" in said
    assert "50% of its attention on the 2 virtual tokens" in said
    shown = charts_of(app)[1]
    assert [row["token"] for row in shown][:3] == ["v1", "v2", "[CLS]"]
    assert [row["mark"] for row in shown][:3] == ["virtual", "virtual", "text"]


def test_a_strange_layer_in_the_address_is_no_harm(runs: RunsFolder, worker: StandIn) -> None:
    app = ask(add_adapter(runs), look="Attention", layer="99", head="x")
    assert app.selectbox(key="layer").value == "3" and app.selectbox(key="head").value == "mean"


# --- text is text ---------------------------------------------------------------------------


def test_hostile_text_is_never_markup(runs: RunsFolder, worker: StandIn) -> None:
    tokens = [{"text": part, "special": False, "goes_on": False} for part in HOSTILE.split()]
    values = {"values": [1.0] * len(tokens), "value": -0.1, "empty": -1.0, "gap": 0.0}
    worker.says["answer"] = {
        **LABELS,
        "prediction": HOSTILE,
        "labels": [{"label": HOSTILE, "probability": 0.9}, {"label": "b", "probability": 0.1}],
    }
    worker.says["attribution"] = lambda _: attribution(
        about=HOSTILE, tokens=tokens, adapter=values, why_no_base=HOSTILE
    )
    app = ask(add_adapter(runs), text=HOSTILE)
    for kind in (app.markdown, app.caption, app.warning, app.error, app.header, app.subheader):
        for element in kind:
            assert not re.search(r"(?<!\\)[<:$\[](script|red|a\$|x\])", element.value)
            assert not re.search(r"(?<!\\)\*\*bold", element.value)
            assert not getattr(element.proto, "allow_html", False)
    assert any(HOSTILE in element.value for element in app.text)


# --- the pictures ---------------------------------------------------------------------------


def test_tokens_are_laid_out_in_lines() -> None:
    tokens = [{"text": "play"}, {"text": "ers", "goes_on": True}, *[{"text": "goal"}] * 40]
    frame = token_charts.laid_out(tokens)
    assert frame["end"][0] == frame["start"][1] == 4
    assert frame["start"][2] == frame["end"][1] + 1
    assert frame["end"].max() <= token_charts.WIDTH / token_charts.CHARACTER
    assert list(frame["line"]) == sorted(frame["line"]) and frame["line"].max() > 1
    assert frame[frame["line"] == 1]["start"].iloc[0] == 0
    assert token_charts.spoken("\n") == "⏎" and token_charts.spoken(" ") == "␣"


def test_pieces_are_put_together_to_words() -> None:
    words = attribution_text.words_of(TOKENS, [9.0, 1.0, 0.5, -0.4, 9.0])
    assert words == [("teams", 1.5), ("won", -0.4)]


def test_names_in_a_chart_are_told_apart() -> None:
    rows = weight_charts.numbered([{"name": "goal", "value": 1}, {"name": "goal", "value": 2}])
    assert [row["name"] for row in rows] == ["goal", "goal (2)"]


def test_how_sure_is_never_more_than_it_is() -> None:
    assert [answer_cards.confidence(p) for p in (0.9999, 0.5, 0.001, None)] == [
        "over 99%", "50%", "under 1%", "–"
    ]  # fmt: skip
