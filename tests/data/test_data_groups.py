"""Rows that belong together are on one side of every split."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from example_rows import distinct_rows


def grouped(count=200, size=5, **more):
    """Rows whose groups have 1 to 9 rows, and two classes in every group."""
    groups = [f"author {i // size + i % 3}" for i in range(count)]
    rows = distinct_rows(count)
    return [{**row, "author": group, **more} for row, group in zip(rows, groups, strict=True)]


def groups_by_split(data):
    return {role: set(getattr(data, role).groups) for role in ("train", "validation", "test")}


def assert_apart(data):
    found = groups_by_split(data)
    assert not found["train"] & found["test"] and not found["train"] & found["validation"]
    assert not found["validation"] & found["test"]


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_two_sides_and_sizes_are_near(load, write, seed):
    rows = grouped()
    data = load(write("x.jsonl", rows), group="author", split_seed=seed)
    assert_apart(data)
    assert len(data.train) + len(data.validation) + len(data.test) == 200
    assert abs(len(data.test) - 40) <= 5 and abs(len(data.validation) - 20) <= 5
    author = {f"x.jsonl:{i}": row["author"] for i, row in enumerate(rows, start=1)}
    for split in (data.train, data.validation, data.test):
        assert split.groups == tuple(author[row_id] for row_id in split.ids)
    (note,) = data.notes
    counts = [
        f"{role} {len(getattr(data, role))} rows in {len(groups)}"
        for role, groups in groups_by_split(data).items()
    ]
    assert ", ".join(counts) in note


def test_classes_stay_in_proportion_where_each_group_has_one(load, write):
    rows = [{"text": f"t {i}", "label": "rare" if i < 40 else "usual", "g": i // 4}
            for i in range(400)]  # fmt: skip
    data = load(write("x.jsonl", rows), group="g")
    assert_apart(data)
    assert Counter(data.label_names[y] for y in data.test.labels) == {"rare": 8, "usual": 72}


def test_the_split_does_not_depend_on_the_order_of_the_rows_or_the_format(load, write):
    rows = grouped()
    one = load(write("x.jsonl", rows), group="author")
    other = load(write("y.json", json.dumps(rows[::-1])), group="author")
    assert groups_by_split(one) == groups_by_split(other)
    assert one.split_hash != load(write("x.jsonl", rows)).split_hash


def test_a_train_size_takes_whole_groups(load, write):
    data = load(write("x.jsonl", grouped()), group="author", train_size=60)
    assert_apart(data)
    assert abs(len(data.train) - 60) <= 5


def test_rows_of_train_whose_group_is_held_out_are_left_out(load, write, tmp_path):
    write("d/train.jsonl", [{**row, "g": i // 2} for i, row in enumerate(distinct_rows(40))])
    held = [{"text": f"new {i}", "label": f"c{i % 2}", "g": i} for i in range(4)]
    write("d/test.jsonl", held)
    data = load(tmp_path / "d", splits={"train": "train", "test": "test"}, group="g")
    assert_apart(data)
    assert len(data.test) == 4 and len(data.train) + len(data.validation) == 32
    assert data.notes[0] == (
        "8 rows of train belong to 4 groups that validation or test have too, for example '0': "
        "they were left out."
    )


def test_groups_shared_by_validation_and_test_are_noted(load, write, tmp_path):
    for name in ("train", "dev", "test"):
        rows = [{"text": f"{name} {i}", "label": f"c{i % 2}", "g": f"{name} {i}"}
                for i in range(8)]  # fmt: skip
        rows[0]["g"] = "shared" if name != "train" else "own"
        write(f"d/{name}.jsonl", rows)
    splits = {"train": "train.jsonl", "validation": "dev", "test": "test.jsonl"}
    data = load(tmp_path / "d", splits=splits, group="g")
    assert any("1 groups are in validation and in test, for example 'shared'" in n
               for n in data.notes)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"author": None}, "no group in column 'author', 1 of 21 rows: x.jsonl:21"),
        ({"author": " "}, "no group in column 'author', 1 of 21 rows: x.jsonl:21"),
        ({"author": ["a"]}, "a group that is not a word or number in column 'author'"),
    ],
)
def test_rows_without_a_group_are_refused(refusal, write, change, words):
    path = write("x.jsonl", [*grouped(20), {"text": "last", "label": "c0", **change}])
    assert words in refusal(path, group="author")


def test_a_column_that_is_not_there_and_one_group_for_all_are_refused(refusal, write, tmp_path):
    path = write("x.jsonl", grouped(20, author="one"))
    assert "no column 'writer'" in refusal(path, group="writer")
    message = refusal(path, group="author")
    assert "no group of data.group for test: 4 rows asked, and 20 rows left in 1 groups" in message
    for name in ("train", "test"):
        write(f"d/{name}.jsonl", [{**r, "text": name + r["text"]} for r in grouped(9, author="a")])
    splits = {"train": "train", "test": "test"}
    assert "all 9 rows of train belong to 1 groups" in refusal(
        tmp_path / "d", splits=splits, group="author"
    )
    write("t/a/1.txt", "x")
    assert "one text and one label a file" in refusal(tmp_path / "t", group="author")


def test_rows_without_a_group_are_reported_with_all_other_problems(refusal, write):
    rows = [*grouped(20), {"text": "", "label": "c0", "author": "a"}, {"text": "b", "label": "c0"}]
    message = refusal(write("x.jsonl", rows), group="author")
    assert "2 problems in the data" in message
    assert "missing or empty text in column 'text', 1 of 22 rows: x.jsonl:21" in message
    assert "no group in column 'author', 1 of 22 rows: x.jsonl:22" in message


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_column_of_groups_that_is_not_there_names_its_key(refusal, write, suffix):
    rows = grouped(20)
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    path = write(f"x.{suffix}", rows if suffix == "jsonl" else "\n".join(lines) + "\n")
    message = refusal(path, group="autor")
    assert "no column 'autor'" in message and "set data.group to the name of one" in message
    assert "the nearest to 'autor' is 'author'" in message and "set data.text" not in message
    message = refusal(path, group="autor", text="txt")
    assert "data.text, data.text_pair and data.label, and data.group, to the names" in message
    assert "data.group" not in refusal(path, text="txt")
