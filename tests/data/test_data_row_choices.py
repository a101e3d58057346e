"""Rows that are left out, labels that are read as another, and a column that names the split."""

from __future__ import annotations

import pytest
from example_rows import distinct_rows

from workbench.recipe import build


def rows_with(count=40, **changes):
    """Rows of two classes; ``changes`` maps ``row_3`` to values that replace those of row 3."""
    rows = [
        {**row, "label": "positive" if i % 2 else "negative"}
        for i, row in enumerate(distinct_rows(count))
    ]
    for name, values in changes.items():
        rows[int(name.removeprefix("row_"))] |= values
    return rows


def ids_of(data):
    return {*data.train.ids, *data.validation.ids, *data.test.ids}


def test_rows_without_label_or_text_are_left_out_on_request_and_named(load, write, refusal):
    path = write(
        "x.jsonl", rows_with(row_3={"label": ""}, row_9={"label": None}, row_7={"text": " "})
    )
    said = refusal(path)
    assert "2 problems in the data" in said and "missing label" in said
    data = load(path, unusable_rows="drop")
    assert ids_of(data) == {f"x.jsonl:{i + 1}" for i in range(40)} - {
        "x.jsonl:4",
        "x.jsonl:10",
        "x.jsonl:8",
    }
    notes = " ".join(data.notes)
    assert "missing label, 2 of 40 rows: x.jsonl:4 (''), x.jsonl:10" in notes
    assert "missing or empty text in column 'text', 1 of 40 rows: x.jsonl:8" in notes


def test_rows_left_out_do_not_count_in_the_hash_of_the_data(load, write):
    clean = load(write("clean.jsonl", rows_with(39)))
    dirty = load(write("dirty.jsonl", rows_with(40, row_39={"label": ""})), unusable_rows="drop")
    assert clean.content_hash == dirty.content_hash


def test_a_column_that_is_mostly_unusable_is_no_data_with_a_few_bad_rows(write, refusal):
    rows = rows_with(40, **{f"row_{i}": {"label": ""} for i in range(25)})
    assert "25 of 40 rows" in refusal(write("x.jsonl", rows), unusable_rows="drop")


def test_answers_that_are_not_in_their_context_can_be_left_out(load, write):
    rows = [
        {"context": f"In the year {i} it rained.", "question": f"When {i}?", "answers": str(i)}
        for i in range(20)
    ]
    rows[5]["answers"] = "never"
    columns = {"text": "context", "text_pair": "question", "label": "answers"}
    path = write("x.jsonl", rows)
    data = load(path, task="question-answering", unusable_rows="drop", **columns)
    assert "x.jsonl:6" not in ids_of(data) and len(ids_of(data)) == 19


def test_broken_lines_are_refused_all_the_same(write, refusal):
    content = "text,label\na b,x\nc d\ne f,y\n"
    assert "1 fields where the header has 2" in refusal(
        write("x.csv", content), unusable_rows="drop"
    )


def test_labels_are_merged_into_the_one_they_are_read_as(load, write):
    rows = rows_with(row_1={"label": "pos"}, row_5={"label": " pos "}, row_7={"label": "Positive"})
    merged = load(write("x.jsonl", rows), merge_labels={"pos": "positive", "Positive": "positive"})
    assert merged.label_names == ("negative", "positive")
    assert merged.content_hash == load(write("y.jsonl", rows_with())).content_hash


def test_a_label_to_merge_that_no_row_has_is_refused(write, refusal):
    said = refusal(write("x.jsonl", rows_with()), merge_labels={"pso": "positive"})
    assert "no row has the label 'pso'" in said and "'negative', 'positive'" in said


@pytest.mark.parametrize(
    "task",
    [
        {"name": "token-classification"},
        {"name": "text-classification", "problem_type": "regression"},
    ],
)
def test_only_single_labels_are_merged(task):
    _, problems = build(
        {
            "task": task,
            "model": {"source": "some/bert"},
            "data": {"source": "some/data", "merge_labels": {"a": "b"}},
            "method": {"name": "lora"},
        }
    )
    assert [problem.key for problem in problems] == ["data.merge_labels"]


def test_a_column_says_which_split_a_row_is_in(load, write):
    names = ["train", "Train", "dev", " test", "training"]
    rows = [{**row, "part": names[i % 5]} for i, row in enumerate(rows_with(60))]
    path = write("x.jsonl", rows)
    data = load(path, split_column="part", duplicates="keep")
    for role, places in (("train", (0, 1, 4)), ("validation", (2,)), ("test", (3,))):
        wanted = {f"x.jsonl:{i + 1}" for i in range(60) if i % 5 in places}
        assert set(getattr(data, role).ids) == wanted, role


def test_a_split_that_the_column_does_not_name_is_cut_from_train(load, write):
    rows = [{**row, "part": "test" if i < 10 else "train"} for i, row in enumerate(rows_with(60))]
    data = load(write("x.jsonl", rows), split_column="part", validation_size=5)
    assert set(data.test.ids) == {f"x.jsonl:{i + 1}" for i in range(10)}
    assert len(data.validation) == 5 and len(data.train) == 45


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["train"] * 59 + ["tset"], "a split that is none in column 'part', 1 of 60 rows"),
        (["test"] * 60, "no row of column 'part' is in train"),
    ],
)
def test_a_column_without_splits_is_refused(write, refusal, values, said):
    rows = [{**row, "part": value} for row, value in zip(rows_with(60), values, strict=True)]
    assert said in refusal(write("x.jsonl", rows), split_column="part")


def test_a_split_column_does_not_go_with_files_for_each_split(tmp_path):
    _, problems = build(
        {
            "task": {"name": "text-classification"},
            "model": {"source": "some/bert"},
            "data": {"source": "some/data", "split_column": "part", "splits": {"test": "test"}},
            "method": {"name": "lora"},
        }
    )
    assert [problem.key for problem in problems] == ["data.split_column"]
