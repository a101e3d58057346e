"""csv and tsv files: what a double quote means, and rows that do not fit the header."""

from __future__ import annotations

import csv

import pandas as pd
import pytest
from example_rows import ROWS, csv_text


def texts_of(data):
    """Text of each row by the line on which it starts."""
    splits = (data.train, data.validation, data.test)
    found = {i: t for s in splits for i, t in zip(s.ids, s.texts, strict=True)}
    return [found[i] for i in sorted(found, key=lambda i: int(i.rpartition(":")[2]))]


def quoted_tsv():
    rows = [f"text {i}\t{'ab'[i % 2]}" for i in range(30)]
    rows[4] = '"It begins with a quote\ta'
    rows[13] = 'and this one "ends" with one"\tb'
    return "\n".join(["text\tlabel", *rows]) + "\n"


def test_a_quote_in_a_tsv_is_a_character_and_swallows_no_row(load, write):
    path = write("x.tsv", quoted_tsv())
    texts = texts_of(load(path))
    expected = pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE)
    assert texts == list(expected["text"]) and len(texts) == 30
    assert texts[4] == '"It begins with a quote'


def test_mrpcs_own_file_is_read(load, refusal, write):
    """Its texts hold single double quotes (Dolan & Brockett 2005)."""
    header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
    rows = [
        f'{i % 2}\t{i}\t{i + 99}\t"We are, {i} " he said.\tHe said: "we {i}.' for i in range(20)
    ]
    path = write("msr.tsv", b"\xef\xbb\xbf" + "\r\n".join([header, *rows]).encode())
    keys = {"text": "#1 String", "text_pair": "#2 String", "label": "Quality"}
    data = load(path, **keys)
    assert texts_of(data) == [f'"We are, {i} " he said.' for i in range(20)]
    named = write("msr_train.txt", path.read_bytes())
    assert "fix: rename it to msr_train.tsv, if each line is a row" in refusal(named, **keys)


def test_a_tsv_that_pandas_has_quoted_is_noted_and_can_be_declared(load, write, tmp_path):
    frame = pd.DataFrame(
        {"text": [f'say "{i}"\tor not' if i % 5 == 0 else f"text {i}" for i in range(20)],
         "label": ["a", "b"] * 10}
    )  # fmt: skip
    path = tmp_path / "x.tsv"
    frame.to_csv(path, sep="\t", index=False)
    assert texts_of(load(path, quoting="standard")) == list(frame["text"])


def test_enclosing_quotes_of_a_tsv_are_noted(load, write):
    rows = [f'"text {i}"\t{i % 2}' if i < 3 else f"text {i}\t{i % 2}" for i in range(20)]
    note = load(write("x.tsv", "\n".join(["text\tlabel", *rows]))).notes[0]
    assert note.startswith("3 of 20 rows have a text in double quotes")
    assert "x.tsv:2 ('\"text 0\"')" in note and "data.quoting: standard" in note


def test_a_field_over_several_lines_of_a_tsv_is_refused_or_noted(load, refusal, write):
    path = write("x.tsv", csv_text([("two\nlines", "pos"), *ROWS], delimiter="\t"))
    message = refusal(path)
    assert "x.tsv:2: 1 fields where the header has 2" in message
    assert "x.tsv:3 (2)" not in message and "set data.quoting: standard" in message
    note = load(path, quoting="standard").notes[0]
    assert note.startswith("1 rows take several lines") and "x.tsv:2 ('2 lines')" in note


def test_rows_that_a_quote_of_a_csv_swallows_are_noted(load, write):
    lines = [f"text {i},{'ab'[i % 2]}" for i in range(20)]
    lines[3], lines[6] = '"It begins,a', 'and ends",b'
    note = load(write("x.csv", "\n".join(["text,label", *lines]))).notes[0]
    assert note.startswith("1 rows take several lines") and "x.csv:5 ('4 lines')" in note
    assert "data.quoting: none" in note
    plain = load(write("y.csv", "\n".join(["text,label", *lines])), quoting="none")
    assert len(texts_of(plain)) == 20 and plain.notes == ()


def test_texts_of_several_lines_are_usual_in_a_csv(load, write):
    assert load(write("x.csv", csv_text([("two\nlines, or", "pos"), *ROWS]))).notes == ()


def test_all_rows_with_another_number_of_fields_are_named(refusal, write):
    lines = ["a,1", "b", "c,1", "d,e,0", "f,0"]
    message = refusal(write("x.csv", "\n".join(["text,label", *lines])))
    assert "x.csv:3: 1 fields where the header has 2" in message
    assert "the same in 1 more (with their fields): x.csv:5 (3)" in message


def test_quoted_names_of_columns_say_what_to_set(refusal, write):
    message = refusal(write("x.tsv", '"text"\t"label"\n"a"\t"b"\n'))
    assert "no column 'text', 'label'" in message and "set data.quoting: standard" in message


@pytest.mark.parametrize("quoting", ["auto", "standard"])
def test_rows_after_an_unbalanced_quote_are_said_to_be_unread(refusal, write, quoting):
    path = write("x.csv", 'text,label\na,1\n"open" quote,0\nb,1\n,0\n')
    message = refusal(path, quoting=quoting)
    assert "x.csv:3: unbalanced quotes" in message and "the rows after it were not read" in message
