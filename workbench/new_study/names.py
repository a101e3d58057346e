"""What columns are usually called: it decides where what they hold leaves several."""

import re

TEXTS = frozenset(
    "text review sentence content body comment tweet message document article post utterance "
    "abstract description".split()
)
LABELS = frozenset(
    "label class category target sentiment rating star score intent topic polarity gold y tag "
    "emotion genre verdict".split()
)
GROUPS = frozenset(
    "author user writer patient speaker subject doc document paragraph group session thread "
    "conversation dialogue customer person participant source book article".split()
)
PROMPTS = (
    frozenset("prompt instruction question query source article document input text".split()),
    frozenset("input context".split()),
    frozenset(
        "completion response output answer reply target summary headline translation".split()
    ),
)
"""A prompt, what stands below it, and what is to be written."""
COMMON = TEXTS | LABELS | GROUPS | frozenset().union(*PROMPTS)
_PAIRS = (
    {"premise", "hypothesis"},
    {"question", "sentence"},
    {"question", "passage"},
    {"query", "document"},
)


def is_named(column: str, names: frozenset[str]) -> bool:
    """Whether one of the words of a column's name is among these, in singular or plural."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).lower())
    return any(word in names or word.removesuffix("s") in names for word in words)


def are_pair(one: str, other: str) -> bool:
    """Whether two names differ in a number or letter at their end, or belong together."""
    numbered = one[:-1] == other[:-1] != "" and one != other
    return numbered or {one.lower(), other.lower()} in _PAIRS
