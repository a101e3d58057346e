"""The playground: what it shows of each kind of answer, and that text stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from made_runs import RunsFolder, news_recipe
from opening import open_view, texts
from streamlit.testing.v1 import AppTest

import answer_cards
import explain_panel
import questions
import token_charts
import weight_charts
from workbench.playground import PlaygroundError
from workbench.store import write_json

TEXT = "the team won the cup"
HOSTILE = "<script>alert(1)</script> ![x](http://x.example) **bold** :red[x] $a$"
TIMES = {"seconds": 0.02, "loading_seconds": 0.0, "tokens": 7, "cut": False}
LABELS = {
    "kind": "labels",
    "prediction": "sport",
    "score": 0.9,
    "several": False,
    "labels": [{"label": "tech", "probability": 0.1}, {"label": "sport", "probability": 0.9}],
}
TOKENS = [
    {"text": text, "special": text.startswith("["), "goes_on": text == "s"}
    for text in ("[CLS]", "team", "s", "won", "[SEP]")
]
ABOUT = {"about": "sport", "choice": 1, "choices": ["tech", "sport"], "position": 0,
         "tokens": TOKENS, "cut": False, "windows": 1, "unit": "log-probability"}  # fmt: skip


class StandIn:
    """Answers as the worker would, from what a test has put into ``says``."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self.waiting = 0
        self.memory: dict[str, Any] = {}
        self.asked: list[dict[str, Any]] = []
        self.says: dict[str, Any] = {"answer": LABELS}
        self.unloaded = False

    def stream(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.asked.append(request)
        self.pid = 1
        answer = self.says[request["do"]]
        if callable(answer):
            answer = answer(request)
        for piece in answer.get("told", ()):
            yield {"piece": piece, "probability": 0.5}
        self.memory = {"adapters": 2, "weights_bytes": 91_600_000, "process_bytes": 700_000_000}
        yield {"result": {**TIMES, **answer} if request["do"] == "answer" else answer}

    def unload(self) -> None:
        self.pid, self.memory, self.unloaded = None, {}, True


def attribution(**more: Any) -> dict[str, Any]:
    numbers = {"values": [0.0, 1.0, 0.5, -0.4, 0.0], "value": -0.1, "empty": -1.2, "gap": 0.001}
    return {**ABOUT, "adapter": numbers, "base": None, "why_no_base": "no base: at random", **more}


def attention(request: dict[str, Any]) -> dict[str, Any]:
    row = [0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1]
    base = {"attention": [0.2] * 5, "rollout": [0.2] * 5}
    layer = request["layer"] % 3
    return {
        **ABOUT,
        "layers": 3, "heads": 2, "layer": layer, "head": request["head"],
        "virtual_rows": 0, "virtual_columns": 2, "first": 0, "map": [row] * 5,
        "share": [[0.5, 0.4]] * 3,
        "rows": {"adapter": {"attention": row, "rollout": row}, "base": base},
    }  # fmt: skip


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    stand_in.says |= {"attribution": lambda _: attribution(), "attention": attention}
    monkeypatch.setattr(questions, "playground", lambda: stand_in)
    return stand_in


def add_adapter(runs: RunsFolder, method: str = "lora", task: str = "text-classification") -> str:
    path = runs.add(news_recipe(method), 0)
    about = {"task": {"name": task}, "labels": ["tech", "sport"], "base": "tiny/base"}
    write_json(path / "adapter" / "workbench.json", about)
    return f"news/{path.name}"


def open_playground(*adapters: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(token_charts.__file__).replace("token_charts", "app"))
    app.default_timeout = 30
    app.run()
    app.switch_page("views/playground.py")
    app.query_params["adapters"] = list(adapters)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def ask(*adapters: str, text: str = TEXT, **query: str) -> AppTest:
    app = open_playground(*adapters, **query)
    app.text_area(key="playground-text").set_value(text).run()
    assert not app.exception
    return app


def charts_of(app: AppTest) -> list[list[dict[str, Any]]]:
    """The rows that each chart draws, in the page's order."""
    return [
        pa.ipc.open_stream(chart.proto.datasets[0].data.data).read_all().to_pylist()
        for chart in app.get("vega_lite_chart")
    ]


# --- nothing to show ------------------------------------------------------------------------


def test_it_says_what_to_do_without_adapters(runs: RunsFolder, worker: StandIn) -> None:
    runs.add(news_recipe("lora"), 0, "running")
    said = texts(open_view("playground"))
    assert "No adapter to ask yet" in said and "workbench import" in said
    add_adapter(runs, "prefix")
    app = open_view("playground")
    assert "No adapter chosen" in texts(app)
    assert "loaded with the first question" in texts(app)
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
    assert said.count("90% sure") == 2 and "lora, seed 0" in said and "prefix, seed 0" in said
    assert "20 ms · 7 tokens" in said
    assert "91.6 MB of weights: 2 adapters" in said and "700 MB" in said
    assert [r["do"] for r in worker.asked] == ["answer", "answer", "attribution"]
    assert [row["name"] for row in charts_of(app)[0]] == ["sport", "tech"]
    app.run()  # nothing is asked twice
    assert len(worker.asked) == 3


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
    assert "SIGKILL" in said and "fix: ask again" in said and "90% sure" in said
    assert app.selectbox(key="why").options == [app.selectbox(key="why").value]


def test_what_was_cut_is_said(runs: RunsFolder, worker: StandIn) -> None:
    worker.says["answer"] = {**LABELS, "cut": True}
    assert "left out" in texts(ask(add_adapter(runs)))


def test_entities_are_marked(runs: RunsFolder, worker: StandIn) -> None:
    words = [("the", "O", 0.9), ("team", "B-club", 0.8), ("won", "I-club", None)]
    rows = [{"word": w, "tag": t, "probability": p} for w, t, p in words]
    worker.says["answer"] = {"kind": "tags", "prediction": "", "score": 0.85, "words": rows}
    app = ask(add_adapter(runs, task="token-classification"))
    marked = {row["token"]: row["mark"] for row in charts_of(app)[0]}
    assert marked == {"the": "", "team": "club", "won": "club"}
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
    assert "hidden at random" in texts(app)
    assert [row["name"] for row in charts_of(app)[0]] == ["cup", "game"]
    assert "untouched base" in texts(app) and worker.asked[1]["untouched"] is True


def test_a_writer_and_its_untouched_base(runs: RunsFolder, worker: StandIn) -> None:
    worker.says["answer"] = lambda request: {
        "kind": "text",
        "prediction": "base says" if request["untouched"] else "adapter says",
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


# --- why ------------------------------------------------------------------------------------


def test_the_words_that_speak_for_an_answer_are_named(runs: RunsFolder, worker: StandIn) -> None:
    said = texts(ask(add_adapter(runs))).replace("\\", "")
    assert "“teams” speaks most for “sport”." in said
    assert "“won” speaks against it." in said
    assert "Probability: 90%; with every word covered 30%." in said
    assert "no base: at random" in said


def test_the_base_stands_beside_where_it_has_an_answer(runs: RunsFolder, worker: StandIn) -> None:
    numbers = {"values": [0.0, 0.2, 0.1, 0.4, 0.0], "value": -0.7, "empty": -1.4, "gap": 0.0}
    worker.says["attribution"] = lambda _: attribution(base=numbers, why_no_base="")
    app = ask(add_adapter(runs))
    assert "What the fine-tuning changed" in texts(app).replace("\\", "")
    assert "The untouched base gives it 50%" in texts(app)
    changed = {r["number"]: r["value"] for r in charts_of(app)[3]}
    assert changed[1] == pytest.approx(0.8) and changed[3] == pytest.approx(-0.8)


def test_attention_is_addressed_by_layer_and_head(runs: RunsFolder, worker: StandIn) -> None:
    app = ask(add_adapter(runs, "prefix"), look="Attention", layer="2", head="1")
    asked = [(r["layer"], r["head"]) for r in worker.asked if r["do"] == "attention"]
    assert asked == [(-1, None), (1, 0)]
    said = texts(app).replace("\\", "")
    assert "Layer 2, head 1: what “[CLS]” looks at" in said
    assert "50% of its attention on the 2 virtual tokens" in said
    shown = charts_of(app)[1]
    assert [row["token"] for row in shown][:3] == ["v1", "v2", "[CLS]"]
    assert [row["kind"] for row in shown][:3] == ["virtual", "virtual", "text"]


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
    words = explain_panel.words_of(TOKENS, [9.0, 1.0, 0.5, -0.4, 9.0])
    assert words == [("teams", 1.5), ("won", -0.4)]


def test_names_in_a_chart_are_told_apart() -> None:
    rows = weight_charts.numbered([{"name": "goal", "value": 1}, {"name": "goal", "value": 2}])
    assert [row["name"] for row in rows] == ["goal", "goal (2)"]


def test_how_sure_is_never_more_than_it_is() -> None:
    assert [answer_cards.sure(p) for p in (0.9999, 0.5, 0.001, None)] == [
        "over 99%", "50%", "under 1%", "–"
    ]  # fmt: skip
