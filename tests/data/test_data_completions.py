"""Prompts and completions in the columns that people have."""

from __future__ import annotations

import pandas as pd
import pytest

ALPACA = {"task": "instruction", "text": "instruction", "text_pair": "input", "label": "output"}


def alpaca(count=20):
    """Rows as in https://github.com/tatsu-lab/stanford_alpaca, most of them without input."""
    return [
        {
            "instruction": f"Translate number {i}.",
            "input": f"number {i}" if i % 3 == 0 else ["", None][i % 2],
            "output": f"Zahl {i}",
        }
        for i in range(count)
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_alpacas_three_columns(load, write, tmp_path, suffix):
    rows, path = alpaca(), tmp_path / f"x.{suffix}"
    frame = pd.DataFrame(rows)
    if suffix == "jsonl":
        write(path.name, rows)
    elif suffix == "json":
        frame.to_json(path, orient="records")
    else:
        (frame.to_csv if suffix == "csv" else frame.to_parquet)(path, index=False)
    data = load(path, **ALPACA)
    splits = (data.train, data.validation, data.test)
    found = dict(pair for s in splits for pair in zip(s.labels, s.texts, strict=True))
    assert found == {
        row["output"]: row["instruction"] + (f"\n{row['input']}" if row["input"] else "")
        for row in rows
    }
    assert data.train.pairs is None and data.notes == ()


def test_the_same_instruction_with_another_input_is_no_duplicate(load, write):
    rows = [{**row, "instruction": "Translate.", "input": f"number {i}"}
            for i, row in enumerate(alpaca())]  # fmt: skip
    assert load(write("x.jsonl", rows), **ALPACA).duplicates_removed == 0


def test_an_input_that_is_no_text_and_chats_with_an_input_are_refused(refusal, write):
    message = refusal(write("x.jsonl", [*alpaca(), {**alpaca(1)[0], "input": 7}]), **ALPACA)
    assert "something that is not text in column 'input', 1 of 21 rows: x.jsonl:21 (7)" in message
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows = [{"instruction": chat, "input": "a", "output": "b"}]
    assert "column 'instruction' holds chats" in refusal(write("y.jsonl", rows), **ALPACA)
