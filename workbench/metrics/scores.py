"""Scores through ``evaluate``: metric classes of ours over scikit-learn, scipy, seqeval,
sacrebleu and rouge-score, which work offline.

``evaluate.load`` fetches a script from the Hub even for accuracy, so it is never called;
``hub:NAME`` is in `hub_metric`.
"""

import math
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import evaluate
import numpy as np
from datasets import Features, Value
from datasets import Sequence as Column
from scipy import stats
from sklearn import metrics as sk

from workbench.metrics import text_scores
from workbench.metrics.hub_metric import hub_scores
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
)
from workbench.recipe.squad import same_answer
from workbench.tasks.base import Likelihood

Score = Callable[[Any, Any], float]
"""One number from references and predictions; nan where it is not defined."""
Parts = tuple[list[float], list[float] | None]
"""What each example adds to a metric, and to what that is divided by if not their number."""
ByExample = Callable[[Any, Any], Parts]


# --- arithmetic by example: a score is the ratio of the sums -------------------------------------


def _mean_of(score: Callable[[Any, Any], float]) -> ByExample:
    def parts(references: Sequence[Any], answers: Sequence[Any]) -> Parts:
        return [float(score(*pair)) for pair in zip(references, answers, strict=True)], None

    return parts


def _ratio_of(count: Callable[[Any, Any], tuple[float, float]]) -> ByExample:
    def parts(references: Sequence[Any], answers: Sequence[Any]) -> Parts:
        return _split([count(*pair) for pair in zip(references, answers, strict=True)])

    return parts


def _split(counts: Sequence[tuple[float, float]]) -> Parts:
    return [float(part) for part, _ in counts], [float(whole) for _, whole in counts]


def _positives(right: Sequence[int], answer: Sequence[int]) -> tuple[float, float]:
    """Twice the labels that both have, and those that either has: F1 is the ratio of the sums."""
    both = sum(a and b for a, b in zip(right, answer, strict=True))
    return 2 * both, sum(right) + sum(answer)


def _share_of_items(references: Sequence[Any], answers: Sequence[Any]) -> Parts:
    """Words or masked tokens that are right, of all of them: long examples weigh more."""
    pairs = zip(references, answers, strict=True)
    hits = [[a == b for a, b in zip(right, given, strict=True)] for right, given in pairs]
    return _split([(sum(each), len(each)) if any(hits) else (math.nan, 0) for each in hits])


def _entities(of: Callable[[int, int, int], tuple[float, float]]) -> ByExample:
    def parts(references: text_scores.Tags, answers: text_scores.Tags) -> Parts:
        if not text_scores.mark_entities(references):
            return [math.nan] * len(references), [0.0] * len(references)
        return _split([of(*count) for count in text_scores.entity_counts(references, answers)])

    return parts


def _rouge(kind: str) -> ByExample:
    return lambda references, answers: (text_scores.rouge(kind, references, answers), None)


_EQUAL = _mean_of(lambda right, answer: bool(right == answer))

BY_EXAMPLE: dict[AnswerKind, dict[str, ByExample]] = {
    SINGLE: {
        "accuracy": _EQUAL,
        "f1_micro": _EQUAL,  # with one label each, the accuracy
        "f1": _ratio_of(lambda right, answer: _positives([right == 1], [answer == 1])),
    },
    MULTI: {"accuracy": _EQUAL, "f1_micro": _ratio_of(_positives)},
    REGRESSION: {
        "mean_squared_error": _mean_of(lambda right, answer: (right - answer) ** 2),
        "mean_absolute_error": _mean_of(lambda right, answer: abs(right - answer)),
    },
    TAGS: {
        "accuracy": _share_of_items,
        "entity_f1": _entities(lambda both, right, given: (2 * both, right + given)),
        "entity_precision": _entities(lambda both, right, given: (both, given)),
        "entity_recall": _entities(lambda both, right, given: (both, right)),
    },
    SPANS: {
        "answer_f1": lambda right, given: (text_scores.shared_words(right, given), None),
        "exact_match": _mean_of(same_answer),
    },
    TEXT: {
        "rouge1": _rouge("rouge1"),
        "rouge2": _rouge("rouge2"),
        "rouge_l": _rouge("rougeL"),
        "exact_match": _mean_of(lambda right, answer: right.strip() == answer.strip()),
    },
    MASKED_TOKENS: {"masked_accuracy": _share_of_items},
}
"""Metrics that add up over examples."""

UNITS: dict[str, Callable[[Likelihood], float]] = {
    "perplexity": lambda text: text.tokens,
    "masked_perplexity": lambda text: text.tokens,
    "word_perplexity": lambda text: text.words,
    "bits_per_byte": lambda text: text.bytes * math.log(2),
}
"""What the nats of a metric that is made of likelihood are divided by."""


def _ratio(parts: Parts) -> float:
    each, weight = parts
    part, whole = sum(each), len(each) if weight is None else sum(weight)
    return part / whole if whole else 0.0 * part  # nan where the parts are


# --- of a whole split only -----------------------------------------------------------------------


def _of_arrays(function: Any, **options: Any) -> Score:
    return lambda references, predictions: function(
        np.array(references), np.array(predictions), **options
    )


def _averaged(function: Any, average: str) -> Score:
    return _of_arrays(function, average=average, zero_division=0)


def _correlation(function: Any) -> Score:
    def correlation(references: Any, predictions: Any) -> float:
        if len(references) < 2:  # scipy refuses a single number
            return math.nan
        # A constant answer has no correlation; scipy warns and gives nan, which becomes null.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.ConstantInputWarning)
            return float(function(references, predictions).statistic)

    return correlation


OF_SPLIT: dict[str, Score] = {
    # Here too, for it refuses more than two classes.
    "f1": _averaged(sk.f1_score, "binary"),
    "f1_macro": _averaged(sk.f1_score, "macro"),
    "precision_macro": _averaged(sk.precision_score, "macro"),
    "recall_macro": _averaged(sk.recall_score, "macro"),
    "matthews_correlation": _of_arrays(sk.matthews_corrcoef),
    "pearson": _correlation(stats.pearsonr),
    "spearman": _correlation(stats.spearmanr),
    "bleu": text_scores.bleu,
}
"""Metrics that no sum over examples gives."""


# --- through evaluate ----------------------------------------------------------------------------

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
        given = list(references), list(predictions)
        if compute := OF_SPLIT.get(self._name):
            return {self._name: float(compute(*given))}
        return {self._name: _ratio(BY_EXAMPLE[self._kind][self._name](*given))}


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
        UsageError: when a ``hub:`` metric is not allowed, cannot be loaded or gives no number.
        ValueError: when predictions or labels are not of that kind or differ in number.
    """
    result: dict[str, float | None] = {}
    for name in names:
        if name in UNITS:
            result[name] = _likelihood_score(name, likelihood)
        elif len(predictions) == 0:
            result[name] = None
        elif name.startswith(HUB_METRIC_PREFIX):
            result |= hub_scores(name, predictions, labels)
        else:
            metric = OfflineMetric(name, kind)
            value = metric.compute(predictions=list(predictions), references=list(labels))[name]
            result[name] = _finite(value)
    return result


def _likelihood_score(name: str, likelihood: Likelihood | None) -> float | None:
    """From sums over the whole split: batches differ in tokens, and the mean of their perplexities
    is not the perplexity of the split. None when nothing was scored."""
    units = UNITS[name](likelihood) if likelihood else 0
    if not likelihood or not units:
        return None
    ratio = likelihood.nll / units
    if not METRICS[name].exponential:
        return _finite(ratio)
    # An untrained or broken model may be beyond e^709, where the floats end.
    return math.exp(ratio) if ratio < math.log(sys.float_info.max) else None


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
