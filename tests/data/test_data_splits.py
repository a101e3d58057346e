"""Splits: disjoint, complete, seeded, stratified, and honest about what is not there."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from example_rows import distinct_rows


@pytest.fixture
def rows100(write):
    return write("x.jsonl", distinct_rows(100, classes=4))


def ids(data):
    return data.train.ids, data.validation.ids, data.test.ids


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"test_size": 30, "validation_size": 20},
        {"test_size": 0.33, "validation_size": 0.33, "train_size": 0.34},
        {"test_size": 1, "validation_size": 1, "train_size": 10},
        {"validation_size": None},
        {"test_size": 95, "validation_size": 1},
    ],
)
def test_splits_are_disjoint_and_complete(load, rows100, seed, sizes):
    data = load(rows100, split_seed=seed, **sizes)
    train, validation, test = (set(part) for part in ids(data))
    assert len(train) + len(validation) + len(test) == len(train | validation | test)
    everything = {f"x.jsonl:{i}" for i in range(1, 101)}
    assert train | validation | test <= everything
    if "train_size" not in sizes:
        assert train | validation | test == everything
    asked = {"test_size": 0.2, "validation_size": 0.1} | sizes
    for part, size in ((test, asked["test_size"]), (validation, asked["validation_size"])):
        assert len(part) == (int(size * 100) if isinstance(size, float) else size or 0)
    if isinstance(sizes.get("train_size"), int):
        assert len(train) == sizes["train_size"]


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(100, 0.29, 29), (15, 0.1, 1), (7, 0.5, 3), (9, 0.01, 1)]
)
def test_shares_are_rounded_down_but_never_to_nothing(load, write, count, share, expected):
    data = load(write("x.jsonl", distinct_rows(count)), test_size=share, validation_size=None)
    assert len(data.test) == expected


def test_rows_stay_together_and_in_order(load, rows100):
    data = load(rows100)
    for split in (data.train, data.validation, data.test):
        lines = [int(i.removeprefix("x.jsonl:")) for i in split.ids]
        assert lines == sorted(lines)
        assert split.texts == tuple(f"text {line - 1}" for line in lines)
        assert split.labels == tuple((line - 1) % 4 for line in lines)


def test_the_same_seed_gives_the_same_split_and_another_another(load, rows100):
    first, again, other = load(rows100), load(rows100), load(rows100, split_seed=1)
    assert first == again
    assert first.split_hash != other.split_hash
    assert first.content_hash == other.content_hash
    assert len(set(first.test.ids) & set(other.test.ids)) < len(first.test)


def test_the_draw_never_changes(load, rows100):
    # Written down: a changed draw would make every stored run incomparable with new ones.
    test = load(rows100, test_size=4, validation_size=None).test.ids
    assert test == ("x.jsonl:43", "x.jsonl:69", "x.jsonl:86", "x.jsonl:96")


def test_train_size_never_changes_what_is_tested(load, rows100):
    loaded = [load(rows100, train_size=size) for size in (4, 20, 40, 0.5, None)]
    assert len({data.test.ids for data in loaded}) == 1
    assert len({data.validation.ids for data in loaded}) == 1
    assert [len(data.train) for data in loaded] == [4, 20, 40, 50, 70]
    for small, large in pairwise(sorted(loaded, key=lambda data: len(data.train))):
        assert set(small.train.ids) <= set(large.train.ids)


def test_validation_size_never_changes_the_test(load, rows100):
    assert load(rows100).test == load(rows100, validation_size=30).test


def test_split_seed_changes_nothing_but_the_split(load, rows100):
    loaded = [load(rows100, split_seed=seed) for seed in range(3)]
    assert all(data.label_names == loaded[0].label_names for data in loaded)
    assert len({data.split_hash for data in loaded}) == 3


def test_content_hash_sees_texts_labels_and_declared_nothing_else(load, write):
    rows = distinct_rows(30)
    base = load(write("x.jsonl", rows))
    assert load(write("y.jsonl", rows)).content_hash == base.content_hash
    assert load(write("x.jsonl", rows), labels=["c1", "c0"]).content_hash == base.content_hash
    rows[3]["text"] += "."
    assert load(write("x.jsonl", rows)).content_hash != base.content_hash
    rows[3]["text"] = rows[3]["text"].removesuffix(".")
    rows[3]["label"] = "c0"
    assert load(write("x.jsonl", rows)).content_hash != base.content_hash


def test_classes_keep_their_proportions(load, write):
    rows = [{"text": f"t {i}", "label": "a" if i % 10 else "b"} for i in range(1000)]
    data = load(write("x.jsonl", rows), test_size=200, validation_size=100, train_size=300)
    for split, share in ((data.test, 20), (data.validation, 10), (data.train, 30)):
        assert Counter(split.labels)[1] == share


@pytest.mark.parametrize("seed", range(10))
def test_a_rare_class_can_always_be_trained_on(load, write, seed):
    rows = distinct_rows(60) + [{"text": "once", "label": "rare"}]
    rows += [{"text": f"twice {i}", "label": "scarce"} for i in range(2)]
    data = load(write("x.jsonl", rows), split_seed=seed, train_size=5)
    assert set(data.train.labels) == {0, 1, 2, 3}
    assert any("has no example of rare" in note for note in data.notes)


def test_regression_and_multi_label_are_drawn_without_strata(load, write):
    rows = [{"text": f"t {i}", "label": i / 3} for i in range(50)]
    assert len(load(write("x.jsonl", rows), problem_type="regression", test_size=13).test) == 13
    rows = [{"text": f"t {i}", "label": ["xyz"[i % 3]]} for i in range(50)]
    data = load(write("x.jsonl", rows), problem_type="multi_label_classification", test_size=13)
    assert len(data.test) == 13


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (
            {"train_size": 80, "validation_size": 10, "test_size": 20},
            "80 for train + 10 for validation + 20 for test asked, but there are 100 rows "
            "(105 read, 5 duplicates left out)",
        ),
        (
            {"train_size": 0.9, "validation_size": None, "test_size": 0.2},
            "90 for train (0.9 of 100) + 20 for test (0.2 of 100) asked, but there are 100 rows",
        ),
        (
            {"validation_size": None, "test_size": 100},
            "at least 1 for train + 100 for test asked, but there are 100 rows",
        ),
        ({"test_size": 1000}, "1,000 for test asked"),
        ({"test_size": None}, "no test split"),
    ],
)
def test_asking_for_more_than_there_is_shows_the_arithmetic(refusal, write, sizes, words):
    path = write("x.jsonl", distinct_rows(100) + distinct_rows(5))
    assert words in refusal(path, **sizes)


# ------------------------------------------------------------------ splits of the source


@pytest.fixture
def provided(write, tmp_path):
    rows = distinct_rows(100)
    write("d/train.jsonl", rows[:60])
    write("d/dev.jsonl", rows[60:80])
    write("d/test.jsonl", rows[80:])
    return tmp_path / "d"


def test_provided_splits_are_used_as_they_are(load, provided):
    splits = {"train": "train", "validation": "dev", "test": "test"}
    data = load(provided, splits=splits, train_size=10, test_size=3, validation_size=3)
    assert len(data.train) == 10
    assert data.validation.ids == tuple(f"dev.jsonl:{i}" for i in range(1, 21))
    assert data.test.ids == tuple(f"test.jsonl:{i}" for i in range(1, 21))


def test_what_the_source_lacks_is_cut_from_train(load, provided):
    data = load(provided, splits={"train": "train", "test": "test"}, validation_size=0.1)
    assert len(data.validation) == 6 and len(data.train) == 54 and len(data.test) == 20
    assert all(i.startswith("train.jsonl:") for i in data.validation.ids)
    data = load(provided, splits={"train": "train", "validation": "dev"}, test_size=15)
    assert len(data.test) == 15 and len(data.train) == 45 and len(data.validation) == 20
    assert all(i.startswith("train.jsonl:") for i in data.test.ids)
