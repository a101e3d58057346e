"""Scores through ``evaluate``: metric classes of ours over scikit-learn, which work offline.

``evaluate.load`` fetches a script from the Hub even for accuracy; it is called for ``hub:NAME``
only, when a recipe names one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import evaluate
import numpy as np
from datasets import Features, Value
from datasets import Sequence as Column
from scipy import stats
from sklearn import metrics as sk

from workbench.errors import UsageError
from workbench.recipe.catalogue import HUB_METRIC_PREFIX, METRICS, MULTI, REGRESSION, ProblemType

Score = Callable[[Any, Any], float]


def _averaged(function: Any, average: str) -> Score:
    return lambda references, predictions: function(
        references, predictions, average=average, zero_division=0
    )


def _correlation(function: Any) -> Score:
    def correlation(references: Any, predictions: Any) -> float:
        # A constant answer has no correlation; scipy warns and gives nan, which becomes null.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.ConstantInputWarning)
            return float(function(references, predictions).statistic)

    return correlation


_SCORES: dict[str, Score] = {
    "accuracy": sk.accuracy_score,
    "f1": _averaged(sk.f1_score, "binary"),
    "f1_macro": _averaged(sk.f1_score, "macro"),
    "f1_micro": _averaged(sk.f1_score, "micro"),
    "precision_macro": _averaged(sk.precision_score, "macro"),
    "recall_macro": _averaged(sk.recall_score, "macro"),
    "matthews_correlation": sk.matthews_corrcoef,
    "pearson": _correlation(stats.pearsonr),
    "spearman": _correlation(stats.spearmanr),
    "mean_squared_error": sk.mean_squared_error,
    "mean_absolute_error": sk.mean_absolute_error,
}


class ScikitMetric(evaluate.Metric):  # type: ignore[misc]  # evaluate ships no types
    """One scikit-learn or scipy score as an ``evaluate`` metric."""

    def __init__(self, name: str, problem_type: ProblemType) -> None:
        self._name, self._problem_type = name, problem_type
        super().__init__(keep_in_memory=True, experiment_id=name)

    def _info(self) -> evaluate.MetricInfo:
        value: Any = Value("float64" if self._problem_type == REGRESSION else "int64")
        column = Column(value) if self._problem_type == MULTI else value
        return evaluate.MetricInfo(
            description=METRICS[self._name].about,
            citation="",
            inputs_description="predictions and references, one per example",
            features=Features({"predictions": column, "references": column}),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return {self._name: float(_SCORES[self._name](np.array(references), np.array(predictions)))}


def score(
    names: Sequence[str],
    problem_type: ProblemType,
    predictions: Sequence[Any],
    labels: Sequence[Any],
) -> dict[str, float | None]:
    """The metrics of one split; a score that is not defined (constant answers) is None.

    Raises:
        UsageError: when a ``hub:`` metric cannot be loaded.
    """
    result: dict[str, float | None] = {}
    for name in names:
        if name.startswith(HUB_METRIC_PREFIX):
            values = _from_hub(name).compute(predictions=predictions, references=labels)
            result |= {
                f"{name}/{k}" if len(values) > 1 else name: _finite(v) for k, v in values.items()
            }
        else:
            metric = ScikitMetric(name, problem_type)
            value = metric.compute(predictions=list(predictions), references=list(labels))[name]
            result[name] = _finite(value)
    return result


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _from_hub(name: str) -> Any:
    try:
        return evaluate.load(name.removeprefix(HUB_METRIC_PREFIX))
    except (OSError, ValueError, ConnectionError) as error:
        raise UsageError(
            f"cannot load the metric {name!r} from the Hub",
            where="task.metrics",
            why=str(error).splitlines()[0],
            fix=f"check the name and the connection, or use one of {', '.join(METRICS)}",
        ) from error
