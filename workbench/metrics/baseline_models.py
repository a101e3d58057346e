"""What the same split gives without fine-tuning, to judge what fine-tuning is worth.

For text classification that is the most frequent answer and a linear model on word counts; for
tags the most frequent tag of each word; for a language model the untouched base itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.assets import cache_dir
from workbench.data.examples import Data, Examples
from workbench.recipe.catalogue import MULTI, REGRESSION
from workbench.recipe.tasks import TaskSpec, TextClassification
from workbench.store.files import read_json, write_json

Predictions = Sequence[Any]
"""In the form of `Examples.labels`: class indices, numbers, or tuples of 0/1."""

Score = Callable[[Predictions, Predictions], Mapping[str, float | None]]
"""Scores by name, from predictions and labels."""


def cached(
    condition: Sequence[Any],
    compute: Callable[[], dict[str, dict[str, float | None]]],
    agree: Callable[[Any], Any] = lambda known: known,
) -> dict[str, dict[str, float | None]]:
    """Scores computed once for all runs under the same condition.

    Args:
        condition: whatever decides the scores: split, metrics, base model, versions.
        agree: lets processes that can only compute together go by what the first one knows.
    """
    key = hashlib.sha256(repr(condition).encode()).hexdigest()[:32]
    path = cache_dir() / "references" / f"{key}.json"
    known: dict[str, dict[str, float | None]] | None = agree(read_json(path))
    if known is not None:
        return known
    scores = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, scores)
    return scores


def split_condition(data: Data, spec: TaskSpec) -> tuple[Any, ...]:
    """What decides the scores of a model-free reference."""
    from sklearn import __version__

    task = spec.model_dump_json()
    return (data.content_hash, data.split_hash, spec.score_names, task, __version__)


def most_frequent_tags(data: Data, score: Score) -> dict[str, dict[str, float | None]]:
    """Test scores of answering each word with its most frequent tag in the train split.

    Words that were never seen get the most frequent tag of all.
    """
    by_word: dict[str, Counter[int]] = defaultdict(Counter)
    for words, tags in zip(data.train.parts or (), data.train.labels, strict=True):
        for word, tag in zip(words, tags, strict=True):
            by_word[word][tag] += 1
    overall = sum(by_word.values(), Counter[int]())
    usual = _first(overall)
    names = data.label_names
    answers = [
        [names[_first(by_word[word]) if word in by_word else usual] for word in words]
        for words in data.test.parts or ()
    ]
    right = [[names[tag] for tag in tags] for tags in data.test.labels]
    return {"most frequent tag of each word": dict(score(answers, right))}


def _first(counts: Counter[int]) -> int:
    return min(counts, key=lambda label: (-counts[label], label))


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
    return [_first(Counter(labels))] * count


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
