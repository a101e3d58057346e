"""Scores of tags, spans and generated text; each takes references first, then predictions.

seqeval, sacrebleu and rouge-score do the counting. They are imported when first needed:
rouge-score alone brings 29 MB of nltk into memory (0.1.2 with nltk 3.10.4), which a run that does
not generate should neither wait for nor count as its own.
"""

from __future__ import annotations

import math
import re
import string
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

Tags = Sequence[Sequence[str]]
Texts = Sequence[str]


def share_of_items(
    references: Sequence[Sequence[Any]], predictions: Sequence[Sequence[Any]]
) -> float:
    """Share of words (or masked tokens) that are right; long examples weigh more.

    Raises:
        ValueError: when an example has more answers than words, or fewer.
    """
    hits = [
        right == answer
        for reference, prediction in zip(references, predictions, strict=True)
        for right, answer in zip(reference, prediction, strict=True)
    ]
    return sum(hits) / len(hits) if hits else math.nan


# --- tags ---------------------------------------------------------------------------------------

_PREFIXED = re.compile(r"[BIESLU]-.")
_UNTYPED = frozenset("BIESLUO")
# seqeval 1.2.2 reads IOB1, IOB2, IOE and IOBES; BILOU has the same tags under other letters.
_LAST_OR_UNIT = re.compile(r"[LU](?=-|$)")
_IOBES = {"L": "E", "U": "S"}


def entity_score(which: str) -> Callable[[Tags, Tags], float]:
    """seqeval's ``f1_score``, ``precision_score`` or ``recall_score`` over all entities.

    Read as conlleval does, not strictly: an I- after O or after another type begins an entity.
    nan for references whose tags mark no entities, such as parts of speech.
    """

    def score(references: Tags, predictions: Tags) -> float:
        from seqeval.metrics import sequence_labeling

        if not _mark_entities(references):
            return math.nan
        count = getattr(sequence_labeling, which)
        with warnings.catch_warnings():
            # Of a tag without a prefix among others, which it then takes for an entity.
            warnings.filterwarnings("ignore", ".* seems not to be NE tag")
            return float(
                count(_iobes(references), _iobes(predictions), average="micro", zero_division=0)
            )

    return score


def entity_counts(references: Tags, predictions: Tags) -> list[tuple[int, int, int]]:
    """Of each sentence the entities that are right, those that there are and those predicted."""
    from seqeval.metrics.sequence_labeling import get_entities

    def entities(sentences: Tags) -> list[set[Any]]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* seems not to be NE tag")
            return [set(get_entities(tags)) for tags in _iobes(sentences)]

    pairs = zip(entities(references), entities(predictions), strict=True)
    return [(len(right & given), len(right), len(given)) for right, given in pairs]


def _mark_entities(references: Tags) -> bool:
    tags = set(chain.from_iterable(references))
    return tags <= _UNTYPED or any(_PREFIXED.match(tag) for tag in tags)


def _iobes(sentences: Tags) -> list[list[str]]:
    def renamed(tag: str) -> str:
        return _IOBES[tag[0]] + tag[1:] if _LAST_OR_UNIT.match(tag) else tag

    return [[renamed(tag) for tag in sentence] for sentence in sentences]


# --- spans --------------------------------------------------------------------------------------

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """An answer as SQuAD compares it: lower case, no ASCII punctuation, no English articles."""
    return " ".join(_ARTICLE.sub(" ", answer.lower().translate(_NO_PUNCTUATION)).split())


def squad_score(compare: Callable[[str, str], float]) -> Callable[[Sequence[Texts], Texts], float]:
    """The mean over questions of `squad_scores`, as in the official script of SQuAD 2.0
    (Rajpurkar et al. 2018), which gives percent."""

    def score(references: Sequence[Texts], predictions: Texts) -> float:
        best = squad_scores(compare)(references, predictions)
        return sum(best) / len(best)

    return score


def squad_scores(
    compare: Callable[[str, str], float],
) -> Callable[[Sequence[Texts], Texts], list[float]]:
    """The best comparison of each answer with any of the right ones, 0 to 1.

    Of a question without right answers the right answer is the empty string.
    """

    def scores(references: Sequence[Texts], predictions: Texts) -> list[float]:
        best = []
        for golds, prediction in zip(references, predictions, strict=True):
            right = [text for text in map(normalised, golds) if text] or [""]
            best.append(max(compare(gold, normalised(prediction)) for gold in right))
        return best

    return scores


def same_answer(gold: str, answer: str) -> float:
    """1 when two normalised answers are equal."""
    return float(gold == answer)


def shared_words_f1(gold: str, answer: str) -> float:
    """F1 of the words of two normalised answers; an empty one agrees with another empty one."""
    right, given = gold.split(), answer.split()
    if not right or not given:
        return float(right == given)
    return 2 * (Counter(right) & Counter(given)).total() / (len(right) + len(given))


# --- generated text -----------------------------------------------------------------------------


def exact_match(references: Texts, predictions: Texts) -> float:
    """Share of texts that are equal but for white space around them."""
    pairs = zip(references, predictions, strict=True)
    return sum(right.strip() == text.strip() for right, text in pairs) / len(references)


def rouge_score(kind: str) -> Callable[[Texts, Texts], float]:
    """The mean of `rouge_scores`."""

    def score(references: Texts, predictions: Texts) -> float:
        return sum(rouge_scores(kind)(references, predictions)) / len(references)

    return score


def rouge_scores(kind: str) -> Callable[[Texts, Texts], list[float]]:
    """F-measures of ``rouge1``, ``rouge2`` or ``rougeL`` with stemming, 0 to 1 (Lin 2004).

    rouge-score keeps a to z and 0 to 9 only: text in other scripts scores 0.
    """

    def scores(references: Texts, predictions: Texts) -> list[float]:
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer([kind], use_stemmer=True)
        pairs = zip(references, predictions, strict=True)
        return [float(scorer.score(*pair)[kind].fmeasure) for pair in pairs]

    return scores


def bleu(references: Texts, predictions: Texts) -> float:
    """BLEU of the corpus, 0 to 100 (Papineni et al. 2002), as sacrebleu counts it (Post 2018).

    Its signature is ``nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp``.
    """
    from sacrebleu.metrics.bleu import BLEU

    # force: no lecture in the log about text that looks tokenised; it changes no number.
    return float(BLEU(force=True).corpus_score(predictions, [references]).score)
