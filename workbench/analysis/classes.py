"""Scores of each class and confusions, from the predictions of some seeds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

from workbench.analysis.predictions import Predictions
from workbench.recipe.catalogue import MULTI, SINGLE, TAGS, AnswerKind

MOST_CLASSES, KEPT = 20, 2048


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One class of one recipe: means over seeds, with the lowest and the highest F1."""

    name: str
    support: int
    precision: float
    recall: float
    f1: float
    f1_low: float
    f1_high: float


@dataclass(frozen=True)
class Classes:
    """The classes of one recipe, in the order of the data's labels.

    ``confusion`` counts test examples (words, for tags) by right class and prediction, a mean over
    seeds; None for several labels at once, which have no one prediction.
    """

    scores: list[ClassScore]
    confusion: list[list[float]] | None

    @property
    def names(self) -> list[str]:
        return [score.name for score in self.scores]


def classes_of(
    kind: AnswerKind | None, seeds: Sequence[Predictions], known: Sequence[str]
) -> Classes | None:
    """Scores of each class over the seeds, in the order of ``known``; None for other answers."""
    if kind not in (SINGLE, MULTI, TAGS) or not seeds:
        return None
    counted = [found for seed in seeds if (found := _count(kind, seed, tuple(known))).any]
    met = {name for found in counted for name in (*found.right, *found.predicted)}
    names = [name for name in known if name in met] + sorted(met - set(known))
    confusion = None
    if counted and kind != MULTI:
        at = {name: i for i, name in enumerate(names)}
        totals = [[0] * len(names) for _ in names]
        for (right, said), count in (pair for each in counted for pair in each.pairs.items()):
            totals[at[right]][at[said]] += count
        confusion = [[total / len(counted) for total in row] for row in totals]
    scores = [_score(name, counted) for name in names]
    return Classes(scores, confusion)


@dataclass(frozen=True, kw_only=True)
class _Counts:
    """The answers of one run by class: for tags of words, else of examples."""

    any: bool
    right: Counter[str]
    predicted: Counter[str]
    both: Counter[str]
    pairs: Counter[tuple[str, str]]
    """By right and predicted class; empty where an example may have several."""


def _score(name: str, counted: Sequence[_Counts]) -> ClassScore:
    """A class over the seeds; what would be divided by 0 is 0."""
    precision, recall, f1 = [], [], []
    for each in counted:
        right, predicted, both = each.right[name], each.predicted[name], each.both[name]
        precision.append(both / predicted if predicted else 0.0)
        recall.append(both / right if right else 0.0)
        f1.append(2 * both / (right + predicted) if right + predicted else 0.0)
    return ClassScore(
        name=name,
        support=counted[0].right[name],
        precision=fmean(precision),
        recall=fmean(recall),
        f1=fmean(f1),
        f1_low=min(f1),
        f1_high=max(f1),
    )


@lru_cache(maxsize=KEPT)
def _count(kind: AnswerKind, seed: Predictions, known: tuple[str, ...]) -> _Counts:
    """Counted once for each run."""
    if kind == MULTI:
        rows = [
            tuple(split_labels(text, known) for text in pair)
            for pair in zip(seed.labels, seed.predictions, strict=True)
        ]
        right, predicted = (Counter(n for row in rows for n in row[side]) for side in (0, 1))
        both = Counter(name for one, other in rows for name in one & other)
        return _Counts(any=bool(rows), right=right, predicted=predicted, both=both, pairs=Counter())
    pairs = Counter(zip(seed.labels, seed.predictions, strict=True))
    if kind == TAGS:
        # A predicted sequence has a tag for every word; what was cut off has none and counts not.
        texts = [(one.split(), other.split()) for one, other in pairs.elements()]
        pairs = Counter(word for text in texts for word in zip(*text, strict=False))
    right, predicted, both = Counter[str](), Counter[str](), Counter[str]()
    for (one, other), count in pairs.items():
        right[one] += count
        predicted[other] += count
        both[one] += count * (one == other)
    return _Counts(any=bool(pairs), right=right, predicted=predicted, both=both, pairs=pairs)


def split_labels(text: str, known: Sequence[str]) -> set[str]:
    """The labels in ``a, b``, which are written in the data's order; a label may hold a comma."""
    found, rest = set(), text
    for name in known:
        if rest == name or rest.startswith(f"{name}, "):
            found.add(name)
            rest = rest[len(name) + 2 :]
    return found


def most_common(classes: Classes, limit: int = MOST_CLASSES) -> list[int]:
    """Positions of the classes with most test examples, in the data's order."""
    order = sorted(range(len(classes.scores)), key=lambda i: -classes.scores[i].support)
    return sorted(order[:limit])
