"""Metrics that the data cannot be scored by are found before the training."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import ConstantInputWarning, pearsonr

from tests.small_data import data_of, labelled
from workbench.errors import UsageError
from workbench.metrics.fitting import check_units, fit_metrics
from workbench.metrics.scores import score
from workbench.recipe.tasks import CausalLM, TextClassification, TokenClassification
from workbench.tasks import make_task

REGRESSION: dict[str, Any] = {"name": "text-classification", "problem_type": "regression"}
POS = ("NOUN", "VERB")


def fitted(spec: Any, names: tuple[str, ...], *labels: list[Any]) -> tuple[list[str], str]:
    train, validation, test = map(labelled, labels)
    data = data_of(train, validation, test, names)
    task, notes = fit_metrics(make_task(spec, names), data)
    return list(task.spec.score_names), " ".join(notes)


def tags(**more: Any) -> TokenClassification:
    return TokenClassification(name="token-classification", **more)


def numbers(**more: Any) -> TextClassification:
    return TextClassification(**REGRESSION, **more)


def test_parts_of_speech_are_scored_by_accuracy_alone() -> None:
    rows = [(0, 1), (1, 0)]
    names, note = fitted(tags(), POS, rows, rows, rows)
    assert names == ["accuracy"]
    assert "entity_f1" in note and "validation and test" in note and "B- or I-" in note


def test_tags_of_entities_keep_their_metrics() -> None:
    rows = [(0, 1), (1, 0)]
    names, note = fitted(tags(), ("O", "B-PER"), rows, rows, rows)
    assert names[0] == "entity_f1" and len(names) == 4 and not note


def test_a_first_metric_that_the_recipe_names_is_refused_where_it_is_undefined() -> None:
    rows = [(0, 1), (1, 0)]
    with pytest.raises(UsageError, match="entity_f1 cannot be computed on validation") as caught:
        fitted(tags(metrics=["entity_f1", "accuracy"]), POS, rows, rows, rows)
    assert "put one of these first: accuracy" in str(caught.value)
    names, note = fitted(tags(metrics=["accuracy", "entity_f1"]), POS, rows, rows, rows)
    assert names == ["accuracy", "entity_f1"] and "entity_f1 cannot be computed" in note


def test_numbers_that_are_all_the_same_have_no_correlation() -> None:
    with pytest.warns(ConstantInputWarning):
        assert pearsonr([2.0, 2.0], [2.0, 2.0]).statistic != 1  # nan, from scipy itself
    names, note = fitted(numbers(), (), [1.0, 2.0], [2.0, 2.0], [1.0, 3.0])
    assert names == ["mean_squared_error", "mean_absolute_error"]
    assert "validation" in note and "and test" not in note
    names, note = fitted(numbers(), (), [1.0, 2.0], [], [1.0, 3.0])
    assert names == ["pearson", "spearman"] and not note


def test_one_number_alone_has_no_correlation() -> None:
    assert score(["pearson", "spearman"], "regression", [1.0], [2.0]) == {
        "pearson": None,
        "spearman": None,
    }


def test_a_metric_that_does_not_fit_the_labels_is_refused() -> None:
    spec = TextClassification(name="text-classification", metrics=["f1"])
    with pytest.raises(UsageError, match="do not fit the labels") as caught:
        fitted(spec, ("a", "b", "c"), [0, 1, 2], [0, 1], [2])
    assert "f1_macro" in str(caught.value)


def test_word_perplexity_of_texts_of_one_word_is_refused_first_and_noted_else() -> None:
    """The first token of a text is given, so such texts have no word to predict."""
    counts = {"train": [1], "validation": [2], "test": [0, 0]}
    splits: Any = {role: Counts(words) for role, words in counts.items()}
    for names, noted in ((["perplexity", "word_perplexity"], True), (["perplexity"], False)):
        task = make_task(CausalLM(name="causal-lm", metrics=names), ())
        assert bool(list(check_units(task, splits))) is noted
    first = make_task(CausalLM(name="causal-lm", metrics=["word_perplexity"]), ())
    with pytest.raises(UsageError, match="word_perplexity cannot be computed on test"):
        list(check_units(first, splits))
    assert not list(check_units(first, splits | {"test": Counts([0, 3])}))


class Counts(list[int]):
    """Words that are predicted in each feature of a split."""

    def column(self, _name: str) -> list[int]:
        return self
