"""Words and tags: from lists and CoNLL's columns, and what is refused with its rows."""

from __future__ import annotations

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

TASK = "token-classification"


def sentence(i, **more):
    return {
        "text": ["EU", f"rejects{i}", "German", "calls"],
        "label": ["B-ORG", "O", "B-MISC", "O"],
        **more,
    }


SENTENCES = [sentence(i) for i in range(20)]


def conll(rows, separator=" ", end="\n"):
    sentences = (
        end.join(separator.join([w, "NNP", t]) for w, t in zip(*r.values(), strict=True))
        for r in rows
    )
    return (end * 2).join(["-DOCSTART- -X- O", *sentences]) + end


def rows_of(data):
    """(words, tag names) of all rows by their second word."""
    return {
        words[1]: (words, tuple(data.label_names[tag] for tag in tags))
        for split in (data.train, data.validation, data.test)
        for words, tags in zip(split.parts, split.labels, strict=True)
    }


def test_lists_of_words_and_tags(load, write):
    data = load(write("x.jsonl", SENTENCES), TASK)
    assert data.label_names == ("B-MISC", "B-ORG", "O")
    assert len(data.train) == 14 and len(data.test) == 4
    assert data.train.texts[0] == " ".join(data.train.parts[0])
    assert rows_of(data)["rejects7"] == (
        ("EU", "rejects7", "German", "calls"),
        ("B-ORG", "O", "B-MISC", "O"),
    )


@pytest.mark.parametrize("suffix", ["conll", "bio", "iob"])
@pytest.mark.parametrize("separator", [" ", "\t", "  "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_hold_the_same_as_lists(load, write, suffix, separator, end):
    data = load(write(f"x.{suffix}", conll(SENTENCES, separator, end)), TASK)
    listed = load(write("x.jsonl", SENTENCES), TASK)
    assert rows_of(data) == rows_of(listed)
    assert data.content_hash == listed.content_hash
    ids = {*data.train.ids, *data.validation.ids, *data.test.ids}
    assert ids == {f"x.{suffix}:{3 + 5 * i}" for i in range(20)}


def test_columns_of_a_folder_with_splits(load, write, tmp_path):
    write("d/train.conll", conll(SENTENCES[:15]))
    write("d/dev.conll", conll(SENTENCES[15:]))
    data = load(tmp_path / "d", TASK, splits={"train": "train", "test": "dev"})
    assert len(data.test) == 5 and data.test.ids[0] == "dev.conll:3"


def test_a_no_break_space_stays_in_its_word(load, write):
    rows = [*SENTENCES, {"text": ["12\u00a0000", "euros"], "label": ["B-MISC", "O"]}]
    data = load(write("x.conll", conll(rows)), TASK)
    assert rows_of(data)["euros"][0] == ("12\u00a0000", "euros")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("a O\nb\n", "a line without a word or without a tag, 1 of 2 lines: x.conll:2 ('b')"),
        ("a\tO\n\tO\n", "a line without a word or without a tag, 1 of 2 lines: x.conll:2"),
        ("a\tO\nb\t\n", "a line without a word or without a tag, 1 of 2 lines: x.conll:2 ('b ')"),
        ("a X O\n# comment\n", "a line that has not 3 columns, as the first has, 1 of 2 lines"),
        ("-DOCSTART- -X- O\n\n", "x.conll: no rows: the file is empty"),
        ("\n", "x.conll: no rows: the file is empty"),
    ],
)
def test_damaged_columns_name_their_lines(refusal, write, lines, words):
    assert words in refusal(write("x.conll", lines), task=TASK)


def test_numbers_take_the_names_of_the_hub(load, monkeypatch):
    names = ["O", "B-PER", "I-PER"]
    features = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=names))})
    columns = {"tokens": [["Jo", f"w{i}"] for i in range(20)], "tags": [[1, 0], [1, 2]] * 10}
    table = Dataset.from_dict(columns, features)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: table)
    data = load("eriktks/conll2003", TASK, text="tokens", label="tags")
    assert data.label_names == tuple(names)
    assert rows_of(data)["w1"] == (("Jo", "w1"), ("B-PER", "I-PER"))


def test_numbers_of_parquet_take_declared_names(load, tmp_path):
    columns = {"text": [["a", f"b{i}"] for i in range(20)], "label": [[0, 1]] * 20}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    data = load(tmp_path / "x.parquet", TASK, labels=["NOUN", "VERB", "ADJ"])
    assert data.label_names == ("NOUN", "VERB", "ADJ")
    assert rows_of(data)["b3"][1] == ("NOUN", "VERB")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"text": "EU rejects"}, "words that are not a list in column 'text', 1 of 21 rows"),
        ({"text": None}, "words that are not a list"),
        ({"text": []}, "a row without words"),
        ({"text": ["a", " "]}, "an empty word"),
        ({"text": ["a", None]}, "an empty word"),
        ({"text": ["a", 7]}, "a word that is not text"),
        ({"text": ["a", "\ud83d"]}, "lone surrogate"),
        ({"label": "O"}, "tags that are not a list in column 'label', 1 of 21 rows"),
        ({"label": None}, "tags that are not a list"),
        ({"label": ["O"]}, "not as many tags in column 'label' as words, 1 of 21 rows: x.jsonl:21 "
         "('words: 2, tags: 1')"),
        ({"label": ["O", ""]}, "a missing tag"),
        ({"label": ["O", None]}, "a missing tag"),
        ({"label": ["O", 0.5]}, "a tag that is not a word or whole number"),
        ({"label": ["O", ["O"]]}, "a tag that is not a word or whole number"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused_by_name(refusal, write, bad, words):
    path = write("x.jsonl", [*SENTENCES, {"text": ["a", "b"], "label": ["O", "O"]} | bad])
    message = refusal(path, task=TASK)
    assert words in message and "x.jsonl:21" in message


def test_unknown_tags_name_rows_once_and_the_nearest(refusal, write):
    rows = [*SENTENCES, {"text": ["a", "b"], "label": ["B-OGR", "B-OGR"]}]
    message = refusal(write("x.jsonl", rows), task=TASK, labels=["O", "B-ORG", "B-MISC"])
    assert "label 'B-OGR' is not in task.labels, 1 of 21 rows: x.jsonl:21" in message
    assert "did you mean 'B-ORG' for 'B-OGR'" in message


def test_tags_that_only_the_test_has_are_noted(load, write, tmp_path):
    write("d/train.jsonl", SENTENCES)
    write("d/test.jsonl", [{"text": ["a", "b", "c"], "label": ["B-LOC", "I-LOC", "B-LOC"]}])
    data = load(tmp_path / "d", TASK, splits={"train": "train", "test": "test"})
    assert data.notes == (
        "3 words of test have a tag that train never shows (B-LOC 2, I-LOC 1): the model cannot "
        "find them.",
    )


def test_one_tag_only_is_refused(refusal, write):
    rows = [{"text": [f"w{i}"], "label": ["O"]} for i in range(20)]
    assert "words of train have the same tag, 'O'" in refusal(write("x.jsonl", rows), task=TASK)


def test_content_hash_sees_the_words_and_not_the_order_of_the_names(load, write):
    base = load(write("x.jsonl", SENTENCES), TASK).content_hash
    labels = ["O", "B-ORG", "B-MISC"]
    assert load(write("x.jsonl", SENTENCES), TASK, labels=labels).content_hash == base
    joined = [{"text": ["EU rejects0", "German", "calls"], "label": ["B-ORG", "B-MISC", "O"]}]
    other = load(write("x.jsonl", [*joined, *SENTENCES[1:]]), TASK).content_hash
    assert other != base
    tagged = [sentence(0, label=["O", "B-ORG", "B-MISC", "O"]), *SENTENCES[1:]]
    assert load(write("x.jsonl", tagged), TASK).content_hash != base


def test_a_row_for_each_word_is_refused_with_what_to_do(refusal, write):
    """As in the NER corpus on Kaggle."""
    rows = ["Sentence: 1,Rome,B-LOC", ",fell,O", ",,O", "Sentence: 2,New York,B-LOC", ",won,O"]
    path = write("x.csv", "\n".join(["Sentence #,Word,Tag", *rows, *rows]) + "\n")
    message = refusal(path, task=TASK, text="Word", label="Tag")
    assert "words that are not a list in column 'Word', 10 of 10 rows" in message
    assert "these look like one word a row: group the rows of each sentence" in message
    sentences = write("y.csv", "text,label\nRome fell,B-LOC O\nIt fell,O O\n")
    assert "one word a row" not in refusal(sentences, task=TASK)
