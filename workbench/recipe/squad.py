"""What makes two answers the same, as the official script of SQuAD 2.0 compares them
(Rajpurkar et al. 2018); no torch, for reports count by it too."""

import re
import string
from collections.abc import Sequence

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """An answer as it is compared: lower case, no ASCII punctuation, no English articles."""
    return " ".join(_ARTICLE.sub(" ", answer.lower().translate(_NO_PUNCTUATION)).split())


def right_answers(golds: Sequence[str]) -> list[str]:
    """The right answers of a question, normalised; the empty string where there is none.

    An answer of which nothing is left, such as "The", counts only where it is the only one.
    """
    return [text for text in map(normalised, golds) if text] or [""]


def same_answer(golds: Sequence[str], answer: str) -> bool:
    return normalised(answer) in right_answers(golds)
