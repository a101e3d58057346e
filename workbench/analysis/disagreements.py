"""Test examples on which the methods of a group answer differently."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from workbench.analysis.predictions import Predictions
from workbench.comparison.rows import mean_of
from workbench.formatting import ABSENT
from workbench.recipe.catalogue import MULTI, REGRESSION, SINGLE, SPANS, TAGS, TOKENS, AnswerKind
from workbench.recipe.squad import normalised, same_answer


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the seeds of one recipe say to one example."""

    text: str
    """What more than half of them say; where nothing is, all that they say. Of numbers the mean,
    of generated texts the first of those that most say."""
    decided: bool
    """Whether more than half of them say so, where answers are right or wrong."""
    agreeing: int
    """Seeds that say the text, or the part of one that is not decided that most say; of numbers
    all."""
    seeds: int
    right: int | None
    score: float | None
    """Mean score: of the answer over the seeds that give it; where it is of the right text, over
    all."""

    @property
    def mostly_right(self) -> bool:
        return self.right is not None and 2 * self.right > self.seeds

    @property
    def outcome(self) -> Literal["right", "wrong", "mixed"] | None:
        """What the seeds are together; None where an answer is not right or wrong."""
        if self.right is None:
            return None
        return "right" if self.right == self.seeds else "mixed" if self.right else "wrong"

    @property
    def notes(self) -> list[str]:
        """How many seeds are right, and how far they agree."""
        mixed = f"{self.right} of {self.seeds} seeds right"
        notes = [mixed if self.outcome == "mixed" else self.outcome] if self.outcome else []
        if not self.decided:
            return [*notes, "undecided"]
        if self.agreeing == self.seeds or (self.mostly_right and self.agreeing == self.right):
            return notes  # the seeds that agree are those that are right
        return [*notes, f"{self.agreeing} of {self.seeds} seeds agree"]


@dataclass(frozen=True, kw_only=True)
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
    """Two recipes on the same test examples."""

    first: str
    second: str
    counts: tuple[int, int, int, int]
    """Examples on which both are mostly right, only the first, only the second, and neither."""


_JUDGED = (SINGLE, MULTI, TAGS, SPANS)


def examples_of(
    kind: AnswerKind | None, predictions: Mapping[str, Sequence[Predictions]]
) -> list[Example]:
    """Every test example with what each recipe says to it, in the order of the test split."""
    if not predictions:
        return []
    first = next(iter(predictions.values()))[0]
    found = []
    for i, (id, text, label) in enumerate(zip(first.ids, first.texts, first.labels, strict=True)):
        answers = {name: _answer(kind, i, label, seeds) for name, seeds in predictions.items()}
        pair, spread = first.pairs[i] if first.pairs else None, _spread(kind, answers)
        found.append(
            Example(id=id, text=text, pair=pair, label=label, answers=answers, spread=spread)
        )
    return found


def _answer(kind: AnswerKind | None, i: int, label: str, seeds: Sequence[Predictions]) -> Answer:
    texts = [seed.predictions[i] for seed in seeds]
    scores = [seed.scores[i] for seed in seeds]
    votes = Counter(_vote(kind, each) for each in texts)
    vote, agreeing = votes.most_common(1)[0]
    said = [_vote(kind, each) == vote for each in texts]
    text, decided, right = texts[said.index(True)], True, None
    if kind == REGRESSION and (mean := mean_of([_float(each) for each in texts])) is not None:
        text, agreeing = f"{mean:.4g}", len(texts)
    elif kind in _JUDGED:
        right = sum(
            same_answer(label.split(" | "), each)
            if kind == SPANS
            else label.strip() == each.strip()
            for each in texts
        )
        decided = 2 * agreeing > len(texts)
        scores = [score for score, so in zip(scores, said, strict=True) if so and decided]
        if not decided:
            text = " / ".join(each or ABSENT for each in dict.fromkeys(texts))
    return Answer(
        text=text,
        decided=decided,
        agreeing=agreeing,
        seeds=len(texts),
        right=right,
        score=mean_of(scores),
    )


def _vote(kind: AnswerKind | None, text: str) -> str:
    """What two answers that are the same have in common."""
    return normalised(text) if kind == SPANS else text.strip()


def _spread(kind: AnswerKind | None, said: Mapping[str, Answer]) -> float:
    if kind == REGRESSION:
        values = [value for answer in said.values() if (value := _float(answer.text)) is not None]
    elif kind in _JUDGED:
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
    """The examples to which the recipes say different things, by more than half of their seeds, or
    of which numbers and likelihoods differ; furthest apart first."""
    if kind not in (REGRESSION, TOKENS):
        said = [{_vote(kind, a.text) for a in e.answers.values() if a.decided} for e in examples]
        examples = [e for e, texts in zip(examples, said, strict=True) if len(texts) > 1]
    else:
        examples = [e for e in examples if e.spread > 0]
    return sorted(examples, key=lambda example: -example.spread)


def pairs_of(kind: AnswerKind | None, examples: Sequence[Example]) -> list[Pair]:
    """Every two recipes: on how many examples both, one or neither is right; empty if unjudged."""
    if kind not in _JUDGED or not examples:
        return []
    right = {
        name: [example.answers[name].mostly_right for example in examples]
        for name in examples[0].answers
    }
    pairs = []
    for one, other in combinations(right, 2):
        seen = Counter(zip(right[one], right[other], strict=True))
        counts = (seen[True, True], seen[True, False], seen[False, True], seen[False, False])
        pairs.append(Pair(one, other, counts))
    return pairs
