"""Scores of each class and confusions, from the predictions of some seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.analysis.predictions import Predictions
from workbench.recipe.catalogue import MULTI, SINGLE, TAGS, AnswerKind

MOST_CLASSES = 20


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
    import numpy as np
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    confusion: list[list[float]] | None = None
    pairs = [p for seed in seeds if len((p := _right_and_predicted(kind, seed, known))[0])]
    if not pairs:
        return Classes([], confusion)
    if kind == MULTI:
        met = np.any([side.any(axis=0) for pair in pairs for side in pair], axis=0)
        names = [name for name, seen in zip(known, met, strict=False) if seen]
        labels: Sequence[str | int] = np.flatnonzero(met).tolist()
    else:
        found = {name for pair in pairs for side in pair for name in side}
        labels = names = [n for n in known if n in found] + sorted(found - set(known))
        matrices = [confusion_matrix(*pair, labels=names) for pair in pairs]
        confusion = np.mean(matrices, axis=0).tolist()
    if not names:
        return Classes([], confusion)
    scores = np.array(
        [precision_recall_fscore_support(*pair, labels=labels, zero_division=0.0) for pair in pairs]
    )
    f1 = scores[:, 2]
    numbers = np.stack([*scores.mean(axis=0)[:3], f1.min(axis=0), f1.max(axis=0)], axis=1).tolist()
    keys = ("precision", "recall", "f1", "f1_low", "f1_high")
    return Classes(
        [
            ClassScore(name=name, support=int(support), **dict(zip(keys, values, strict=True)))
            for name, support, values in zip(names, scores[0, 3], numbers, strict=True)
        ],
        confusion,
    )


def _right_and_predicted(
    kind: AnswerKind, seed: Predictions, known: Sequence[str]
) -> tuple[Any, Any]:
    """Classes by example, for tags by word; for several labels a row of yes and no each."""
    if kind == SINGLE:
        return seed.labels, seed.predictions
    if kind == MULTI:
        import numpy as np

        sides = (seed.labels, seed.predictions)
        sets = [[split_labels(text, known) for text in side] for side in sides]
        # A last column of no: with one column scikit-learn would take yes and no for two classes.
        flags = [np.array([[*(n in each for n in known), False] for each in s]) for s in sets]
        return flags[0], flags[1]
    # A predicted sequence has a tag for every word; what was cut off has none and counts not.
    words = [
        pair
        for right, predicted in zip(seed.labels, seed.predictions, strict=True)
        for pair in zip(right.split(), predicted.split(), strict=False)
    ]
    return [right for right, _ in words], [predicted for _, predicted in words]


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
