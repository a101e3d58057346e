"""Lists in the cells of a csv file, as pandas and others write them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from workbench.data.cells import unwritten

WRITE = {
    "python": str,
    "json": json.dumps,
    "json-escaped": lambda v: json.dumps(v, ensure_ascii=True),
}


def as_csv(path, rows, write):
    listed = (list, dict)
    cells = [{k: write(v) if isinstance(v, listed) else v for k, v in r.items()} for r in rows]
    pd.DataFrame(cells).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("write", WRITE.values(), ids=WRITE)
@pytest.mark.parametrize(
    ("rows", "keys"),
    [
        ([{"text": ["Rome's", f'"w{i}"', "né"], "label": ["B-LOC", "O", "O"]} for i in range(20)],
         {"task": "token-classification"}),
        ([{"text": f"t {i}", "label": [["it's"], ["b", "it's"], []][i % 3]} for i in range(20)],
         {"problem_type": "multi_label_classification"}),
        ([{"text": [{"role": "user", "content": f"q's {i}"}, {"role": "assistant", "content": "a"}]}
          for i in range(20)], {"task": "instruction"}),
    ],
    ids=["words", "labels", "chats"],
)  # fmt: skip
def test_cells_hold_the_same_as_lists(load, tmp_path, write, rows, keys):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    listed = load(path, **keys)
    assert load(as_csv(tmp_path / "x.csv", rows, write), **keys).content_hash == listed.content_hash


def test_arrays_as_numpy_shows_them_are_refused_and_not_joined(refusal, tmp_path):
    """Python reads "['a' 'b']" as the single text "ab"."""
    words, tags = np.array(["Rome", "fell"]), np.array(["B-LOC", "O"])
    path = as_csv(tmp_path / "x.csv", [{"text": str(words), "label": str(tags)}] * 9, str)
    message = refusal(path, task="token-classification")
    assert "words that are not a list in column 'text', 9 of 9 rows: x.csv:2" in message


@pytest.mark.parametrize("text", ["[1] see below", "[1, 2]", '{"a": 1}', "['a']", '[{"a": 1}]'])
def test_prompts_that_look_like_lists_stay_texts(load, write, text):
    rows = [{"text": f"{text}" if i else "a", "label": f"c {i}"} for i in range(20)]
    data = load(write("x.jsonl", rows), task="instruction", duplicates="keep")
    assert set(data.train.texts) <= {"a", text} and data.train.parts is None


@pytest.mark.parametrize(
    "text", ["[" * 5000, "[1, 2", "{1: [}", "[__import__('os')]", "[1] 2", " [", "{x}"]
)
def test_what_is_no_list_stays_as_it_is(text):
    assert unwritten(text) == text
