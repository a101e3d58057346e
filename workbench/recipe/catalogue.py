"""The metrics a recipe may name, with their direction; the arithmetic is in ``measure.quality``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

SINGLE: ProblemType = "single_label_classification"
MULTI: ProblemType = "multi_label_classification"
REGRESSION: ProblemType = "regression"


@dataclass(frozen=True)
class Metric:
    """What a reader needs to know of a metric before anything is computed."""

    about: str
    problem_types: frozenset[ProblemType]
    higher_is_better: bool = True


def _metric(about: str, *problem_types: ProblemType, higher_is_better: bool = True) -> Metric:
    return Metric(about, frozenset(problem_types), higher_is_better)


METRICS: dict[str, Metric] = {
    "accuracy": _metric("share of exactly right answers, 0 to 1", SINGLE, MULTI),
    "f1": _metric("F1 of the positive class of two, 0 to 1", SINGLE),
    "f1_macro": _metric("F1 averaged over classes, 0 to 1", SINGLE, MULTI),
    "f1_micro": _metric("F1 over all decisions, 0 to 1", SINGLE, MULTI),
    "precision_macro": _metric("precision averaged over classes, 0 to 1", SINGLE, MULTI),
    "recall_macro": _metric("recall averaged over classes, 0 to 1", SINGLE, MULTI),
    "matthews_correlation": _metric("Matthews correlation, -1 to 1 (GLUE's CoLA)", SINGLE),
    "pearson": _metric("Pearson correlation, -1 to 1", REGRESSION),
    "spearman": _metric("Spearman rank correlation, -1 to 1", REGRESSION),
    "mean_squared_error": _metric("mean squared error", REGRESSION, higher_is_better=False),
    "mean_absolute_error": _metric("mean absolute error", REGRESSION, higher_is_better=False),
}

DEFAULT_METRICS: dict[ProblemType, tuple[str, ...]] = {
    SINGLE: ("accuracy", "f1_macro"),
    MULTI: ("f1_micro", "f1_macro", "accuracy"),
    REGRESSION: ("pearson", "spearman"),
}

HUB_METRIC_PREFIX = "hub:"


def higher_is_better(metric: str) -> bool:
    """True unless the metric is an error or loss; a ``hub:`` metric is taken as a score."""
    return METRICS[metric].higher_is_better if metric in METRICS else True
