"""Training rows that each run draws for itself: nested, stratified, the test left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from example_rows import distinct_rows

from workbench.data import Data, load_data
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec
from workbench.recipe.tasks import TASK_SPECS

Write = Callable[..., Path]
SIZES = (4, 7, 8, 20, 21, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60)


def drawn(path: Path, size: int, seed: int, **keys: Any) -> Data:
    task = TASK_SPECS["text-classification"](name="text-classification")
    spec = DataSpec(source=str(path), train_size=size, train_draw="run", **keys)
    return load_data(spec, task, seed)


@pytest.fixture
def uneven(write: Write) -> Path:
    """Classes of 59, 26, 11 and 4 rows in a hundred."""
    counts = {"a": 59, "b": 26, "c": 11, "d": 4}
    labels = [label for label, count in counts.items() for _ in range(count)]
    rows = [{"text": f"text {i}", "label": label} for i, label in enumerate(labels)]
    return write("x.jsonl", rows)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_smaller_draw_is_part_of_a_larger_one(uneven: Path, seed: int) -> None:
    found = [set(drawn(uneven, size, seed).train.ids) for size in SIZES]
    assert [len(ids) for ids in found] == list(SIZES)
    assert all(small < large for small, large in pairwise(found))


def test_each_class_has_its_share_and_one_row_at_least(uneven: Path) -> None:
    for size in SIZES:
        data = drawn(uneven, size, 0)
        counts = Counter(data.label_names[label] for label in data.train.labels)
        assert set(counts) == {"a", "b", "c", "d"}
        # What is left after test and validation: 41, 18, 8 and 3 of 70.
        for label, share in {"a": 41 / 70, "b": 18 / 70, "c": 8 / 70, "d": 3 / 70}.items():
            assert abs(counts[label] - share * size) <= 2


def test_seeds_draw_other_rows_and_are_tested_on_the_same(uneven: Path) -> None:
    one, other = drawn(uneven, 20, 0), drawn(uneven, 20, 1)
    assert one.train.ids != other.train.ids
    assert (one.test.ids, one.validation.ids) == (other.test.ids, other.validation.ids)
    assert one.split_hash != other.split_hash
    assert one.comparable_split == other.comparable_split
    assert one.comparable_split != drawn(uneven, 21, 0).comparable_split
    assert drawn(uneven, 20, 0) == one


def test_groups_stay_whole_and_nested(write: Write) -> None:
    rows = distinct_rows(120)
    grouped = [{**row, "author": f"author {i // 4}"} for i, row in enumerate(rows)]
    path = write("x.jsonl", grouped)
    found = [drawn(path, size, 3, group="author").train for size in (9, 20, 43)]
    for examples, size in zip(found, (8, 20, 40), strict=True):
        assert len(examples) == size
        assert set(Counter(examples.groups).values()) == {4}
    assert all(set(small.ids) < set(large.ids) for small, large in pairwise(found))


def test_a_first_group_that_is_too_large_is_refused(write: Write) -> None:
    rows = [{**row, "author": f"author {i // 40}"} for i, row in enumerate(distinct_rows(200))]
    with pytest.raises(DataError, match="no group of data.group for train"):
        drawn(write("x.jsonl", rows), 5, 0, group="author")


def test_a_draw_of_the_split_is_what_it_was(uneven: Path) -> None:
    task = TASK_SPECS["text-classification"](name="text-classification")
    spec = DataSpec(source=str(uneven), train_size=20)
    one, other = load_data(spec, task, 0), load_data(spec, task, 1)
    assert one == other and one.comparable_split == one.split_hash
