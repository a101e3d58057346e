"""Classes, disagreements and curves, compared with scikit-learn and counts by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from reported_runs import CLASSES, add_run, recipe_of
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from workbench.analysis.classes import classes_of, most_common, split_labels
from workbench.analysis.disagreements import disagreements, examples_of, pairs_of
from workbench.analysis.learning_curves import LOSS, seed_bands, validation_metrics
from workbench.analysis.predictions import Predictions, aligned_predictions, read_predictions
from workbench.comparison import compare
from workbench.recipe.catalogue import MULTI, REGRESSION, SINGLE, SPANS, TAGS, TOKENS
from workbench.store import read_run


def answers(
    labels: list[str], predictions: list[str], scores: list[float | None] | None = None
) -> Predictions:
    count = len(labels)
    return Predictions(
        ids=tuple(map(str, range(count))),
        texts=("text",) * count,
        pairs=None,
        labels=tuple(labels),
        predictions=tuple(predictions),
        scores=tuple(scores or [None] * count),
    )


@pytest.fixture
def drawn() -> tuple[list[str], list[list[str]]]:
    """Labels, and the predictions of three seeds."""
    chance = random.Random(0)
    labels = [chance.choice(CLASSES) for _ in range(200)]
    seeds = [[x if chance.random() < 0.7 else chance.choice(CLASSES) for x in labels]
             for _ in range(3)]  # fmt: skip
    return labels, seeds


def test_class_scores_are_scikit_learn_s(drawn: tuple[list[str], list[list[str]]]) -> None:
    labels, seeds = drawn
    found = classes_of(SINGLE, [answers(labels, seed) for seed in seeds], CLASSES)
    assert found is not None and found.confusion is not None
    theirs = [precision_recall_fscore_support(labels, s, labels=list(CLASSES)) for s in seeds]
    for i, score in enumerate(found.scores):
        assert score.name == CLASSES[i] and score.support == theirs[0][3][i]
        for value, k in ((score.precision, 0), (score.recall, 1), (score.f1, 2)):
            assert value == pytest.approx(sum(seed[k][i] for seed in theirs) / 3)
        assert score.f1_low == pytest.approx(min(seed[2][i] for seed in theirs))
        assert score.f1_high == pytest.approx(max(seed[2][i] for seed in theirs))
    mean = sum(confusion_matrix(labels, seed, labels=list(CLASSES)) for seed in seeds) / 3
    assert found.confusion == pytest.approx(mean)


def test_scores_of_several_labels_are_scikit_learn_s() -> None:
    known = ["a", "b, c", "d"]
    rows = [[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 1]]
    said = [[1, 0, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1]]

    def texts(rows: list[list[int]]) -> list[str]:
        named = ([n for n, on in zip(known, r, strict=True) if on] for r in rows)
        return [", ".join(names) for names in named]

    found = classes_of(MULTI, [answers(texts(rows), texts(said))], known)
    assert found is not None and found.confusion is None
    theirs = precision_recall_fscore_support(rows, said, zero_division=0.0)
    assert [s.f1 for s in found.scores] == pytest.approx(list(theirs[2]))
    assert [s.support for s in found.scores] == list(theirs[3])


def test_tags_are_counted_word_by_word() -> None:
    found = classes_of(TAGS, [answers(["B O O", "O B"], ["B B O", "O"])], ["O", "B"])
    assert found is not None
    # The last word was cut off and counts for nothing.
    assert {s.name: s.support for s in found.scores} == {"O": 3, "B": 1}
    assert found.confusion == [[2.0, 1.0], [0.0, 1.0]]
    assert classes_of(REGRESSION, [answers(["1"], ["2"])], []) is None


def test_a_label_with_a_comma_is_one_label() -> None:
    assert split_labels("a, b, c", ["a", "b", "c"]) == {"a", "b", "c"}
    assert split_labels("a, b, c", ["a", "b, c"]) == {"a", "b, c"}
    assert split_labels("", ["a"]) == set()


def test_the_classes_with_most_examples_are_shown() -> None:
    found = classes_of(SINGLE, [answers(["c", "a", "a", "b", "b"], ["a"] * 5)], ["c", "b", "a"])
    assert found is not None
    assert [found.names[i] for i in most_common(found, 2)] == ["b", "a"]


# --- disagreements -------------------------------------------------------------------------


def test_disagreements_come_furthest_apart_first() -> None:
    labels = ["a", "a", "b", "b"]
    said = {
        "one": [answers(labels, ["a", "a", "b", "a"]), answers(labels, ["a", "a", "b", "b"])],
        "two": [answers(labels, ["a", "b", "a", "a"]), answers(labels, ["a", "b", "b", "a"])],
    }
    examples = examples_of(SINGLE, said)
    assert len(examples) == 4
    apart = disagreements(SINGLE, examples)
    assert [e.id for e in apart][0] == "1" and apart[0].spread == 1.0
    assert "0" not in [e.id for e in apart]
    last = examples[3].answers
    assert (last["one"].right, last["one"].agreeing, last["two"].right) == (1, 1, 0)


def test_two_seeds_that_differ_decide_nothing_whichever_comes_first() -> None:
    seeds = [answers(["a"], ["a"], [0.9]), answers(["a"], ["b"], [0.6])]
    for order in (seeds, seeds[::-1]):
        said = {"one": order, "two": [answers(["a"], ["b"], [0.5]), answers(["a"], ["b"], [0.7])]}
        (example,) = examples = examples_of(SINGLE, said)
        one, two = example.answers["one"], example.answers["two"]
        assert set(one.text.split(" / ")) == {"a", "b"} and not one.decided and one.score is None
        assert two.text == "b" and two.decided and two.score == pytest.approx(0.6)
        assert disagreements(SINGLE, examples) == []
        (pair,) = pairs_of(SINGLE, examples)
        assert pair.counts == (0, 0, 0, 1)


def test_the_score_of_an_answer_is_that_of_the_seeds_that_give_it() -> None:
    seeds = [
        answers(["a"], [said], [score]) for said, score in (("b", 0.9), ("a", 0.6), ("a", 0.8))
    ]
    (example,) = examples_of(SINGLE, {"one": seeds})
    found = example.answers["one"]
    assert (found.text, found.agreeing, found.right) == ("a", 2, 2) and found.mostly_right
    assert found.score == pytest.approx(0.7) and found.notes == ["2 of 3 seeds right"]
    numbers = [answers(["1"], [said]) for said in ("1.5", "2.5")]
    (example,) = examples_of(REGRESSION, {"one": numbers})
    found = example.answers["one"]
    assert (found.text, found.agreeing, found.seeds) == ("2", 2, 2)


def test_spans_that_squad_takes_for_the_same_agree() -> None:
    said = {
        "one": [answers(["Paris"], [each]) for each in ("the Paris", "Paris", "Rome")],
        "two": [answers(["Paris"], [each]) for each in ("Rome", "rome.", "The Rome")],
    }
    (example,) = disagreements(SPANS, examples_of(SPANS, said))
    one, two = example.answers["one"], example.answers["two"]
    assert (one.text, one.decided, one.agreeing, one.right) == ("the Paris", True, 2, 2)
    assert (two.text, two.decided, two.agreeing, two.right) == ("Rome", True, 3, 0)
    assert (one.notes, two.notes) == (["2 of 3 seeds right"], ["wrong"])


def test_seeds_that_agree_on_a_wrong_answer_are_counted_beside_those_that_are_right() -> None:
    seeds = [answers(["a"], [said]) for said in ("b", "b", "a")]
    (example,) = examples_of(SINGLE, {"one": seeds})
    assert example.answers["one"].notes == ["1 of 3 seeds right", "2 of 3 seeds agree"]


def test_pairs_add_up_to_the_test_split() -> None:
    labels = ["a", "a", "b", "b", "b"]
    said = {
        "one": [answers(labels, ["a", "a", "b", "a", "a"])],
        "two": [answers(labels, ["a", "b", "b", "b", "a"])],
    }
    (pair,) = pairs_of(SINGLE, examples_of(SINGLE, said))
    assert pair.counts == (2, 1, 1, 1)


def test_spans_are_compared_as_squad_does_and_likelihoods_by_their_distance() -> None:
    said = {"one": [answers(["476 | in 476"], ["The 476."])],
            "two": [answers(["476 | in 476"], ["477"])]}  # fmt: skip
    (example,) = disagreements(SPANS, examples_of(SPANS, said))
    assert (example.answers["one"].right, example.answers["two"].right) == (1, 0)
    (example,) = examples_of(SPANS, {"one": [answers(["the | Paris"], ["A."])]})
    assert example.answers["one"].right == 0, "SQuAD leaves out an answer that is an article"
    apart = {"one": [answers(["", ""], ["", ""], [-1.0, -2.0])],
             "two": [answers(["", ""], ["", ""], [-1.0, -5.0])]}  # fmt: skip
    (example,) = disagreements(TOKENS, examples_of(TOKENS, apart))
    assert example.id == "1" and example.spread == pytest.approx(3.0)
    numbers = {"one": [answers(["1"], ["1"])], "two": [answers(["1"], ["3.5"])]}
    assert disagreements(REGRESSION, examples_of(REGRESSION, numbers))[0].spread == 2.5


def test_runs_that_answered_something_else_are_left_out(runs: Path) -> None:
    add_run(runs, recipe_of("full"), 0, labels=["tech", "sport"], predictions=["tech", "tech"])
    add_run(runs, recipe_of("lora"), 0, labels=["tech", "sport"], predictions=["tech", "tech"])
    other = add_run(runs, recipe_of("lora"), 1, labels=["sport", "tech"], predictions=["tech"] * 2)
    samples = compare([runs]).samples
    found = aligned_predictions(samples)
    assert {label: len(seeds) for label, seeds in found.items()} == {"full": 1, "lora": 1}
    assert read_predictions(read_run(other)) is not None
    (other / "predictions.parquet").unlink()
    assert read_predictions(read_run(other)) is None


# --- curves --------------------------------------------------------------------------------


def test_bands_are_the_mean_and_the_ends_over_seeds(runs: Path) -> None:
    for seed in range(3):
        add_run(runs, recipe_of("lora"), seed)
    (sample,) = compare([runs]).samples
    band = seed_bands(sample, LOSS)
    assert [point["x"] for point in band] == list(range(1, 21))
    assert band[3]["mean"] == pytest.approx(2.0 / 4 + 0.1)
    assert (band[3]["low"], band[3]["high"]) == pytest.approx((0.5, 0.7))
    assert band[3]["seeds"] == 3
    assert [p["x"] for p in seed_bands(sample, LOSS, "tokens")][:2] == [100.0, 200.0]
    assert [p["x"] for p in seed_bands(sample, LOSS, "seconds")][-1] == 10.0
    assert [p["x"] for p in seed_bands(sample, "accuracy", "epoch")] == [1.0, 2.0]
    assert validation_metrics([sample]) == ["accuracy", "f1_macro"]
    smooth = seed_bands(sample, LOSS, smoothing=0.9)
    assert smooth[0]["mean"] == pytest.approx(band[0]["mean"])
    assert smooth[-1]["mean"] > band[-1]["mean"]


def test_a_mean_does_not_lose_a_seed_on_the_way(runs: Path) -> None:
    for seed in range(2):
        path = add_run(runs, recipe_of("lora"), seed)
    text = (path / "events.jsonl").read_text().splitlines(keepends=True)
    (path / "events.jsonl").write_text("".join(text[:5]))
    (sample,) = compare([runs]).samples
    assert [point["x"] for point in seed_bands(sample, LOSS)] == [1, 2, 3, 4, 5]
