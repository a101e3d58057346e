"""Labels: what they are mapped to, and which are refused with their rows."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SINGLE = "single_label_classification"
MULTI = "multi_label_classification"
REGRESSION = "regression"


def labelled(labels, repeat=10):
    """`repeat` rows for each label in turn, every text its own."""
    rows = [label for _ in range(repeat) for label in labels]
    return [{"text": f"text {i}", "label": label} for i, label in enumerate(rows)]


def by_text(data):
    return {
        text: label
        for split in (data.train, data.validation, data.test)
        for text, label in zip(split.texts, split.labels, strict=True)
    }


# ------------------------------------------------------------------ one label a row


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["b", "a"], ("a", "b")),
        ([10, 9, 2], ("2", "9", "10")),
        (["10", "9", "2"], ("2", "9", "10")),
        ([1.0, 0.0], ("0", "1")),
        (["1.0", "0"], ("0", "1")),
        ([True, False], ("False", "True")),
        ([-1, 0, 1], ("-1", "0", "1")),
        ([" a ", "b"], ("a", "b")),
        (["--1", "1"], ("1", "--1")),
        (["v1.0", "v2.0"], ("v1.0", "v2.0")),
        (["ñ", "日本", "🙂"], ("ñ", "日本", "🙂")),
    ],
)
def test_labels_are_named_and_ordered(load, write, labels, names):
    data = load(write("x.jsonl", labelled(labels)))
    assert data.label_names == names
    assert set(data.train.labels) == set(range(len(names)))


def test_the_mapping_is_right(load, write):
    data = load(write("x.jsonl", labelled(["b", "a", "c"])))
    assert all(
        data.label_names[label] == "bac"[int(text.split()[1]) % 3]
        for text, label in by_text(data).items()
    )


def test_declared_order_wins(load, write):
    data = load(write("x.jsonl", labelled(["neg", "pos"])), labels=["pos", "neg"])
    assert data.label_names == ("pos", "neg")
    assert by_text(data)["text 0"] == 1


def test_numbers_in_the_data_take_declared_names(load, write):
    data = load(write("x.jsonl", labelled([0, 1])), labels=["pos", "neg"])
    assert data.label_names == ("pos", "neg")
    assert by_text(data)["text 0"] == 0


@pytest.mark.parametrize("bad", [None, "", " ", float("nan"), "NaN"])
def test_missing_labels_are_refused_with_rows(refusal, write, bad):
    rows = labelled(["a", "b"])
    for i in (2, 4, 6, 8, 10, 12):
        rows[i]["label"] = bad
    message = refusal(write("x.jsonl", rows))
    assert f"missing label, 6 of 20 rows: x.jsonl:3 ({bad!r})" in message
    assert "x.jsonl:11" in message and "and 1 more" in message and "x.jsonl:13" not in message


def test_empty_csv_label_is_missing(refusal, write):
    assert "x.csv:3 ('')" in refusal(write("x.csv", "text,label\na,1\nb,\nc,0\n"))


@pytest.mark.parametrize("values", [[0.5, 1.0], ["0.5", "1.0"]])
def test_fractions_are_no_classes(refusal, write, values):
    message = refusal(write("x.jsonl", labelled(values)))
    assert "a label that is a fraction, 10 of 20 rows: x.jsonl:1 (" in message
    assert "problem_type: regression" in message


@pytest.mark.parametrize("bad", [["a", "b"], {"a": 1}])
def test_lists_and_objects_are_no_classes(refusal, write, bad):
    message = refusal(write("x.jsonl", [*labelled(["a", "b"]), {"text": "x", "label": bad}]))
    assert "not a word or number" in message and "x.jsonl:21" in message and MULTI in message


def test_undeclared_label_names_rows_and_nearest(refusal, write):
    rows = labelled(["sport", "tech"])
    rows[4]["label"] = "sprot"
    message = refusal(write("x.jsonl", rows), labels=["sport", "tech"])
    assert "label 'sprot' is not in task.labels, 1 of 20 rows: x.jsonl:5 ('sprot')" in message
    assert "did you mean 'sport' for 'sprot'" in message


def test_out_of_range_label_names_rows(refusal, write):
    rows = labelled([0, 1])
    rows[4]["label"], rows[7]["label"] = 5, -1
    message = refusal(write("x.jsonl", rows), labels=["neg", "pos"])
    assert "a label out of range 0 to 1, 2 of 20 rows: x.jsonl:5 (5), x.jsonl:8 (-1)" in message


def test_repeated_declared_label(refusal, write):
    message = refusal(write("x.jsonl", labelled(["a", "b"])), labels=["a", "b", "a"])
    assert "a name occurs twice: a, b, a" in message


@pytest.mark.parametrize("problem_type", [SINGLE, REGRESSION])
def test_one_label_only_is_refused(refusal, write, problem_type):
    message = refusal(write("x.jsonl", labelled([1])), problem_type=problem_type)
    assert "rows of train have the same label" in message and "nothing to tell apart" in message


def test_a_label_per_row_is_refused(refusal, write):
    message = refusal(write("x.jsonl", [{"text": f"t {i}", "label": f"id{i}"} for i in range(50)]))
    assert "50 different labels in 50 rows" in message


def test_hidden_test_labels_are_explained(refusal, write, tmp_path):
    write("d/train.jsonl", labelled([0, 1]))
    write("d/test.jsonl", [{"text": f"hidden {i}", "label": -1} for i in range(5)])
    message = refusal(tmp_path / "d", splits={"train": "train", "test": "test"})
    assert "test.jsonl: the labels of this split are hidden: 5 of 5 are -1" in message
    assert "test: validation" in message


@pytest.mark.parametrize("role", ["validation", "test"])
def test_a_label_that_train_never_shows_is_refused(refusal, write, tmp_path, role):
    write("d/train.jsonl", labelled(["a", "b"]))
    write("d/other.jsonl", [{"text": f"new {i}", "label": "abc"[i % 3]} for i in range(9)])
    message = refusal(tmp_path / "d", splits={"train": "train", role: "other"})
    assert f"3 rows of {role} have a label that train never shows: other.jsonl:3 ('c')" in message


def test_classes_missing_from_a_split_are_noted_with_counts(load, write, tmp_path):
    write("d/train.jsonl", labelled(["a", "b", "c"]))
    write("d/test.jsonl", [{"text": f"new {i}", "label": "ab"[i % 2]} for i in range(5)])
    data = load(tmp_path / "d", splits={"train": "train", "test": "test"}, validation_size=None)
    assert data.notes == ("test has no example of c (counts: a 3, b 2, c 0).",)


# ------------------------------------------------------------------ several labels a row


def test_label_lists(load, write):
    rows = [{"text": f"t {i}", "label": [["x"], ["y", "x"], [], ["z"]][i % 4]} for i in range(40)]
    data = load(write("x.jsonl", rows), problem_type=MULTI)
    assert data.label_names == ("x", "y", "z")
    vectors = by_text(data)
    assert [vectors[f"t {i}"] for i in range(4)] == [(1, 0, 0), (1, 1, 0), (0, 0, 0), (0, 0, 1)]


def test_label_lists_of_parquet_with_declared_order(load, tmp_path):
    columns = {"text": [f"t {i}" for i in range(20)], "label": [[0], [1, 0]] * 10}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    data = load(tmp_path / "x.parquet", problem_type=MULTI, labels=["first", "second"])
    assert by_text(data)["t 0"] == (1, 0) and by_text(data)["t 1"] == (1, 1)


def test_zero_one_columns_in_csv(load, write):
    lines = [f"t {i},{i % 2},{i % 3 // 2}" for i in range(30)]
    data = load(
        write("x.csv", "\n".join(["text,toxic,rude", *lines])),
        problem_type=MULTI, label=["toxic", "rude"], labels=["rude", "toxic"],
    )  # fmt: skip
    assert data.label_names == ("rude", "toxic")
    assert by_text(data)["t 5"] == (1, 1) and by_text(data)["t 3"] == (0, 1)


@pytest.mark.parametrize(
    ("rows", "keys", "words"),
    [
        ([{"a": 2, "b": 0}], {"label": ["a", "b"]}, "neither 0 nor 1 in columns a, b, 1 of 21"),
        ([{"a": 0.5, "b": 0}], {"label": ["a", "b"]}, "x.jsonl:21 ((0.5, 0))"),
        ([{"a": None, "b": 0}], {"label": ["a", "b"]}, "missing label, 1 of 21 rows"),
        ([], {"label": ["a"]}, "data.label lists one column, 'a'"),
        ([], {"label": ["a", "a"]}, "a column occurs twice"),
        ([], {"label": ["a", "b"], "labels": ["a", "c"]}, "are not the columns of data.label"),
        ([], {"label": ["a", "b"], "problem_type": SINGLE}, "data.label lists 2 columns"),
        ([{"label": "x|y"}], {}, "a label that is not a list, 1 of 21 rows: x.jsonl:21 ('x|y')"),
        ([{"label": [1, 0, 0]}], {}, "the same label twice in one row"),
        ([{"label": ["x", None]}], {}, "missing label"),
        ([{"label": ["q"]}], {"labels": ["x", "y"]}, "label 'q' is not in task.labels"),
    ],
)
def test_bad_label_sets_are_refused(refusal, write, rows, keys, words):
    good = [{"text": f"t {i}", "a": i % 2, "b": 1, "label": ["xy"[i % 2]]} for i in range(20)]
    path = write("x.jsonl", good + [{"text": "bad", **row} for row in rows])
    assert words in refusal(path, **({"problem_type": MULTI} | keys))


def test_rare_label_missing_from_a_split_is_noted(load, write):
    rows = [{"text": f"t {i}", "label": ["xy"[i % 2]]} for i in range(40)]
    rows[0]["label"] = ["x", "rare"]
    data = load(write("x.jsonl", rows), problem_type=MULTI)
    lacking = [note for note in data.notes if "no example of rare" in note]
    assert len(lacking) == 2


# ------------------------------------------------------------------ numbers


def test_numbers_are_read_from_text_and_json(load, write):
    rows = [f"t {i},{i / 4}" for i in range(20)]
    data = load(write("x.csv", "\n".join(["text,label", *rows])), problem_type=REGRESSION)
    assert data.label_names == () and by_text(data)["t 6"] == 1.5
    assert all(isinstance(label, float) for label in data.train.labels)


@pytest.mark.parametrize("bad", ["high", "inf", float("inf"), True, [1.0]])
def test_what_is_no_finite_number_is_refused(refusal, write, bad):
    rows = [*labelled([1, 2.5]), {"text": "bad", "label": bad}]
    message = refusal(write("x.jsonl", rows), problem_type=REGRESSION)
    assert "a label that is not a finite number, 1 of 21 rows: x.jsonl:21" in message


def test_label_names_make_no_sense_for_numbers(refusal, write):
    path = write("x.jsonl", labelled([1, 2]))
    assert "task.labels" in refusal(path, problem_type=REGRESSION, labels=["a", "b"])
