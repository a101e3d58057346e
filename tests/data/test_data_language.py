"""Texts without labels, prompts with completions, and chats."""

from __future__ import annotations

import json

import pytest

from workbench.data.forms import FORMS
from workbench.data.sources import assets
from workbench.recipe.tasks import TASK_SPECS

PROMPTS = [{"text": f"Say {i}.", "label": f"It is {i}."} for i in range(20)]


def chat(*messages):
    roles = {"s": "system", "u": "user", "a": "assistant"}
    return [{"role": roles[m[0]], "content": m[2:]} for m in messages]


CHATS = [
    {"messages": chat("s:Be brief.", f"u:Hi {i}", "a:Hello", "u:How?", f"a:Well {i}")}
    for i in range(20)
]


def test_every_task_has_a_form():
    assert list(FORMS) == list(TASK_SPECS)


# ------------------------------------------------------------------ language modelling


@pytest.mark.parametrize("task", ["causal-lm", "masked-lm"])
def test_texts_need_no_labels(load, write, task):
    data = load(write("x.jsonl", [{"body": f"text {i}"} for i in range(20)]), task, text="body")
    assert set(data.train.labels) == {""} and len(data.train) == 14
    assert data.train.parts is None and data.label_names == () and data.notes == ()


def test_label_columns_and_folders_of_classes_are_left_alone(load, write, tmp_path):
    rows = [{"text": f"text {i}", "label": None} for i in range(20)]
    assert len(load(write("x.jsonl", rows), "causal-lm").train) == 14
    for i in range(20):
        write(f"d/{'ab'[i % 2]}/{i}.txt", f"text {i}")
    assert set(load(tmp_path / "d", "masked-lm").test.labels) == {""}


def test_empty_texts_are_refused(refusal, write):
    rows = [{"text": f"text {i}"} for i in range(20)] + [{"text": " "}]
    message = refusal(write("x.jsonl", rows), task="causal-lm")
    assert "missing or empty text in column 'text', 1 of 21 rows: x.jsonl:21" in message


# ------------------------------------------------------------------ prompts and completions


def test_prompts_and_completions(load, write):
    data = load(write("x.jsonl", PROMPTS), "instruction")
    assert data.train.parts is None
    for prompt, completion in zip(data.train.texts, data.train.labels, strict=True):
        assert completion == prompt.replace("Say", "It is")


@pytest.mark.parametrize("bad", [None, "", " \n"])
def test_empty_completions_are_refused_with_rows(refusal, write, bad):
    message = refusal(write("x.jsonl", [*PROMPTS, {"text": "a", "label": bad}]), task="instruction")
    assert "an empty completion in column 'label', 1 of 21 rows: x.jsonl:21" in message


def test_completions_are_text(refusal, write):
    path = write("x.jsonl", [*PROMPTS, {"text": "a", "label": 7}])
    assert "something that is not text in column 'label'" in refusal(path, task="instruction")


def test_texts_without_a_column_of_completions(refusal, write):
    rows = [{"text": f"text {i}", "labels": "x"} for i in range(20)]
    message = refusal(write("x.jsonl", rows), task="instruction")
    assert "no column 'label'" in message and "nearest to 'label' is 'labels'" in message


def test_the_embedded_headlines(load, tmp_path, monkeypatch):
    rows = [{"article": f"Text {i}.", "headline": f"Head {i}", "topic": "tech"} for i in range(20)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "articles.jsonl").write_text(lines, encoding="utf-8")
    monkeypatch.setattr(assets, "fetch", lambda name: tmp_path)
    data = load("asset:bbc-headlines", "instruction", text="article", label="headline")
    assert data.train.texts[0].replace("Text", "Head") == data.train.labels[0] + "."
    assert data.train.ids[0].startswith("articles.jsonl:")


# ------------------------------------------------------------------ chats


def test_the_last_message_of_a_chat_is_the_completion(load, write):
    data = load(write("x.jsonl", CHATS), "instruction", text="messages")
    assert data.test.texts == ("How?",) * 4
    number = data.test.labels[0].removeprefix("Well ")
    assert data.test.parts[0] == (
        ("system", "Be brief."), ("user", f"Hi {number}"), ("assistant", "Hello"), ("user", "How?")
    )  # fmt: skip
    assert data.duplicates_removed == 0 and data.notes == ()


def test_chats_with_the_same_beginning_are_duplicates(load, write):
    again = {"messages": chat("s:be  brief.", "u:Hi 3", "a:Hello", "u:How?", "a:Other")}
    data = load(write("x.jsonl", [*CHATS, again]), "instruction", text="messages")
    assert data.duplicates_removed == 1
    assert "x.jsonl:21 repeats x.jsonl:4" in data.notes[0]


def test_what_follows_the_completion_is_noted(load, write):
    rows = [*CHATS, {"messages": chat("u:Hi", "a:Yes?", "u:Nothing.")}]
    data = load(write("x.jsonl", rows), "instruction", text="messages")
    assert data.notes == (
        "1 of 21 chats continue after the assistant's last message; what comes after it is not "
        "used.",
    )
    assert {"Yes?"} <= {*data.train.labels, *data.validation.labels, *data.test.labels}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (chat("u:Hi"), "a chat without a message of the assistant in column 'messages', 1 of 21"),
        ([], "a chat without a message of the assistant"),
        (chat("s:Be brief.", "a:Hello"), "a chat without a message of the user before"),
        (chat("u: ", "a:Hello"), "a chat without a message of the user before"),
        (chat("u:Hi", "a: "), "an empty completion"),
        (chat("u:\ud83d", "a:Hello"), "lone surrogate"),
        ([{"from": "human", "value": "Hi"}], "not a list of chat messages"),
        ([{"role": "bot", "content": "Hi"}], "not a list of chat messages"),
        ([{"role": "user", "content": None}], "not a list of chat messages"),
        (["Hi", "Hello"], "not a list of chat messages"),
    ],
)
def test_chats_that_teach_nothing_are_refused_by_name(refusal, write, messages, words):
    path = write("x.jsonl", [*CHATS, {"messages": messages}])
    message = refusal(path, task="instruction", text="messages")
    assert words in message and "x.jsonl:21" in message


def test_chats_and_texts_do_not_mix(refusal, write):
    path = write("x.jsonl", [*CHATS, {"messages": "Hi"}])
    message = refusal(path, task="instruction", text="messages")
    assert "chats in 20 rows and texts in 1" in message


def test_content_hash_sees_the_whole_chat(load, write):
    base = load(write("x.jsonl", CHATS), "instruction", text="messages").content_hash
    first = {"messages": chat("s:Be long.", *(f"{m['role'][0]}:{m['content']}" for m in
                                              CHATS[0]["messages"][1:]))}  # fmt: skip
    other = load(write("x.jsonl", [first, *CHATS[1:]]), "instruction", text="messages")
    assert other.content_hash != base
