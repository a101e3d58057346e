"""The playground: choosing adapters, and what it shows of each kind of answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts
from playground_stand_in import LABELS, StandIn, add_adapter, ask, charts_of, open_playground
from streamlit.testing.v1 import AppTest

from workbench.charts.style import row_colors
from workbench.services.playground import PlaygroundError
from workbench.store import write_json

# --- nothing to show ------------------------------------------------------------------------


def test_it_says_what_to_do_without_adapters(runs: RunsFolder, worker: StandIn) -> None:
    runs.add(news_recipe("lora"), 0, "running")
    said = texts(open_view("playground"))
    assert "No adapters yet" in said and "workbench import" in said
    add_adapter(runs, "prefix")
    app = open_view("playground")
    assert "No adapter chosen" in texts(app)
    assert "loaded with the first request" in texts(app)
    assert not worker.asked


def test_an_adapter_that_is_gone_is_not_asked(runs: RunsFolder, worker: StandIn) -> None:
    add_adapter(runs)
    assert "No adapter chosen" in texts(open_view("playground", adapters="news/gone"))


def test_imported_adapters_can_be_asked(runs: RunsFolder, worker: StandIn) -> None:
    folder = runs.path.parent / "adapters" / "foreign"
    folder.mkdir(parents=True)
    write_json(folder / "workbench.json", {"task": {"name": "text-classification"}, "base": "b"})
    app = ask("imported/foreign")
    assert worker.asked[0]["folder"] == str(folder)
    assert "foreign" in texts(app)


# --- answers --------------------------------------------------------------------------------


def test_answers_stand_side_by_side(runs: RunsFolder, worker: StandIn) -> None:
    keys = [add_adapter(runs, method) for method in ("lora", "prefix")]
    app = ask(*keys)
    said = texts(app).replace("\\", "")
    assert said.count("90% confident") == 2 and "lora, seed 0" in said and "prefix, seed 0" in said
    assert "20 ms · 7 tokens" in said
    assert "91.6 MB of weights: 2 adapters" in said and "700 MB" in said
    assert [r["do"] for r in worker.asked] == ["answer", "answer", "attribution"]
    assert [row["name"] for row in charts_of(app)[0]] == ["sport", "tech"]
    app.run()  # nothing is asked twice
    assert len(worker.asked) == 3


def test_the_bars_of_an_adapter_have_the_colour_of_its_method(
    runs: RunsFolder, worker: StandIn
) -> None:
    methods = ("lora", "prefix")
    app = ask(*(add_adapter(runs, method) for method in methods))
    for chart, method in zip(app.get("vega_lite_chart"), methods, strict=False):
        assert row_colors({"x": method}).to_dict()["range"][0] in chart.proto.spec


def test_bars_are_on_the_surface_of_their_card_with_numbers_in_its_ink(
    runs: RunsFolder, worker: StandIn
) -> None:
    chart = json.loads(ask(add_adapter(runs)).get("vega_lite_chart")[0].proto.spec)
    assert chart["background"] == "transparent"
    written = [layer["mark"] for layer in chart["layer"] if layer["mark"]["type"] == "text"]
    assert written and all(mark["color"] == "currentColor" for mark in written)


def test_a_near_tie_is_said(runs: RunsFolder, worker: StandIn) -> None:
    key = add_adapter(runs, "lora")

    def answer(*chances: float) -> str:
        rows = [
            {"label": label, "probability": chance}
            for label, chance in zip(("tech", "sport", "news"), chances, strict=False)
        ]
        says = {**LABELS, "labels": rows, "prediction": "sport", "score": chances[1]}
        worker.says["answer"] = says
        return texts(ask(key)).replace("\\", "")

    assert "46% confident; near-tie with tech (44%)" in answer(0.44, 0.46, 0.1)
    assert "near-tie" not in answer(0.3, 0.6, 0.1)
    assert "near-tie" not in answer(0.9, 0.95)  # of several labels at once


def test_unloading_is_a_button(runs: RunsFolder, worker: StandIn) -> None:
    app = ask(add_adapter(runs))
    app.button(key="unload").click().run()
    assert worker.unloaded


def test_a_crash_stands_in_its_card(runs: RunsFolder, worker: StandIn) -> None:
    def crash(request: dict[str, Any]) -> dict[str, Any]:
        if "prefix" in request["folder"]:
            raise PlaygroundError("the process ended (signal 9, SIGKILL)", fix="ask again")
        return LABELS

    worker.says["answer"] = crash
    app = ask(*[add_adapter(runs, method) for method in ("lora", "prefix")])
    said = texts(app)
    assert "SIGKILL" in said and "fix: ask again" in said and "90% confident" in said
    assert app.selectbox(key="why").options == [app.selectbox(key="why").value]


def test_what_was_cut_is_said(runs: RunsFolder, worker: StandIn) -> None:
    worker.says["answer"] = {**LABELS, "cut": True}
    assert "Truncated" in texts(ask(add_adapter(runs)))


def test_entities_are_marked(runs: RunsFolder, worker: StandIn) -> None:
    words = [("the", "O", 0.9), ("team", "B-club", 0.8), ("won", "I-club", None)]
    rows = [{"word": w, "tag": t, "probability": p} for w, t, p in words]
    worker.says["answer"] = {"kind": "tags", "prediction": "", "score": 0.85, "words": rows}
    app = ask(add_adapter(runs, task="token-classification"))
    marked = {row["token"]: row["mark"] for row in charts_of(app)[0]}
    assert marked == {"the": "", "team": "club", "won": "club"}
    assert [(row["token"], row["mark"]) for row in charts_of(app)[1]] == [("club", "club")]
    assert list(app.dataframe[0].value["word"]) == ["team", "won"]


def test_a_span_is_marked_in_its_text(runs: RunsFolder, worker: StandIn) -> None:
    worker.says["answer"] = {"kind": "span", "prediction": "team", "score": 0.7, "start": 4,
                             "end": 8, "windows": 2}  # fmt: skip
    key = add_adapter(runs, task="question-answering")
    app = ask(key)
    assert "Ask a question about the text" in texts(app) and not worker.asked
    app.text_input(key="playground-second").set_value("who?").run()
    assert worker.asked[0]["pair"] == "who?"
    assert {r["token"] for r in charts_of(app)[0] if r["mark"]} == {"team"}
    assert "2 windows" in texts(app)


def test_masks_show_their_candidates(runs: RunsFolder, worker: StandIn) -> None:
    candidates = [{"word": "cup", "probability": 0.6}, {"word": "game", "probability": 0.2}]
    worker.says["answer"] = {
        "kind": "masked",
        "prediction": "cup",
        "score": 0.6,
        "pieces": [],
        "masks": [{"at": 3, "candidates": candidates}],
        "drawn": True,
    }
    app = ask(add_adapter(runs, task="masked-lm"))
    assert "masked at random" in texts(app)
    assert [row["name"] for row in charts_of(app)[0]] == ["cup", "game"]
    assert "base model (zero-shot)" in texts(app) and worker.asked[1]["zero_shot"] is True


def test_a_writer_and_its_untouched_base(runs: RunsFolder, worker: StandIn) -> None:
    worker.says["answer"] = lambda request: {
        "kind": "text",
        "prediction": "base says" if request["zero_shot"] else "adapter says",
        "score": 0.4,
        "ids": [5, 6],
        "pieces": [{"text": "adapter", "probability": 0.5}, {"text": " says", "probability": 0.3}],
        "told": ["adapter", " says"],
    }
    app = ask(add_adapter(runs, task="instruction"))
    assert "adapter says" in texts(app) and "base says" in texts(app)
    (explained,) = [r for r in worker.asked if r["do"] == "attribution"]
    assert explained["ids"] == [5, 6] and explained["choice"] == 0


# --- a file of texts ------------------------------------------------------------------------


def give(*adapters: str, content: bytes) -> AppTest:
    app = open_playground(*adapters, **{"from": "A file of texts"})
    app.file_uploader(key="playground-file").set_value(("texts.txt", content, "text/plain"))
    app.run()
    assert not app.exception
    return app


def test_a_file_is_answered_line_by_line(runs: RunsFolder, worker: StandIn) -> None:
    def differing(request: dict[str, Any]) -> dict[str, Any]:
        odd = "prefix" in request["folder"] and request["text"] == "second"
        return {**LABELS, "prediction": "tech" if odd else "sport"}

    worker.says["answer"] = differing
    keys = [add_adapter(runs, method) for method in ("lora", "prefix")]
    app = give(*keys, content=b"\xef\xbb\xbffirst\n\nsecond\n")
    table = app.dataframe[0].value
    assert list(table["text"]) == ["first", "second"] and list(table["agree"]) == ["yes", "no"]
    assert table[keys[1]][1] == "tech (90%)"
    assert "1 of 2 texts" in texts(app)
    assert not any(request["do"] == "attribution" for request in worker.asked)


@pytest.mark.parametrize(("content", "said"), [(b"\xff\xfe", "Not UTF-8"), (b" \n", "no text")])
def test_a_file_without_texts_is_refused(
    runs: RunsFolder, worker: StandIn, content: bytes, said: str
) -> None:
    assert said in texts(give(add_adapter(runs), content=content))
    assert not worker.asked


def test_a_long_file_is_cut_and_that_is_said(runs: RunsFolder, worker: StandIn) -> None:
    app = give(add_adapter(runs), content=b"text\n" * 130)
    assert "first 100 of 130 texts" in texts(app).lower()
    assert len(app.dataframe[0].value) == 100
