"""What a test split is answered without a language model, to judge what fine-tuning is worth."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from workbench.data.examples import Data, Examples
from workbench.recipe.catalogue import (
    MAJORITY_CLASS,
    MEAN,
    MULTI,
    REGRESSION,
    USUAL_TAG,
    ProblemType,
)

UNSPACED = (
    "\u3400-\u9fff\uf900-\ufaff\u3005-\u3007"  # Chinese characters
    "\u3041-\u30ff"  # Japanese
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f40-\u0fbc\u1000-\u109f\u1780-\u17dd"  # Tibetan, Myanmar, Khmer
)
"""Characters of scripts without spaces between words, as ranges of a regular expression."""
WORD = rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]"
"""A word, a character of a script without spaces, or a symbol."""


def tag_baseline(data: Data) -> dict[str, list[Any]]:
    """Each word with its most frequent tag in the train split, the others with that of all."""
    by_word: dict[str, Counter[int]] = defaultdict(Counter)
    for words, tags in zip(data.train.parts or (), data.train.labels, strict=True):
        for word, tag in zip(words, tags, strict=True):
            by_word[word][tag] += 1
    usual = _first(sum(by_word.values(), Counter[int]()))
    names = data.label_names
    answers = [
        [names[_first(by_word[word]) if word in by_word else usual] for word in words]
        for words in data.test.parts or ()
    ]
    return {USUAL_TAG: answers}


def class_baselines(data: Data, problem_type: ProblemType) -> dict[str, list[Any]]:
    """The most frequent answer, and a linear model on TF-IDF word counts.

    With several labels a row, each label is answered by itself; for regression the answers are
    the mean and ridge regression. Deterministic.
    """
    labels, count = data.train.labels, len(data.test)
    train, test = _tfidf(data)
    if problem_type == REGRESSION:
        mean = sum(labels) / len(labels)
        return {MEAN: [mean] * count, "TF-IDF + ridge regression": _ridge(labels, train, test)}
    constant, linear = _most_frequent(labels, count), list[Any]()
    if problem_type == MULTI:
        columns = list(zip(*labels, strict=True))
        constant = _rows(_most_frequent(column, count) for column in columns)
        linear = _rows(_logistic(column, train, test) for column in columns)
    else:
        linear = _logistic(labels, train, test)
    return {MAJORITY_CLASS: constant, "TF-IDF + logistic regression": linear}


def _tfidf(data: Data) -> tuple[Any, Any]:
    """Sparse features (examples, words) of train and test; words of a second text count apart."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    train, test = [], []
    for fitted, applied in zip(_texts(data.train), _texts(data.test), strict=True):
        if not any(text.strip() for text in fitted):  # second texts may all be empty
            continue
        # Single characters count too: they are words in Chinese, and emoji carry sentiment.
        vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=WORD)
        train.append(vectorizer.fit_transform(fitted))
        test.append(vectorizer.transform(applied))
    return hstack(train, format="csr"), hstack(test, format="csr")


def _texts(examples: Examples) -> list[tuple[str, ...]]:
    return [examples.texts] if examples.pairs is None else [examples.texts, examples.pairs]


def _first(counts: Counter[Any]) -> Any:
    """Of equally frequent labels the smallest, whatever the order of the rows."""
    return min(counts, key=lambda label: (-counts[label], label))


def _most_frequent(labels: Sequence[Any], count: int) -> list[Any]:
    return [_first(Counter(labels))] * count


def _logistic(labels: Sequence[Any], train: Any, test: Any) -> list[int]:
    from sklearn.linear_model import LogisticRegression

    if len(set(labels)) == 1:  # a label of several that no training row has
        return _most_frequent(labels, test.shape[0])
    # C=10: TF-IDF rows have length 1, for which the default of 1 is too strong a penalty.
    model = LogisticRegression(C=10.0, max_iter=1000).fit(train, labels)
    return [int(label) for label in model.predict(test)]


def _ridge(labels: Sequence[Any], train: Any, test: Any) -> list[float]:
    from sklearn.linear_model import Ridge

    # solver: the default for sparse input with an intercept, fixed because it is deterministic.
    model = Ridge(solver="sparse_cg").fit(train, labels)
    return [float(number) for number in model.predict(test)]


def _rows(columns: Iterable[Sequence[int]]) -> list[tuple[int, ...]]:
    return list(zip(*columns, strict=True))
