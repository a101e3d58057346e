"""What each example adds to the scores of tags, spans and generated text.

References come first, then predictions. seqeval, sacrebleu and rouge-score do the counting. They
are imported when first needed: rouge-score alone brings 29 MB of nltk into memory (0.1.2 with nltk
3.10.4), which a run that does not generate should neither wait for nor count as its own.
"""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

from workbench.metrics.scripts import Words, cutting
from workbench.recipe.squad import normalised, right_answers

Tags = Sequence[Sequence[str]]
Texts = Sequence[str]


# --- tags ---------------------------------------------------------------------------------------

_PREFIXED = re.compile(r"[BIESLU]-.")
_UNTYPED = frozenset("BIESLUO")
# seqeval 1.2.2 reads IOB1, IOB2, IOE and IOBES; BILOU has the same tags under other letters.
_LAST_OR_UNIT = re.compile(r"[LU](?=-|$)")
_IOBES = {"L": "E", "U": "S"}


def mark_entities(references: Tags) -> bool:
    """False for tags that mark no entities, such as parts of speech."""
    tags = set(chain.from_iterable(references))
    return tags <= _UNTYPED or any(_PREFIXED.match(tag) for tag in tags)


def entity_counts(references: Tags, predictions: Tags) -> list[tuple[int, int, int]]:
    """Of each sentence the entities that are right, those that there are and those predicted.

    Read as conlleval does, not strictly: an I- after O or after another type begins an entity.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    def entities(sentences: Tags) -> list[set[Any]]:
        with warnings.catch_warnings():
            # Of a tag without a prefix among others, which it then takes for an entity.
            warnings.filterwarnings("ignore", ".* seems not to be NE tag")
            return [set(get_entities([*map(_renamed, tags)])) for tags in sentences]

    pairs = zip(entities(references), entities(predictions), strict=True)
    return [(len(right & given), len(right), len(given)) for right, given in pairs]


def _renamed(tag: str) -> str:
    return _IOBES[tag[0]] + tag[1:] if _LAST_OR_UNIT.match(tag) else tag


# --- spans --------------------------------------------------------------------------------------


def shared_words(references: Sequence[Texts], answers: Texts) -> list[float]:
    """F1 of the words that each answer shares with the closest right one.

    Of scripts without spaces the characters count, as in MLQA (Lewis et al. 2020).
    """
    characters = cutting([*chain.from_iterable(references)]).rouge == "characters"
    split = Words().tokenize if characters else str.split

    def closest(golds: Texts, answer: str) -> float:
        given = split(normalised(answer))
        return max(_f1(split(gold), given) for gold in right_answers(golds))

    return [closest(*pair) for pair in zip(references, answers, strict=True)]


def _f1(right: list[str], given: list[str]) -> float:
    if not right or not given:
        return float(right == given)
    return 2 * (Counter(right) & Counter(given)).total() / (len(right) + len(given))


# --- generated text -----------------------------------------------------------------------------


def rouge(kind: str, references: Texts, predictions: Texts) -> list[float]:
    """F-measures of ``rouge1``, ``rouge2`` or ``rougeL``, 0 to 1 (Lin 2004).

    Of English words the stems count; what counts in other scripts, `scripts` says.
    """
    from rouge_score.rouge_scorer import RougeScorer

    usual = cutting(references).is_usual_rouge
    scorer = RougeScorer([kind], use_stemmer=True, tokenizer=None if usual else Words())
    pairs = zip(references, predictions, strict=True)
    return [float(scorer.score(*pair)[kind].fmeasure) for pair in pairs]


def bleu(references: Texts, predictions: Texts) -> float:
    """BLEU of the corpus, 0 to 100 (Papineni et al. 2002), as sacrebleu counts it (Post 2018).

    Its signature is ``nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp``, with another tokeniser for
    scripts without spaces.
    """
    from sacrebleu.metrics.bleu import BLEU

    # force: no lecture in the log about text that looks tokenised; it changes no number.
    scorer = BLEU(tokenize=cutting(references).bleu, force=True)
    return float(scorer.corpus_score(predictions, [references]).score)
