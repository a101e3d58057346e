"""Json files as people have them: pandas' layouts, SQuAD's own file, and broken ones."""

from __future__ import annotations

import json

import pandas as pd
import pytest

FRAME = pd.DataFrame({"text": [f"text {i}" for i in range(20)], "label": ["a", "b"] * 10})


def rows_of(data):
    """(text, label name), sorted."""
    splits = (data.train, data.validation, data.test)
    pairs = (pair for s in splits for pair in zip(s.texts, s.labels, strict=True))
    return sorted((text, data.label_names[label]) for text, label in pairs)


EXPECTED = sorted(FRAME.itertuples(index=False, name=None))


@pytest.mark.parametrize("index", [range(20), [f"row {i}" for i in range(20)]])
@pytest.mark.parametrize("orient", ["columns", "index", "records", "split", "table"])
def test_every_layout_of_pandas_is_read(load, tmp_path, orient, index):
    path = tmp_path / "x.json"
    FRAME.set_index(pd.Index(index)).to_json(path, orient=orient)
    assert rows_of(load(path)) == EXPECTED


def test_lists_by_column_and_rows_under_data_are_read(load, write):
    path = write("x.json", json.dumps(FRAME.to_dict(orient="list")))
    assert rows_of(load(path)) == EXPECTED
    path = write("y.json", json.dumps({"version": 1, "data": FRAME.to_dict(orient="records")}))
    assert rows_of(load(path)) == EXPECTED


def test_the_layout_without_names_is_refused(refusal, tmp_path):
    FRAME.to_json(tmp_path / "x.json", orient="values")
    message = refusal(tmp_path / "x.json")
    assert "x.json:0: a list where an object was expected, and 19 more" in message


def test_a_missing_column_of_pandas_layout_lists_those_there(refusal, tmp_path):
    FRAME.rename(columns={"text": "review"}).to_json(tmp_path / "x.json")
    assert "columns found: 'review', 'label'" in refusal(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": 1}', "one object with 'a' instead of rows"),
        ("{}", "one object with nothing in it instead of rows"),
        ('{"train": [{"text": "a", "label": "b"}]}', "one object with 'train' instead of rows"),
        ('{\n  "text": "a",\n  "label": \n}', "x.json:4: not valid JSON"),
        ("[1, 2", "x.json:1: not valid JSON"),
        ('{"data": [{"paragraphs": 3}]}', "data[0] has no list 'paragraphs'"),
        ('{"data": [{"paragraphs": [{"context": "a"}]}]}', "data[0].paragraphs[0] has no list"),
        ('{"data": [{"paragraphs": [{"context": "a", "qas": [1]}]}]}', "qas[0] is no object"),
        ('{"data": [{"paragraphs": []}]}', "no rows"),
        ('{"columns": ["text"], "data": [["a", "b"]]}', "a list where an object was expected"),
        ('{"text": {"0": "a"}, "label": 3}', "x.json:1"),
        ('{"text": ["a", "b"], "label": [1]}', "x.json:1"),
    ],
)
def test_documents_that_are_no_rows_are_refused(refusal, write, content, words):
    message = refusal(write("x.json", content))
    assert words in message and "x.json" in message


def test_all_broken_lines_are_named_in_one_report(refusal, write):
    good = '{"text": "a", "label": "b"}'
    lines = [good, "{", good, "[1]", "oops", "7", '{"text": "", "label": "c"}']
    message = refusal(write("x.jsonl", "\n".join(lines)))
    assert "3 problems in the data" in message
    assert "x.jsonl:2: not valid JSON" in message and "the same in 1 more lines (5)" in message
    assert "x.jsonl:4: a list where an object was expected, and 1 more: 6 (7)" in message
    assert "missing or empty text in column 'text', 1 of 5 rows: x.jsonl:7" in message


def squad(*questions, **more):
    paragraph = {"context": "Rome fell in 476.", "qas": list(questions)}
    return {"version": "v2.0", "data": [{"title": "Rome", "paragraphs": [paragraph]}], **more}


def asked(i, answer="476", start=13):
    answers = [{"text": answer, "answer_start": start}] if answer else []
    return {
        "id": f"q{i}",
        "question": f"When, {i}?",
        "answers": answers,
        "is_impossible": not answer,
    }


QA = {"task": "question-answering", "text": "context", "text_pair": "question", "label": "answers"}


def test_squads_own_file_is_read(load, write):
    questions = [asked(i) if i % 4 else asked(i, answer="") for i in range(20)]
    path = write("train-v2.0.json", json.dumps(squad(*questions)))
    data = load(path, **QA, duplicates="keep", allow_no_answer=True)
    splits = (data.train, data.validation, data.test)
    found = {i: (c, q, y) for s in splits
             for i, c, q, y in zip(s.ids, s.texts, s.pairs, s.labels, strict=True)}  # fmt: skip
    assert found == {
        f"train-v2.0.json:q{i}": (
            "Rome fell in 476.", f"When, {i}?", ((13, "476"),) if i % 4 else ()
        )
        for i in range(20)
    }  # fmt: skip


def test_squads_file_may_lack_the_starts_of_answers(load, write):
    questions = [asked(i) | {"answers": [{"text": "476"}]} for i in range(20)]
    data = load(write("x.json", json.dumps(squad(*questions))), **QA, duplicates="keep")
    assert set(data.train.labels) == {((13, "476"),)}


def test_a_wrong_answer_of_squads_file_names_the_question(refusal, write):
    path = write("x.json", json.dumps(squad(*map(asked, range(9)), asked(9, start=3))))
    message = refusal(path, **QA)
    assert "an answer that does not stand at its answer_start" in message and "x.json:q9" in message


def test_questions_without_ids_are_counted(load, write):
    questions = [{k: v for k, v in asked(i).items() if k != "id"} for i in range(20)]
    data = load(write("x.json", json.dumps(squad(*questions))), **QA)
    assert set(data.train.ids) < {f"x.json:{i}" for i in range(20)}
