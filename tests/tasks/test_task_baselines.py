"""Answers without a pretrained model, on the same split."""

from __future__ import annotations

import time

import pytest

from tests.small_data import data_of
from workbench.data import Examples, load_data
from workbench.recipe.schema import DataSpec
from workbench.recipe.tasks import TextClassification
from workbench.tasks.baselines import class_baselines


def task(problem_type="single_label_classification"):
    return TextClassification(name="text-classification", problem_type=problem_type)


def examples(texts, labels, pairs=None):
    ids = tuple(str(i) for i in range(len(texts)))
    return Examples(
        ids=ids, texts=tuple(texts), pairs=tuple(pairs) if pairs else None, labels=tuple(labels)
    )


def data(train, test, names=("a", "b")):
    return data_of(train, examples([], []), test, names)


def shares_right(predictions, labels):
    assert len(predictions) == len(labels)
    assert type(predictions[0]) is type(labels[0])
    right = [p == label for p, label in zip(predictions, labels, strict=True)]
    return {"accuracy": sum(right) / len(right)}


def squared_error(predictions, labels):
    return {
        "mse": sum((p - y) ** 2 for p, y in zip(predictions, labels, strict=True)) / len(labels)
    }


def baseline_scores(loaded, spec, score):
    found = class_baselines(loaded, spec.problem_type)
    return {name: score(given, loaded.test.labels) for name, given in found.items()}


WORDS = ["good film", "fine film indeed", "bad film", "poor film indeed", "bad bad night"]


def test_single_label():
    train = examples(WORDS, [0, 0, 1, 1, 1])
    test = examples(["good", "fine", "bad film", "poor poor"], [0, 0, 1, 1])
    assert baseline_scores(data(train, test), task(), shares_right) == {
        "majority class": {"accuracy": 0.5},
        "TF-IDF + logistic regression": {"accuracy": 1.0},
    }


@pytest.mark.parametrize(
    ("good", "bad", "rest"),
    [
        ("好", "坏", "今天电影我们音乐朋友北京"),
        ("良", "悪", "きょうはえいがをみました"),
        ("ดี", "แย่", "วันนี้หนังเพลงเพื่อนบ้าน"),
    ],
)
def test_texts_without_spaces_are_read_by_character(good: str, bad: str, rest: str) -> None:
    texts = [rest[i : i + 3] + word + rest[-i - 3 :] for i in range(8) for word in (good, bad)]
    train, test = examples(texts[:12], [0, 1] * 6), examples(texts[12:], [0, 1] * 2)
    found = baseline_scores(data(train, test), task(), shares_right)
    assert found["TF-IDF + logistic regression"] == {"accuracy": 1.0}


def test_the_second_text_counts_and_counts_apart():
    # Only the order of the two texts tells the classes apart.
    firsts, seconds = ["cat", "dog"] * 10, ["dog", "cat"] * 10
    train = examples(firsts, [0, 1] * 10, seconds)
    test = examples(["cat", "dog"], [0, 1], ["dog", "cat"])
    scores = baseline_scores(data(train, test), task(), shares_right)
    assert scores["TF-IDF + logistic regression"] == {"accuracy": 1.0}
    empty = examples(["cat", "dog"] * 5, [0, 1] * 5, [""] * 10)
    assert baseline_scores(data(empty, test), task(), shares_right)


def test_several_labels_and_one_that_never_occurs():
    vectors = [(1, 0, 0), (1, 0, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0)]
    train = examples(WORDS, vectors)
    test = examples(["good fine", "bad poor", "bad"], [(1, 0, 0), (0, 1, 0), (0, 1, 0)])
    scores = baseline_scores(
        data(train, test, ("x", "y", "z")), task("multi_label_classification"), shares_right
    )
    assert scores["majority class"]["accuracy"] == pytest.approx(2 / 3)
    assert scores["TF-IDF + logistic regression"] == {"accuracy": 1.0}


def test_regression():
    train = examples(["one"] * 9 + ["five"] * 3, [1.0] * 9 + [5.0] * 3)
    test = examples(["one", "five"], [1.0, 5.0])
    scores = baseline_scores(data(train, test, ()), task("regression"), squared_error)
    assert scores["mean"] == {"mse": 5.0}  # the mean is 2: (1 + 9) / 2
    assert scores["TF-IDF + ridge regression"]["mse"] < 0.5


@pytest.mark.parametrize("texts", [["!", "?"], ["é", "日"], ["🙂", "🙁"], ["a", "b"]])
def test_any_script_has_words(texts):
    train = examples(texts * 5, [0, 1] * 5)
    scores = baseline_scores(data(train, train), task(), shares_right)
    assert scores["TF-IDF + logistic regression"] == {"accuracy": 1.0}


def test_ties_go_to_the_first_class_whatever_the_order_of_rows():
    for labels in ([1, 0, 1, 0], [0, 1, 0, 1]):
        rows = examples(["p", "q", "r", "s"], labels)
        seen = []
        baseline_scores(data(rows, rows), task(), lambda p, y, seen=seen: seen.append(p) or {})
        assert seen[0] == [0] * 4


@pytest.mark.assets
def test_bbc_news_is_fast_and_repeatable():
    spec = DataSpec(source="asset:bbc-news", test_size=500, validation_size=200, train_size=800)
    loaded = load_data(spec, task())
    baseline_scores(data(*[examples(WORDS, [0, 0, 1, 1, 1])] * 2), task(), shares_right)  # imports
    start = time.process_time()
    first = baseline_scores(loaded, task(), shares_right)
    assert time.process_time() - start < 3
    assert first == baseline_scores(loaded, task(), shares_right)
    assert first["majority class"]["accuracy"] == pytest.approx(0.236)
    assert first["TF-IDF + logistic regression"]["accuracy"] > 0.94
