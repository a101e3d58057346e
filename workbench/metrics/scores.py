"""Scores through ``evaluate``: metric classes of ours over scikit-learn, scipy, seqeval,
sacrebleu and rouge-score, which work offline.

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

from workbench.assets.hub import why_unreachable
from workbench.errors import UsageError
from workbench.metrics import text_scores
from workbench.metrics.likelihood import LIKELIHOOD_METRICS, Likelihood, likelihood_score
from workbench.recipe.catalogue import (
    HUB_METRIC_PREFIX,
    MASKED_TOKENS,
    METRICS,
    MULTI,
    REGRESSION,
    SINGLE,
    SPANS,
    TAGS,
    TEXT,
    AnswerKind,
    hub_id,
)

Score = Callable[[Any, Any], float]
"""One number from references and predictions; nan where it is not defined."""


def _of_arrays(function: Any, **options: Any) -> Score:
    return lambda references, predictions: function(
        np.array(references), np.array(predictions), **options
    )


def _averaged(function: Any, average: str) -> Score:
    return _of_arrays(function, average=average, zero_division=0)


def _correlation(function: Any) -> Score:
    def correlation(references: Any, predictions: Any) -> float:
        # A constant answer has no correlation; scipy warns and gives nan, which becomes null.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.ConstantInputWarning)
            return float(function(references, predictions).statistic)

    return correlation


_CLASSES: dict[str, Score] = {
    "accuracy": _of_arrays(sk.accuracy_score),
    "f1_macro": _averaged(sk.f1_score, "macro"),
    "f1_micro": _averaged(sk.f1_score, "micro"),
    "precision_macro": _averaged(sk.precision_score, "macro"),
    "recall_macro": _averaged(sk.recall_score, "macro"),
}

_SCORES: dict[AnswerKind, dict[str, Score]] = {
    SINGLE: _CLASSES
    | {
        "f1": _averaged(sk.f1_score, "binary"),
        "matthews_correlation": _of_arrays(sk.matthews_corrcoef),
    },
    MULTI: _CLASSES,
    REGRESSION: {
        "pearson": _correlation(stats.pearsonr),
        "spearman": _correlation(stats.spearmanr),
        "mean_squared_error": _of_arrays(sk.mean_squared_error),
        "mean_absolute_error": _of_arrays(sk.mean_absolute_error),
    },
    TAGS: {
        "accuracy": text_scores.share_of_items,
        "entity_f1": text_scores.entity_score("f1_score"),
        "entity_precision": text_scores.entity_score("precision_score"),
        "entity_recall": text_scores.entity_score("recall_score"),
    },
    SPANS: {
        "answer_f1": text_scores.squad_score(text_scores.shared_words_f1),
        "exact_match": text_scores.squad_score(text_scores.same_answer),
    },
    TEXT: {
        "rouge1": text_scores.rouge_score("rouge1"),
        "rouge2": text_scores.rouge_score("rouge2"),
        "rouge_l": text_scores.rouge_score("rougeL"),
        "bleu": text_scores.bleu,
        "exact_match": text_scores.exact_match,
    },
    MASKED_TOKENS: {"masked_accuracy": text_scores.share_of_items},
}

_LABEL, _NUMBER, _WORDS = Value("int64"), Value("float64"), Value("string")
_COLUMNS: dict[AnswerKind, tuple[Any, Any]] = {
    SINGLE: (_LABEL, _LABEL),
    MULTI: (Column(_LABEL), Column(_LABEL)),
    REGRESSION: (_NUMBER, _NUMBER),
    TAGS: (Column(_WORDS), Column(_WORDS)),
    SPANS: (_WORDS, Column(_WORDS)),
    TEXT: (_WORDS, _WORDS),
    MASKED_TOKENS: (Column(_LABEL), Column(_LABEL)),
}
"""What a prediction and a reference are."""


class OfflineMetric(evaluate.Metric):  # type: ignore[misc]  # evaluate ships no types
    """One metric of the catalogue as an ``evaluate`` metric."""

    def __init__(self, name: str, kind: AnswerKind) -> None:
        self._name, self._kind = name, kind
        super().__init__(keep_in_memory=True, experiment_id=name)

    def _info(self) -> evaluate.MetricInfo:
        prediction, reference = _COLUMNS[self._kind]
        return evaluate.MetricInfo(
            description=METRICS[self._name].about,
            citation="",
            inputs_description="predictions and references, one per example",
            features=Features({"predictions": prediction, "references": reference}),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        value = _SCORES[self._kind][self._name](list(references), list(predictions))
        return {self._name: float(value)}


def score(
    names: Sequence[str],
    kind: AnswerKind,
    predictions: Sequence[Any],
    labels: Sequence[Any],
    likelihood: Likelihood | None = None,
) -> dict[str, float | None]:
    """The metrics of one split; a score that is not defined (constant answers) is None.

    Args:
        kind: what predictions and labels are. One per example: class indices, tuples of 0/1 or
            numbers for a classifier; sequences of tags; a string and the sequence of right
            strings, empty where there is no answer, for spans; two strings for text; sequences of
            token ids for masked tokens. Both are empty when nothing was answered or generated.
        likelihood: of the right text, for the metrics that are made of it.

    Raises:
        UsageError: when a ``hub:`` metric cannot be loaded or gives no number.
        ValueError: when predictions or labels are not of that kind or differ in number.
    """
    result: dict[str, float | None] = {}
    for name in names:
        if name in LIKELIHOOD_METRICS:
            result[name] = likelihood_score(name, likelihood)
        elif len(predictions) == 0:
            result[name] = None
        elif name.startswith(HUB_METRIC_PREFIX):
            result |= _hub_scores(name, predictions, labels)
        else:
            metric = OfflineMetric(name, kind)
            value = metric.compute(predictions=list(predictions), references=list(labels))[name]
            result[name] = _finite(value)
    return result


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _hub_scores(
    name: str, predictions: Sequence[Any], labels: Sequence[Any]
) -> dict[str, float | None]:
    values = _from_hub(name).compute(predictions=predictions, references=labels)
    # Some add tables and lists to their scores, e.g. hub:seqeval one table for each type.
    numbers = {k: v for k, v in values.items() if isinstance(v, int | float | np.number)}
    if not numbers:
        raise UsageError(
            f"the metric {name!r} gives no number",
            where="task.metrics",
            why=f"it gives {', '.join(values) or 'nothing'}",
            fix=f"use one of {', '.join(METRICS)}",
        )
    return {f"{name}/{k}" if len(numbers) > 1 else name: _finite(v) for k, v in numbers.items()}


def _from_hub(name: str) -> Any:
    trouble = why_unreachable()
    try:
        return evaluate.load(hub_id(name))
    except (OSError, ValueError, ConnectionError) as error:
        raise UsageError(
            f"cannot load the metric {name!r} from the Hub",
            where="task.metrics",
            why=(isinstance(error, OSError) and trouble) or str(error).splitlines()[0],
            fix=f"check the name and the connection, or use one of {', '.join(METRICS)}",
        ) from error
