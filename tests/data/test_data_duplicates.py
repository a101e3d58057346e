"""Texts that occur more than once are removed, refused or counted, never overlooked."""

from __future__ import annotations

import pytest
from example_rows import distinct_rows


def texts(data):
    return [t for split in (data.train, data.validation, data.test) for t in split.texts]


def test_later_copies_are_dropped_before_anything_is_cut(load, write):
    rows = distinct_rows(50)
    copies = [{**rows[i], "text": text} for i, text in
              ((3, "text 3"), (7, "TEXT  7 "), (9, "text\n9"))]  # fmt: skip
    data = load(write("x.jsonl", rows + copies))
    assert data.duplicates_removed == 3
    assert sorted(texts(data)) == sorted(row["text"] for row in rows)
    assert data.notes == (
        "3 of 53 rows were left out because their text occurs elsewhere (1 identical, 2 apart "
        "from white space and case), for example: x.jsonl:51 repeats x.jsonl:4; x.jsonl:52 "
        "repeats x.jsonl:8; x.jsonl:53 repeats x.jsonl:10.",
    )


def test_duplicates_can_be_refused(load, refusal, write):
    rows = distinct_rows(50)
    message = refusal(write("x.jsonl", rows + rows[:5]), duplicates="error")
    assert "5 of 55 rows repeat another: x.jsonl:51 repeats x.jsonl:1; x.jsonl:52" in message
    assert "x.jsonl:53" in message and "x.jsonl:54" not in message
    assert "white space and case" in message and "duplicates: drop" in message
    assert load(write("x.jsonl", rows), duplicates="error").duplicates_removed == 0


def test_duplicates_can_be_kept_and_the_overlap_is_counted(load, write):
    rows = distinct_rows(50)
    data = load(write("x.jsonl", rows + rows), duplicates="keep", validation_size=None)
    assert data.duplicates_removed == 0 and len(texts(data)) == 100
    shared = sum(text in set(data.train.texts) for text in data.test.texts)
    assert shared > 0
    assert data.notes[0].startswith(f"{shared} of 20 test texts are also in train")


def test_a_pair_is_a_duplicate_only_as_a_whole(load, write):
    rows = [{"text": "same", "b": f"other {i}", "label": i % 2} for i in range(30)]
    data = load(write("x.jsonl", [*rows, rows[0]]), text_pair="b")
    assert data.duplicates_removed == 1


@pytest.fixture
def leaky(write, tmp_path):
    """train repeats one row of itself, one of dev and two of test; test repeats one of dev."""
    rows = distinct_rows(60)
    write("d/train.jsonl", [*rows[:40], rows[0], rows[40], rows[50], rows[51]])
    write("d/dev.jsonl", rows[40:50])
    write("d/test.jsonl", [*rows[50:60], rows[41]])
    return tmp_path / "d"


ALL = {"train": "train", "validation": "dev", "test": "test"}


def test_evaluation_splits_stay_untouched_and_train_loses_their_texts(load, leaky):
    data = load(leaky, splits=ALL)
    assert len(data.validation) == 10 and len(data.test) == 11
    assert data.duplicates_removed == 3
    # Nothing is cut from train, so its own repeat stays.
    assert len(data.train) == 41 and data.train.texts.count("text 0") == 2
    held_out = {*data.validation.texts, *data.test.texts}
    assert not held_out & set(data.train.texts)
    assert any("1 of 11 test texts are also in validation" in note for note in data.notes)


def test_repeats_within_train_go_when_a_split_is_cut_from_it(load, leaky):
    data = load(leaky, splits={"train": "train", "test": "test"})
    assert data.duplicates_removed == 3  # text 0 within train, two of test
    assert not set(data.train.texts) & (set(data.validation.texts) | set(data.test.texts))
    assert not set(data.validation.texts) & set(data.test.texts)


def test_provided_overlap_is_refused_or_noted(load, refusal, leaky):
    assert "4 of 65 rows repeat another" in refusal(leaky, splits=ALL, duplicates="error")
    notes = load(leaky, splits=ALL, duplicates="keep").notes
    assert [note.split(" (")[0] for note in notes] == [
        "2 of 11 test texts are also in train",
        "1 of 10 validation texts are also in train",
        "1 of 11 test texts are also in validation",
    ]


def test_validation_and_test_sharing_a_text_is_refused_too(refusal, write, tmp_path):
    rows = distinct_rows(60)
    write("d/train.jsonl", rows[:40])
    write("d/dev.jsonl", rows[40:50])
    write("d/test.jsonl", rows[49:60])
    message = refusal(tmp_path / "d", splits=ALL, duplicates="error")
    assert "1 of 61 rows repeat another: test.jsonl:1 repeats dev.jsonl:10" in message


def test_the_same_text_with_another_label_is_noted(load, write):
    rows = distinct_rows(40)
    data = load(write("x.jsonl", [*rows, {"text": "Text 4", "label": "c1"}]))
    assert data.duplicates_removed == 1
    assert data.notes[1] == (
        "Rows with the text of another row but a different label: 1, for example x.jsonl:41 and "
        "x.jsonl:5; nothing can score full marks on them."
    )


def test_train_that_is_all_copies_leaves_nothing(refusal, write, tmp_path):
    rows = distinct_rows(20)
    write("d/train.jsonl", rows[:10])
    write("d/test.jsonl", rows)
    message = refusal(tmp_path / "d", splits={"train": "train", "test": "test"})
    assert "there are 0 rows (10 read, 10 duplicates left out)" in message
