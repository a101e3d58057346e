"""Broken inputs of every kind of file: each is refused with its file and rows, none is misread."""

from __future__ import annotations

import json
import os
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from example_rows import distinct_rows

TAGS = "token-classification"
ASKED = {
    "task": "question-answering",
    "text": "context",
    "text_pair": "question",
    "label": "answers",
}
CHATS = {"task": "instruction", "text": "messages"}
MULTI = {"problem_type": "multi_label_classification"}
GOOD = [f"text {i},{'ab'[i % 2]}" for i in range(10)]
CSV = "\n".join(["text,label", *GOOD])


def lines(*rows):
    return "\n".join(json.dumps(row) for row in rows)


def table(**columns):
    return pa.table(columns)


def question(**changes):
    row = {"context": "Rome fell in 476.", "question": "When?", "answers": "476"}
    return row | changes


def chat(*messages):
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


BROKEN = [
    # csv and tsv
    ("x.csv", CSV + "\ntext,label\nmore,a", {}, "x.csv:12: the names of the columns stand in"),
    ("x.csv", "\n".join(GOOD), {}, "columns found: 'text 0', 'a'; required: 'text', 'label'"),
    ("x.csv", "\n".join(GOOD), {}, "which a csv or tsv file has in its first line"),
    ("x.csv", "<!DOCTYPE html>\n<html>404</html>", {}, "x.csv: this is a web page"),
    ("x.csv", CSV.replace("text,label", "text, label"), {}, "the nearest to 'label' is ' label'"),
    ("x.csv", CSV.replace(",", ";"), {}, "the columns seem to be separated by semicolons"),
    ("x.csv", CSV.replace("text 3", "te\rxt 3"), {}, "x.csv:5: 1 fields where the header has 2"),
    ("x.csv", CSV + '\n"open,a', {}, "x.csv:12: unbalanced quotes"),
    ("x.csv", CSV + "\n,a\nb,", {}, "empty text in column 'text', 1 of 12 rows: x.csv:12"),
    ("x.csv", CSV + "\n,a\nb,", {}, "missing label, 1 of 12 rows: x.csv:13 ('')"),
    ("x.csv", CSV + "\nb,nan", {}, "missing label, 1 of 11 rows: x.csv:12 ('nan')"),
    ("x.csv", 'text,label\na,"1,5"\nb,2.5\nc,3', {"problem_type": "regression"},
     "a label that is not a finite number, 1 of 3 rows: x.csv:2 ('1,5')"),
    ("x.csv", "text,a,b\n" + "\n".join(f"t{i},{i % 2},{i}" for i in range(4)),
     MULTI | {"label": ["a", "b"]}, "neither 0 nor 1 in columns a, b, 2 of 4 rows: x.csv:4"),
    ("x.csv", CSV, MULTI, "a label that is not a list, 10 of 10 rows: x.csv:2 ('a')"),
    ("x.tsv", CSV, {}, "columns found: 'text,label'"),
    ("x.tsv", CSV.replace(",", "\t") + "\na\tb\tc", {}, "x.tsv:12: 3 fields where the header"),
    # json and jsonl
    ("x.jsonl", "{'text': 'a', 'label': 'b'}", {}, "x.jsonl:1: not valid JSON"),
    ("x.jsonl", lines(*distinct_rows(3)) + '\n{"text": "a"', {}, "x.jsonl:4: not valid JSON"),
    ("x.json", '{"text": "a", "label": "b"}{"text": "c", "label": "d"}', {}, "x.json:1: not valid"),
    ("x.jsonl", lines(*distinct_rows(9), {"text": "a"}), {}, "label, 1 of 10 rows: x.jsonl:10"),
    ("x.jsonl", lines(*distinct_rows(9), {"text": "a", "label": "\ud83d"}), {},
     "a label with invalid Unicode (a lone surrogate), 1 of 10 rows: x.jsonl:10"),
    ("x.json", lines({"train": distinct_rows(3)}), {}, "x.json: one object with 'train' instead"),
    ("x.json", json.dumps([["a", "b"]] * 3), {}, "x.json:0: a list where an object was expected"),
    # parquet
    ("x.parquet", table(text=[b"a", b"b"], label=[0, 1]), {}, "2 of 2 rows: x.parquet:0 (b'a')"),
    ("x.parquet", table(text=["a", None], label=[0, 1]), {}, "1 of 2 rows: x.parquet:1 (None)"),
    ("x.parquet", table(text=["a", "b"], label=[Decimal(1), Decimal(0)]), {},
     "a label that is not a word or number, 2 of 2 rows: x.parquet:0"),
    ("x.parquet", table(Text=["a"], label=[0]), {}, "nearest to 'text' is 'Text'"),
    # words and tags
    ("x.jsonl", lines({"text": ["a", "b"], "label": "O O"}), {"task": TAGS},
     "tags that are not a list in column 'label', 1 of 1 rows: x.jsonl:1 ('O O')"),
    ("x.jsonl", lines({"text": "a b", "label": "O O"}), {"task": TAGS},
     "words that are not a list in column 'text', 1 of 1 rows: x.jsonl:1 ('a b')"),
    ("x.conll", "a O\nb O\n\nc\n", {"task": TAGS}, "1 of 3 lines: x.conll:4 ('c')"),
    ("x.conll", "a O X\nb O\n", {"task": TAGS}, "not 3 columns, as the first has, 1 of 2 lines"),
    ("x.bio", "O\ta\n" * 3, {"task": TAGS, "label": "ner"}, "data.label is 'ner', and this file"),
    # questions
    ("x.jsonl", lines(question(answers="477")), ASKED, "does not occur in its context in column"),
    ("x.jsonl", lines(question(answers={"text": ["476"], "answer_start": ["13"]})), ASKED,
     "something that is not an answer in column 'answers', 1 of 1 rows: x.jsonl:1"),
    ("x.jsonl", lines(question(answers={"text": ["476"], "answer_start": [14]})), ASKED,
     "does not stand at its answer_start in column 'answers', 1 of 1 rows: x.jsonl:1"),
    ("x.json", lines({"data": [{"paragraphs": [{"context": "a", "qas": "b"}]}]}), ASKED,
     "x.json: data[0].paragraphs[0] has no list 'qas'"),
    # chats
    ("x.jsonl", lines({"messages": [{"from": "human", "value": "q"}]}), CHATS,
     "not a list of chat messages in column 'messages', 1 of 1 rows: x.jsonl:1"),
    ("x.jsonl", lines(chat(("user", "q"))), CHATS, "a chat without a message of the assistant"),
    ("x.jsonl", lines(chat(("assistant", "a"))), CHATS, "a chat without a message of the user"),
    ("x.jsonl", lines(chat(("user", "q"), ("assistant", " "))), CHATS, "an empty completion"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "keys", "words"), BROKEN)
def test_a_broken_file_is_refused_by_name(refusal, write, tmp_path, name, content, keys, words):
    path = tmp_path / name
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
    else:
        write(name, content)
    message = refusal(path, **keys)
    assert words in message and name in message
    assert "unexpected error" not in message and "Traceback" not in message


def test_every_problem_of_several_files_is_in_one_report(refusal, write, tmp_path):
    write("d/train.csv", CSV + "\n,a\nb,\nc,d,e")
    write("d/test.jsonl", lines(*distinct_rows(4), {"text": 7, "label": "a"}) + "\n{")
    message = refusal(tmp_path / "d", splits={"train": "train", "test": "test"})
    assert message.startswith("5 problems in the data:\n")
    for words in (
        "train.csv:14: 3 fields where the header has 2",
        "test.jsonl:6: not valid JSON",
        "missing label, 1 of 18 rows: train.csv:13",
        "missing or empty text in column 'text', 1 of 13 rows: train.csv:12",
        "something that is not text in column 'text', 1 of 5 rows: test.jsonl:5 (7)",
    ):
        assert words in message


def test_every_text_of_a_folder_that_cannot_be_read_is_named(refusal, write, tmp_path):
    for i in range(4):
        write(f"t/{'ab'[i % 2]}/{i}.txt", f"text {i}" if i % 2 else b"\xa3 1")
    write("t/a/8.txt", "")
    message = refusal(tmp_path / "t")
    assert message.startswith("2 problems in the data:\n")
    assert "a/0.txt: not valid utf-8 (byte 0, line 1: 0xa3" in message
    assert "1 more files cannot be read either: a/2.txt" in message
    assert "missing or empty text in column 'text', 1 of 5 rows: a/8.txt" in message


def test_files_that_lack_columns_are_all_named(refusal, write, tmp_path):
    write("d/train.csv", "review,label\na,b")
    write("d/test.csv", "text,stars\na,b")
    message = refusal(tmp_path / "d", splits={"train": "train", "test": "test"})
    assert "train.csv: no column 'text'" in message and "test.csv: no column 'label'" in message


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_odd_but_sound_texts_are_read_as_pandas_reads_them(load, tmp_path, suffix):
    odd = [
        "a\u2028b",
        "c\x0bd",
        "e\x85f",
        "NA",
        "null",
        "  spaces ",
        "'single'",
        "em—dash",
        "🙂",
        "#",
    ]
    frame = pd.DataFrame(
        {"text": [f"{t} {i}" for i, t in enumerate(odd * 2)], "label": [0, 1] * 10}
    )
    path, separator = tmp_path / f"x.{suffix}", "\t" if suffix == "tsv" else ","
    frame.to_csv(path, sep=separator, index=False)
    data = load(path)
    theirs = pd.read_csv(path, sep=separator, keep_default_na=False)
    splits = (data.train, data.validation, data.test)
    read = {i: text for s in splits for i, text in zip(s.ids, s.texts, strict=True)}
    assert [read[f"x.{suffix}:{line}"] for line in range(2, 22)] == list(theirs["text"])
    assert list(theirs["text"]) == list(frame["text"])


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("/tmp/" + "x" * 5000 + ".csv", "cannot be read: File name too long"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("a\0b.csv", "cannot be read: embedded null"),
        ("~nobody-of-this-name/x.csv", "cannot be read: Could not determine home directory"),
        ("/dev/null", "/dev/null: a device or pipe, which is no file"),
    ],
)
def test_a_source_that_cannot_be_a_file_is_refused(refusal, source, words):
    assert words in refusal(source)


def test_a_pipe_is_not_waited_for(refusal, tmp_path):
    os.mkfifo(tmp_path / "x.csv")
    assert "a device or pipe, which is no file" in refusal(tmp_path / "x.csv")
