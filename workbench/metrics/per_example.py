"""What each test example adds to a metric, kept so that methods can be held against each other.

A metric that is a mean over examples has a column ``example_<metric>`` with the score of each. One
that is a ratio of two sums has the parts of both, ``example_<metric>`` and
``example_<metric>_weight``: of the accuracy of tags the right words and the words, of the F1 of
entities twice the entities found and all that there are on either side, of a perplexity (whose
logarithm is the ratio) nats and tokens. Metrics that are neither have no column: F1 averaged over
classes, which a comparison makes from the labels, BLEU, correlations, and those of the Hub.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from workbench.data.encode import Encoded
from workbench.metrics import text_scores
from workbench.metrics.likelihood import LIKELIHOOD_METRICS
from workbench.recipe.catalogue import (
    MASKED_TOKENS,
    MULTI,
    REGRESSION,
    SINGLE,
    SPANS,
    TAGS,
    TEXT,
    AnswerKind,
)
from workbench.tasks import AnyTask, Predicted
from workbench.tasks.base import Likelihood

Columns = dict[str, list[float]]
Parts = tuple[list[float], list[float] | None]
"""What each example adds to a metric, and to what that is divided by if not their number."""


def example_columns(
    task: AnyTask, encoded: Encoded, predicted: Predicted, answers: Sequence[Any], count: int
) -> Columns:
    """Columns of predictions.parquet for the task's metrics, ``count`` rows as in `Task.table`."""
    references = task.references(encoded)
    rows = task.table_rows(encoded)
    columns: Columns = {}
    for name in task.spec.score_names:
        if name in LIKELIHOOD_METRICS:
            each, weight = _likelihood(name, task.likelihoods(encoded, predicted))
        elif name in _PARTS.get(task.spec.kind, {}) and len(answers):
            each, weight = _PARTS[task.spec.kind][name](references, answers)
        else:
            continue
        if name in LIKELIHOOD_METRICS or task.spec.kind == MASKED_TOKENS:
            # Of features so far, of which an example too short to score has none.
            each, weight = _by_row(each, rows, count), _by_row(weight or (), rows, count)
        columns[f"example_{name}"] = each
        if weight is not None:
            columns[f"example_{name}_weight"] = weight
    return columns


def _by_row(values: Sequence[float], rows: np.ndarray, count: int) -> list[float]:
    return [float(v) for v in np.bincount(rows, np.array(values, dtype=float), count)]


# --- from answers --------------------------------------------------------------------------------


def _mean_of(score: Callable[[Any, Any], float]) -> Callable[[Any, Any], Parts]:
    def parts(references: Sequence[Any], answers: Sequence[Any]) -> Parts:
        return [float(score(*pair)) for pair in zip(references, answers, strict=True)], None

    return parts


def _ratio_of(count: Callable[[Any, Any], tuple[float, float]]) -> Callable[[Any, Any], Parts]:
    def parts(references: Sequence[Any], answers: Sequence[Any]) -> Parts:
        pairs = [count(*pair) for pair in zip(references, answers, strict=True)]
        return [float(part) for part, _ in pairs], [float(whole) for _, whole in pairs]

    return parts


def _equal(right: Any, answer: Any) -> bool:
    return bool(right == answer)


def _items(right: Sequence[Any], answer: Sequence[Any]) -> tuple[float, float]:
    return sum(a == b for a, b in zip(right, answer, strict=True)), len(right)


def _positives(right: Sequence[int], answer: Sequence[int]) -> tuple[float, float]:
    """Twice the labels that both have, and those that either has: F1 is the ratio of the sums."""
    both = sum(a and b for a, b in zip(right, answer, strict=True))
    return 2 * both, sum(right) + sum(answer)


def _positive(right: int, answer: int) -> tuple[float, float]:
    return _positives([int(right == 1)], [int(answer == 1)])


def _entities(of: Callable[[int, int, int], tuple[float, float]]) -> Callable[[Any, Any], Parts]:
    def parts(references: text_scores.Tags, answers: text_scores.Tags) -> Parts:
        counts = text_scores.entity_counts(references, answers)
        pairs = [of(*count) for count in counts]
        return [float(part) for part, _ in pairs], [float(whole) for _, whole in pairs]

    return parts


def _spans(compare: Callable[[str, str], float]) -> Callable[[Any, Any], Parts]:
    return lambda references, answers: (
        text_scores.squad_scores(compare)(references, answers),
        None,
    )


def _rouge(kind: str) -> Callable[[Any, Any], Parts]:
    return lambda references, answers: (text_scores.rouge_scores(kind)(references, answers), None)


_PARTS: dict[AnswerKind, dict[str, Callable[[Any, Any], Parts]]] = {
    SINGLE: {
        "accuracy": _mean_of(_equal),
        "f1_micro": _mean_of(_equal),  # with one label each, the accuracy
        "f1": _ratio_of(_positive),
    },
    MULTI: {"accuracy": _mean_of(_equal), "f1_micro": _ratio_of(_positives)},
    REGRESSION: {
        "mean_squared_error": _mean_of(lambda right, answer: (right - answer) ** 2),
        "mean_absolute_error": _mean_of(lambda right, answer: abs(right - answer)),
    },
    TAGS: {
        "accuracy": _ratio_of(_items),
        "entity_f1": _entities(lambda both, right, given: (2 * both, right + given)),
        "entity_precision": _entities(lambda both, right, given: (both, given)),
        "entity_recall": _entities(lambda both, right, given: (both, right)),
    },
    SPANS: {
        "answer_f1": _spans(text_scores.shared_words_f1),
        "exact_match": _spans(text_scores.same_answer),
    },
    TEXT: {
        "rouge1": _rouge("rouge1"),
        "rouge2": _rouge("rouge2"),
        "rouge_l": _rouge("rougeL"),
        "exact_match": _mean_of(lambda right, answer: right.strip() == answer.strip()),
    },
    MASKED_TOKENS: {"masked_accuracy": _ratio_of(_items)},
}


# --- from likelihood -----------------------------------------------------------------------------

_UNITS: dict[str, Callable[[Likelihood], float]] = {
    "perplexity": lambda text: text.tokens,
    "pseudo_perplexity": lambda text: text.tokens,
    "word_perplexity": lambda text: text.words,
    "bits_per_byte": lambda text: text.bytes * math.log(2),
}


def _likelihood(name: str, texts: Sequence[Likelihood]) -> Parts:
    """Negative log-likelihood in nats, and the units that it is shared out over."""
    return [text.nll for text in texts], [_UNITS[name](text) for text in texts]
