"""How text is cut into what ROUGE and BLEU count, by the script that it is written in.

rouge-score (0.1.2) keeps a to z and 0 to 9, and sacrebleu's default (13a) cuts at spaces: by these
two, equal texts in Chinese or Japanese score 0, and by the first also those in Greek or Russian.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import chain, islice
from typing import NamedTuple

READ = 100_000
"""Characters that are looked at to tell the script."""
HAN = "CJK"
UNSPACED = frozenset(
    (HAN, "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "JAVANESE")
)
"""Scripts without spaces between words, as Unicode's names of characters begin."""
LATIN = "LATIN"
MOSTLY = 0.9


class Cutting(NamedTuple):
    """What is counted in the texts of a split."""

    rouge: str
    """stems of English words, words, or characters."""
    bleu: str
    """sacrebleu's name of the tokeniser."""

    @property
    def is_usual_rouge(self) -> bool:
        """True for what rouge-score does by itself."""
        return self.rouge == USUAL.rouge


USUAL = Cutting("stems", "13a")
"""What both libraries do by themselves."""


def cutting(references: Sequence[str]) -> Cutting:
    """How to cut texts, from the script of most letters in the right ones.

    sacrebleu's ``zh`` for Chinese, its ``char`` for other scripts without spaces: its tokenisers of
    words (``ja-mecab``, ``flores200``) need models that may not be there, and a score must not
    depend on that.
    """
    letters = (c for c in islice(chain.from_iterable(references), READ) if c.isalpha())
    counts = Counter(map(script, letters))
    unspaced = sum(count for name, count in counts.items() if name in UNSPACED)
    others = counts.total() - unspaced - counts[LATIN]
    if max(unspaced, others) <= counts[LATIN]:
        return USUAL
    if unspaced < others:
        return Cutting("words", "13a")
    return Cutting("characters", "zh" if counts[HAN] > MOSTLY * unspaced else "char")


@cache
def script(character: str) -> str:
    """The script of a letter, as the Unicode name of the character begins."""
    return unicodedata.name(character, "").partition(" ")[0]


class Words:
    """Words in lower case; of scripts without spaces the characters. For rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        """Texts are cut at spaces, punctuation and symbols."""
        return "".join(map(_apart, text.lower())).split()


@cache
def _apart(character: str) -> str:
    if unicodedata.category(character)[0] in "PSZC":
        return " "
    return f" {character} " if script(character) in UNSPACED else character
