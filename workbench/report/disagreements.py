"""Test examples on which the methods of a group answer differently."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from workbench.recipe.catalogue import MULTI, REGRESSION, SINGLE, SPANS, TAGS, TOKENS, AnswerKind
from workbench.report.answers import Answers

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Answer:
    """What the seeds of one recipe say to one example.

    ``text`` is what most of them say, and ``agreeing`` how many do. ``right`` is how many are
    right; None where an answer is not right or wrong. ``score`` is their mean score.
    """

    text: str
    agreeing: int
    seeds: int
    right: int | None
    score: float | None


@dataclass(frozen=True)
class Example:
    """A test example with the answer of each recipe by its label."""

    id: str
    text: str
    pair: str | None
    label: str
    answers: dict[str, Answer]
    spread: float
    """How far the recipes are apart, for the order: share of seeds that are right, else a score."""


@dataclass(frozen=True)
class Pair:
    """Two recipes on the same test examples: on how many each is right, by what most seeds say."""

    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int


Right = Callable[[str, str], bool]


def _same(label: str, prediction: str) -> bool:
    return label.strip() == prediction.strip()


def _same_span(label: str, prediction: str) -> bool:
    """As SQuAD's exact match compares: without case, punctuation and articles."""
    return _bare(prediction) in {_bare(answer) for answer in label.split(" | ")}


def _bare(text: str) -> str:
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


_JUDGES: dict[AnswerKind, Right] = {
    SINGLE: _same,
    MULTI: _same,
    TAGS: _same,
    SPANS: _same_span,
}


def examples_of(kind: AnswerKind | None, answers: Mapping[str, Sequence[Answers]]) -> list[Example]:
    """Every test example with what each recipe says to it, in the order of the test split.

    Args:
        kind: what the models answer with.
        answers: the answers of each seed by row label, to the same examples.
    """
    if not answers:
        return []
    first = next(iter(answers.values()))[0]
    judge = _JUDGES.get(kind) if kind else None
    found = []
    for i, label in enumerate(first.labels):
        said = {name: _answer(i, label, seeds, judge) for name, seeds in answers.items()}
        found.append(
            Example(
                id=first.ids[i],
                text=first.texts[i],
                pair=first.pairs[i] if first.pairs else None,
                label=label,
                answers=said,
                spread=_spread(kind, said),
            )
        )
    return found


def _answer(i: int, label: str, seeds: Sequence[Answers], judge: Right | None) -> Answer:
    texts = [seed.predictions[i] for seed in seeds]
    text, agreeing = Counter(texts).most_common(1)[0]
    scores = [value for seed in seeds if (value := seed.scores[i]) is not None]
    right = None if judge is None else sum(judge(label, each) for each in texts)
    mean = sum(scores) / len(scores) if scores else None
    return Answer(text, agreeing, len(texts), right, mean)


def _spread(kind: AnswerKind | None, said: Mapping[str, Answer]) -> float:
    if kind == REGRESSION:
        values = [value for answer in said.values() if (value := _float(answer.text)) is not None]
    elif kind in _JUDGES:
        values = [(answer.right or 0) / answer.seeds for answer in said.values()]
    else:
        values = [answer.score for answer in said.values() if answer.score is not None]
    return max(values) - min(values) if values else 0.0


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def disagreements(kind: AnswerKind | None, examples: Sequence[Example]) -> list[Example]:
    """The examples to which the recipes say different things, furthest apart first.

    Two recipes say different things when most of their seeds do. Numbers, and texts of which only
    the likelihood is measured, are further apart the more these are.
    """
    if kind not in (REGRESSION, TOKENS):
        examples = [e for e in examples if len({a.text for a in e.answers.values()}) > 1]
    else:
        examples = [e for e in examples if e.spread > 0]
    return sorted(examples, key=lambda example: -example.spread)


def pairs_of(kind: AnswerKind | None, examples: Sequence[Example]) -> list[Pair]:
    """Every two recipes: on how many examples both, one or neither is right; empty if unjudged."""
    if kind not in _JUDGES or not examples:
        return []
    judge = _JUDGES[kind]
    right = {
        name: [judge(example.label, example.answers[name].text) for example in examples]
        for name in examples[0].answers
    }
    pairs = []
    for one, other in combinations(right, 2):
        seen = Counter(zip(right[one], right[other], strict=True))
        counts = (seen[True, True], seen[True, False], seen[False, True], seen[False, False])
        pairs.append(Pair(one, other, *counts))
    return pairs
