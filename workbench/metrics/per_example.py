"""What each test example adds to a metric, kept so that methods can be compared item by item.

A metric that is a mean over examples has a column ``example_<metric>`` with the score of each. One
that is a ratio of two sums has the parts of both, ``example_<metric>`` and
``example_<metric>_weight``: of the accuracy of tags the right words and the words, of the F1 of
entities twice the entities found and all that there are on either side, of a perplexity (whose
logarithm is the ratio) nats and tokens. Metrics that are neither have no column: F1 averaged over
classes, which a comparison makes from the labels, BLEU, correlations, and those of the Hub.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.data.encode import Encoded
from workbench.metrics.scores import BY_EXAMPLE, UNITS
from workbench.recipe.catalogue import MASKED_TOKENS
from workbench.tasks import AnyTask, Predicted

Columns = dict[str, list[float]]


def example_columns(
    task: AnyTask, encoded: Encoded, predicted: Predicted, answers: Sequence[Any], count: int
) -> Columns:
    """Columns of predictions.parquet for the task's metrics, ``count`` rows as in `Task.table`."""
    references, rows, kind = task.references(encoded), task.table_rows(encoded), task.spec.kind
    by_example = BY_EXAMPLE.get(kind, {})
    columns: Columns = {}
    for name in task.spec.score_names:
        weight: Sequence[float] | None
        if name in UNITS:
            texts = task.likelihoods(encoded, predicted)
            each = [text.nll for text in texts]
            weight = [UNITS[name](text) for text in texts]
        elif name in by_example and len(answers):
            each, weight = by_example[name](references, answers)
        else:
            continue
        if name in UNITS or kind == MASKED_TOKENS:
            # Of features so far, of which an example too short to score has none.
            each, weight = _by_row(each, rows, count), _by_row(weight or (), rows, count)
        columns[f"example_{name}"] = each
        if weight is not None:
            columns[f"example_{name}_weight"] = list(weight)
    return columns


def _by_row(values: Sequence[float], rows: np.ndarray, count: int) -> list[float]:
    return [float(v) for v in np.bincount(rows, np.array(values, dtype=float), count)]
