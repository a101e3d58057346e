"""Metrics that the data cannot be scored by are found before the training."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import ConstantInputWarning, pearsonr

from workbench.data.examples import Data, Examples
from workbench.errors import UsageError
from workbench.metrics.fitting import fit_metrics
from workbench.metrics.scores import score
from workbench.recipe.tasks import TextClassification, TokenClassification
from workbench.tasks import make_task

REGRESSION: dict[str, Any] = {"name": "text-classification", "problem_type": "regression"}
POS = ("NOUN", "VERB")


def split(labels: list[Any]) -> Examples:
    ids = tuple(map(str, range(len(labels))))
    return Examples(ids=ids, texts=ids, labels=tuple(labels))


def fitted(spec: Any, names: tuple[str, ...], *labels: list[Any]) -> tuple[list[str], str]:
    train, validation, test = map(split, labels)
    data = Data(
        train=train,
        validation=validation,
        test=test,
        label_names=names,
        content_hash="",
        split_hash="",
        duplicates_removed=0,
        notes=(),
    )
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
