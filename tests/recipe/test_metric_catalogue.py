"""What a recipe may know of metrics before anything is computed."""

from __future__ import annotations

from typing import get_args

import pytest

from workbench.recipe.catalogue import (
    DEFAULT_METRICS,
    METRICS,
    TEXT,
    AnswerKind,
    ProblemType,
    deciding_score,
    higher_is_better,
    hub_id,
    needs_generation,
)
from workbench.recipe.tasks import TASK_SPECS

LOWER = {
    "mean_squared_error", "mean_absolute_error",
    "perplexity", "word_perplexity", "bits_per_byte", "masked_perplexity",
}  # fmt: skip


def test_every_kind_of_answer_has_usual_metrics_that_fit() -> None:
    literals = [get_args(part) for part in get_args(AnswerKind)]
    assert DEFAULT_METRICS.keys() == {kind for kinds in literals for kind in kinds}
    assert set(get_args(ProblemType)) < DEFAULT_METRICS.keys()
    for kind, names in DEFAULT_METRICS.items():
        assert names and all(kind in METRICS[name].kinds for name in names), kind


def test_every_task_has_a_kind_of_answer() -> None:
    kinds = {spec.model_validate({"name": name}).kind for name, spec in TASK_SPECS.items()}
    assert len(kinds) >= 6 and kinds <= DEFAULT_METRICS.keys()


def test_errors_and_perplexities_are_better_low() -> None:
    assert {name for name in METRICS if not higher_is_better(name)} == LOWER
    assert higher_is_better("hub:anything") and higher_is_better("hub:someone/mse")
    for name in (
        "hub:mse",
        "hub:evaluate-metric/mse",
        "hub:wer/score",
        "hub:anything:lower",
        "hub:anything:lower/total",
    ):
        assert not higher_is_better(name)
    assert hub_id("hub:someone/error:lower") == "someone/error"


def test_the_first_of_several_numbers_decides() -> None:
    assert deciding_score({"accuracy": 0.5, "f1": 0.4}, "f1") == 0.4
    assert deciding_score({"hub:x/precision": None, "hub:x/recall": 0.4}, "hub:x") is None
    assert deciding_score({"hub:x/recall": 0.4, "accuracy": 0.9}, "hub:x") == 0.4
    assert deciding_score({}, "hub:x") is None


def test_what_needs_generated_text_is_all_of_text_but_its_likelihood() -> None:
    text = {name for name, metric in METRICS.items() if TEXT in metric.kinds}
    written = {name for name in METRICS if needs_generation(name)}
    assert text - written == {"perplexity", "word_perplexity", "bits_per_byte"}
    assert text > written


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_its_range_or_unit(name: str) -> None:
    words = ("0 to 1", "-1 to 1", "0 to 100", "error", "perplexity", "bits")
    assert any(word in METRICS[name].about for word in words)
