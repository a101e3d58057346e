"""Scores of each class and confusions, from the answers of some seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.analysis.predictions import Answers
from workbench.recipe.catalogue import MULTI, SINGLE, TAGS, AnswerKind

MOST_CLASSES = 20
"""Classes that a picture shows; the tables have all."""

Decision = tuple[str, str]
"""What is right and what was predicted."""


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
    seeds; it is None for several labels at once, which have no one prediction.
    """

    scores: list[ClassScore]
    confusion: list[list[float]] | None

    @property
    def names(self) -> list[str]:
        """The classes in order."""
        return [score.name for score in self.scores]


def classes_of(
    kind: AnswerKind | None, seeds: Sequence[Answers], known: Sequence[str]
) -> Classes | None:
    """Scores of each class over the seeds of a recipe; None for answers that are no classes.

    Args:
        kind: what the models answer with.
        seeds: the answers of each seed, to the same examples.
        known: the labels of the data, in order.
    """
    if kind not in (SINGLE, MULTI, TAGS) or not seeds:
        return None
    if kind == MULTI:
        outcomes = [_outcomes_of_sets(answers, known) for answers in seeds]
        names = [name for name in known if any(name in seed for seed in outcomes)]
        return Classes(_scores(names, outcomes), None)
    decisions = [_decisions(kind, answers) for answers in seeds]
    met = {name for seed in decisions for pair in seed for name in pair}
    names = [name for name in known if name in met] + sorted(met - set(known))
    outcomes = [_outcomes(seed) for seed in decisions]
    return Classes(_scores(names, outcomes), _confusion(names, decisions))


def _decisions(kind: AnswerKind, answers: Answers) -> Counter[Decision]:
    if kind == SINGLE:
        return Counter(zip(answers.labels, answers.predictions, strict=True))
    found: Counter[Decision] = Counter()
    for right, predicted in zip(answers.labels, answers.predictions, strict=True):
        # A predicted sequence has a tag for every word; what was cut off has none and counts not.
        found.update(zip(right.split(), predicted.split(), strict=False))
    return found


_Outcome = tuple[int, int, int]
"""Right answers of a class, its examples, and how often it was predicted."""


def _outcomes(decisions: Counter[Decision]) -> dict[str, _Outcome]:
    hits: Counter[str] = Counter()
    support: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    for (right, answer), count in decisions.items():
        support[right] += count
        predicted[answer] += count
        hits[right] += count if right == answer else 0
    return {name: (hits[name], support[name], predicted[name]) for name in support | predicted}


def _outcomes_of_sets(answers: Answers, known: Sequence[str]) -> dict[str, _Outcome]:
    hits: Counter[str] = Counter()
    support: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    for right, answer in zip(answers.labels, answers.predictions, strict=True):
        wanted, given = split_labels(right, known), split_labels(answer, known)
        support.update(wanted)
        predicted.update(given)
        hits.update(wanted & given)
    return {name: (hits[name], support[name], predicted[name]) for name in support | predicted}


def split_labels(text: str, known: Sequence[str]) -> set[str]:
    """The labels in ``a, b``, which are written in the data's order; a label may hold a comma."""
    found, rest = set(), text
    for name in known:
        if rest == name or rest.startswith(f"{name}, "):
            found.add(name)
            rest = rest[len(name) + 2 :]
    return found


def _scores(names: Sequence[str], seeds: Sequence[dict[str, _Outcome]]) -> list[ClassScore]:
    scores = []
    for name in names:
        counts = [seed.get(name, (0, 0, 0)) for seed in seeds]
        precision = [hits / predicted if predicted else 0.0 for hits, _, predicted in counts]
        recall = [hits / support if support else 0.0 for hits, support, _ in counts]
        f1 = [2 * hits / ((s + p) or 1) for hits, s, p in counts]
        scores.append(
            ClassScore(
                name=name,
                support=counts[0][1],
                precision=_mean(precision),
                recall=_mean(recall),
                f1=_mean(f1),
                f1_low=min(f1),
                f1_high=max(f1),
            )
        )
    return scores


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _confusion(names: Sequence[str], seeds: Sequence[Counter[Decision]]) -> list[list[float]]:
    return [
        [sum(seed[right, answer] for seed in seeds) / len(seeds) for answer in names]
        for right in names
    ]


def most_common(classes: Classes, limit: int = MOST_CLASSES) -> list[int]:
    """Positions of the classes with most test examples, in the data's order."""
    order = sorted(range(len(classes.scores)), key=lambda i: -classes.scores[i].support)
    return sorted(order[:limit])
