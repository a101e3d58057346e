"""Tables, texts and folders that are refused, each with what, where, why and a fix."""

from __future__ import annotations

import csv
import time

import pytest
from example_rows import ROWS, as_parquet, csv_text

from workbench.data import tables, text_files

# ------------------------------------------------------------------ columns


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_missing_column_lists_found_and_required(refusal, write, tmp_path, suffix):
    header, row = ("Text", "labels", "id"), ("a", "b", "c")
    path = {
        "csv": lambda: write("x.csv", csv_text([row], header)),
        "jsonl": lambda: write("x.jsonl", [dict(zip(header, row, strict=True))]),
        "parquet": lambda: as_parquet(tmp_path / "x.parquet", Text=["a"], labels=["b"], id=["c"]),
    }[suffix]()
    message = refusal(path)
    assert "no column 'text', 'label'" in message
    assert "columns found: 'Text', 'labels', 'id'; required: 'text', 'label'" in message
    assert "nearest to 'text' is 'Text'" in message and "nearest to 'label' is 'labels'" in message


def test_semicolons_and_repeated_columns_are_explained(refusal, write):
    message = refusal(write("x.csv", csv_text(delimiter=";")))
    assert "separated by semicolons" in message
    message = refusal(write("x.csv", "text,label,text\na,b,c\n"))
    assert "column 'text' occurs more than once" in message


# ------------------------------------------------------------------ limits


def test_a_million_columns_are_refused_quickly(refusal, write):
    header = ",".join(f"c{i}" for i in range(1_000_000))
    start = time.process_time()
    message = refusal(write("x.csv", header + "\n"))
    assert "1,000,000 columns" in message and "more than 10,000 columns" in message
    message = refusal(write("x.jsonl", [{f"c{i}": 0 for i in range(100_000)}]))
    assert "100,000 columns" in message
    assert time.process_time() - start < 10


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "t/a/1.txt"])
def test_a_huge_text_is_refused_by_name(refusal, write, tmp_path, name):
    huge = "x" * 20_000_000
    content = {
        "x.csv": f'text,label\na,1\n"{huge}",0\n',
        "x.jsonl": [{"text": "a", "label": 1}, {"text": huge, "label": 0}],
        "t/a/1.txt": huge,
    }[name]
    path = write(name, content)
    message = refusal(tmp_path / "t" if "/" in name else path)
    assert "1,000,000 characters" in message and len(message) < 1000
    assert {"x.csv": "x.csv:3", "x.jsonl": "x.jsonl:2", "t/a/1.txt": "a/1.txt"}[name] in message


def test_texts_up_to_the_limit_are_read_and_the_csv_limit_is_restored(load, write):
    before = csv.field_size_limit()
    rows = [("y" * 900_000, "pos"), *ROWS]
    data = load(write("x.csv", csv_text(rows)))
    assert max(map(len, data.train.texts + data.validation.texts + data.test.texts)) == 900_000
    assert csv.field_size_limit() == before


def test_file_size_limit_is_named(refusal, write, tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr(tables, "MAX_FILE_BYTES", 100)
    assert "more than 100 bytes are refused" in refusal(write("x.csv", csv_text()))
    texts, labels = zip(*ROWS, strict=True)
    path = as_parquet(tmp_path / "x.parquet", text=texts, label=labels)
    assert "more than 100 bytes are refused" in refusal(path)


# ------------------------------------------------------------------ texts


@pytest.mark.parametrize("bad", [None, "", "  \n", float("nan")])
def test_missing_texts_are_refused_with_rows(refusal, write, bad):
    rows = [{"text": t, "label": label} for t, label in ROWS]
    for i in (3, 7, 8, 9, 10, 11, 12):
        rows[i]["text"] = bad
    message = refusal(write("x.jsonl", rows))
    assert "missing or empty text in column 'text', 7 of 40 rows: x.jsonl:4 (" in message
    assert "x.jsonl:11" in message and "x.jsonl:12" not in message and "and 2 more" in message


@pytest.mark.parametrize(
    ("bad", "words"), [(12, "not text"), (["a"], "not text"), ("\ud83d", "lone surrogate")]
)
def test_texts_that_no_tokenizer_reads_are_refused(refusal, write, bad, words):
    rows = [{"text": t, "label": label} for t, label in ROWS]
    rows[5]["text"] = bad
    message = refusal(write("x.jsonl", rows))
    assert words in message and "x.jsonl:6" in message


def test_an_empty_second_text_is_kept_and_noted_but_a_missing_one_refused(load, refusal, write):
    rows = [{"text": f"t {i}", "b": f"b {i}" if i else "", "label": i % 2} for i in range(20)]
    data = load(write("x.jsonl", rows), text_pair="b")
    assert data.notes == ("1 of 20 rows have an empty 'b': x.jsonl:1 ('')",)
    rows[0]["b"] = None
    assert "x.jsonl:1 (None)" in refusal(write("x.jsonl", rows), text_pair="b")


# ------------------------------------------------------------------ folders


def test_undeclared_splits_are_not_taken_for_classes(refusal, write, tmp_path):
    write("d/train/a/1.txt", "x")
    write("d/test/a/1.txt", "y")
    message = refusal(tmp_path / "d")
    assert "test, train look like splits" in message and "set data.splits" in message


def test_folder_of_files_without_splits(refusal, write, tmp_path):
    write("d/all.csv", csv_text())
    message = refusal(tmp_path / "d")
    assert "files with rows: all.csv" in message and "data.splits" in message


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ({"train": "tain"}, "the folder holds: notes.txt, train.csv, train.jsonl"),
        ({"train": "train"}, "2 files or folders for split 'train': train.csv, train.jsonl"),
        ({"train": "notes.txt"}, "notes.txt: a .txt file"),
        ({"train": "../outside.csv"}, "no files or folders for split '../outside.csv'"),
        ({"train": "train.csv", "test": "train.csv"}, "the same split under two names"),
    ],
)
def test_bad_splits_of_a_folder(refusal, write, tmp_path, splits, words):
    for name in ("d/train.csv", "d/train.jsonl", "d/notes.txt", "outside.csv"):
        write(name, csv_text())
    assert words in refusal(tmp_path / "d", splits=splits)


def test_keys_that_do_not_fit_the_source(refusal, write, tmp_path):
    path = write("x.csv", csv_text())
    assert "one file is one split" in refusal(path, splits={"train": "train"})
    assert "only data sets of the Hub" in refusal(path, config="sst2")
    assert "only data sets of the Hub" in refusal(path, revision="main")
    write("t/a/1.txt", "x")
    assert "one text and one label a file" in refusal(tmp_path / "t", text_pair="b")
    assert "asset:minilm-l6 is a model, not a data set" in refusal("asset:minilm-l6")
