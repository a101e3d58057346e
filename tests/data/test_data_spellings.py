"""Labels that differ in case or white space, lists of zeros and ones, labels that no row has."""

from __future__ import annotations

import pytest

MULTI = "multi_label_classification"


def by_text(data):
    splits = (data.train, data.validation, data.test)
    return {t: label for s in splits for t, label in zip(s.texts, s.labels, strict=True)}


SPELLED = ["spam"] * 12 + ["Spam"] * 3 + ["positive"] * 12 + ["positive "] * 3


def spelled(labels=SPELLED):
    return [{"text": f"t {i}", "label": label} for i, label in enumerate(labels)]


def test_labels_that_differ_in_case_or_white_space_are_named_once(load, write):
    data = load(write("x.jsonl", spelled()))
    assert data.label_names == ("Spam", "positive", "spam")
    (note,) = [note for note in data.notes if "case or white space" in note]
    assert "'Spam' (3), 'spam' (12); 'positive' (12), 'positive ' (3)" in note
    assert "data.normalise_labels: true reads them as one" in note


def test_normalised_labels_have_the_most_frequent_spelling(load, write):
    data = load(write("x.jsonl", spelled()), normalise_labels=True)
    assert data.label_names == ("positive", "spam")
    assert by_text(data)["t 13"] == 1 and by_text(data)["t 29"] == 0
    assert data.notes[0].endswith("spelled as in task.labels or else in most rows.")


def test_normalised_labels_are_those_of_the_recipe(load, refusal, write):
    path = write("x.jsonl", spelled(["SPAM", "ham "] * 10))
    labels = {"labels": ["Spam", "Ham"]}
    assert "set data.normalise_labels: true, as they differ only in case" in refusal(path, **labels)
    data = load(path, **labels, normalise_labels=True)
    assert data.label_names == ("Spam", "Ham") and by_text(data)["t 0"] == 0


def test_white_space_around_labels_alone_is_read_as_one_and_said(load, write):
    data = load(write("x.jsonl", spelled(["a", "b", "a ", "b"] * 5)))
    assert data.label_names == ("a", "b")
    assert data.notes == (
        "Labels that differ only in case or white space: 'a' (5), 'a ' (5). White space around a "
        "label does not count: they are read as one.",
    )


@pytest.mark.parametrize("task", ["token-classification", "multi"])
def test_tags_and_lists_of_labels_are_normalised_too(load, write, task):
    labels = ["B-X", "O", "b-x", "o"]
    rows = [{"text": ["w", f"v{i}"] if task != "multi" else f"t {i}",
             "label": labels[:2] if i < 15 else labels[2:]} for i in range(20)]  # fmt: skip
    rows += [{"text": ["z", f"z{i}"] if task != "multi" else f"z {i}",
              "label": ["O", "O"] if task != "multi" else ["O"]} for i in range(9)]  # fmt: skip
    keys = {"problem_type": MULTI} if task == "multi" else {"task": task}
    path = write("x.jsonl", rows)
    assert len(load(path, **keys).label_names) == 4
    assert load(path, **keys, normalise_labels=True).label_names == ("B-X", "O")


@pytest.mark.parametrize("vector", [[[1, 0], [0, 1]], [[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]]])
def test_lists_of_zeros_and_ones_are_places(load, write, vector):
    rows = [{"text": f"t {i}", "label": vector[i % len(vector)]} for i in range(40)]
    data = load(write("x.jsonl", rows), problem_type=MULTI)
    assert data.label_names == tuple("012"[: len(vector[0])])
    assert all(by_text(data)[f"t {i}"] == tuple(vector[i % len(vector)]) for i in range(40))
    assert "read as one place for each label; task.labels gives the places names" in data.notes[0]
    never = [note for note in data.notes if note.startswith("No row has the label")]
    assert never == ["No row has the label 2: it can be neither learned nor tested."] * (
        len(vector) > 2
    )


def test_places_take_the_names_of_the_recipe_or_are_refused(load, refusal, write):
    path = write("x.jsonl", spelled([[1, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]] * 8))
    names = ["x", "y", "z"]
    assert load(path, problem_type=MULTI, labels=names).label_names == tuple(names)
    message = refusal(path, problem_type=MULTI, labels=["x", "y"])
    assert "lists of 3 zeros and ones, and 2 label names" in message


def test_a_zero_one_column_that_is_never_set_is_named_once(load, write):
    lines = [f"t {i},{i % 2},0" for i in range(30)]
    path = write("x.csv", "\n".join(["text,toxic,rude", *lines]))
    data = load(path, problem_type=MULTI, label=["toxic", "rude"])
    assert data.notes == ("No row has the label rude: it can be neither learned nor tested.",)
