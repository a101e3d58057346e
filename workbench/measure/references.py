"""What the same split gives without any pretrained model, to judge what fine-tuning is worth."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.assets import cache_dir
from workbench.data.examples import Data, Examples
from workbench.recipe.catalogue import MULTI, REGRESSION
from workbench.recipe.schema import TextClassification
from workbench.store.files import read_json, write_json

Predictions = Sequence[Any]
"""In the form of `Examples.labels`: class indices, numbers, or tuples of 0/1."""

Score = Callable[[Predictions, Predictions], Mapping[str, float | None]]
"""Scores by name, from predictions and labels."""


def cached_reference_scores(
    data: Data, task: TextClassification, score: Score
) -> dict[str, dict[str, float | None]]:
    """`reference_scores`, computed once for all runs on the same split with the same metrics."""
    from sklearn import __version__

    condition = (data.content_hash, data.split_hash, task.score_names, task.problem_type)
    key = hashlib.sha256(repr((condition, __version__)).encode()).hexdigest()[:32]
    path = cache_dir() / "references" / f"{key}.json"
    if (known := read_json(path)) is not None:
        return known
    scores = reference_scores(data, task, score)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, scores)
    return scores


def reference_scores(
    data: Data, task: TextClassification, score: Score
) -> dict[str, dict[str, float | None]]:
    """Test scores of the most frequent answer and of a linear model on TF-IDF word counts.

    Both are fitted on the train split. With several labels a row, each label is answered by
    itself; for regression the answers are the mean and ridge regression. Deterministic.

    Args:
        score: the metrics of the run.
    """
    labels = data.train.labels
    train, test = _tfidf(data)
    constant: Predictions
    linear: Predictions
    if task.problem_type == REGRESSION:
        constant, linear = _mean(labels, len(data.test)), _ridge(labels, train, test)
    elif task.problem_type == MULTI:
        columns = list(zip(*labels, strict=True))
        constant = _rows(_most_frequent(column, len(data.test)) for column in columns)
        linear = _rows(_logistic(column, train, test) for column in columns)
    else:
        constant = _most_frequent(labels, len(data.test))
        linear = _logistic(labels, train, test)
    names = _NAMES[task.problem_type == REGRESSION]
    return {
        name: dict(score(predictions, data.test.labels))
        for name, predictions in zip(names, (constant, linear), strict=True)
    }


_NAMES = {
    False: ("majority class", "TF-IDF + logistic regression"),
    True: ("mean", "TF-IDF + ridge regression"),
}


def _tfidf(data: Data) -> tuple[Any, Any]:
    """Sparse features (examples, words) of train and test; words of a second text count apart."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    train, test = [], []
    for fitted, applied in zip(_texts(data.train), _texts(data.test), strict=True):
        if not any(text.strip() for text in fitted):  # second texts may all be empty
            continue
        # Single characters count too: they are words in Chinese, and emoji carry sentiment.
        vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
        train.append(vectorizer.fit_transform(fitted))
        test.append(vectorizer.transform(applied))
    return hstack(train, format="csr"), hstack(test, format="csr")


def _texts(examples: Examples) -> list[tuple[str, ...]]:
    return [examples.texts] if examples.pairs is None else [examples.texts, examples.pairs]


def _most_frequent(labels: Sequence[Any], count: int) -> list[int]:
    # Of equally frequent labels the smallest, whatever the order of the rows.
    counts = Counter(labels)
    return [min(counts, key=lambda label: (-counts[label], label))] * count


def _logistic(labels: Sequence[Any], train: Any, test: Any) -> list[int]:
    from sklearn.linear_model import LogisticRegression

    if len(set(labels)) == 1:  # a label of several that no training row has
        return _most_frequent(labels, test.shape[0])
    # C=10: TF-IDF rows have length 1, for which the default of 1 is too strong a penalty.
    model = LogisticRegression(C=10.0, max_iter=1000).fit(train, labels)
    return [int(label) for label in model.predict(test)]


def _mean(labels: Sequence[Any], count: int) -> list[float]:
    return [sum(labels) / len(labels)] * count


def _ridge(labels: Sequence[Any], train: Any, test: Any) -> list[float]:
    from sklearn.linear_model import Ridge

    # solver: the default for sparse input with an intercept, fixed because it is deterministic.
    model = Ridge(solver="sparse_cg").fit(train, labels)
    return [float(number) for number in model.predict(test)]


def _rows(columns: Any) -> list[tuple[int, ...]]:
    return list(zip(*columns, strict=True))
