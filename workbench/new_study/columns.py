"""What the columns of a source hold, told from their values."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from typing import Any, Literal

from workbench.data.cells import unwritten
from workbench.data.folders import SPLIT_NAMES
from workbench.data.label_names import name_of
from workbench.data.rows import is_missing

Kind = Literal[
    "text", "category", "whole", "fraction", "code", "split", "words", "labels", "chat", "answers",
    "empty", "other",
]  # fmt: skip

LOOKED_AT = 20_000
"""Values of a column that are looked at, at equal distances: 0.3 s of a million texts."""
FEW = 20
"""Most classes that a column of whole numbers has, unless somebody says that it holds classes."""
MOST_CLASSES = 200
TEXT_WORDS = 3.0
"""Mean words of a value from which on it is a text and no name."""
TEXT_CHARACTERS = 24
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.0)?")
_NOT_WORDS = re.compile(r"(https?://|www\.)\S+|[0-9]{1,4}([-/.:T ][0-9]{1,4})+Z?|\S+@\S+\.\S+")
"""Addresses, dates and times."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        rows: values that were looked at, those that are missing too.
        counts: how often each value occurs, most frequent first; of texts and labels.
        words: words of a text on average; 0 where it holds none.
    """

    name: str
    kind: Kind
    rows: int
    missing: int
    counts: Mapping[str, int]
    words: float = 0.0

    @property
    def different(self) -> int:
        return len(self.counts)

    @property
    def is_numeric(self) -> bool:
        """Whether it holds numbers and nothing else."""
        return self.kind in ("whole", "fraction") or all(map(_PLAIN_NUMBER.fullmatch, self.counts))

    @property
    def about(self) -> str:
        """What it holds, as a person would say it."""
        gaps = f", {self.missing:,} empty" if self.missing else ""
        if self.kind == "text":
            return f"texts of {self.words:.0f} words on average{gaps}"
        named = {
            "words": "lists of words", "labels": "lists of labels", "chat": "chats",
            "answers": "answers as in SQuAD", "empty": "nothing", "other": "something else",
        }  # fmt: skip
        if self.kind in named:
            return f"{named[self.kind]}{gaps}"
        shown = ", ".join(f"{v} ({n:,})" for v, n in islice(self.counts.items(), 4))
        more = ", ..." if self.different > 4 else ""
        several = self.different * 2 <= self.rows
        number = "one value" if self.different == 1 else f"{self.different:,} different values"
        return f"{number}{f': {shown}{more}' if several else ''}{gaps}"


def columns_of(columns: Mapping[str, Sequence[Any]]) -> dict[str, Column]:
    """Each column by its name."""
    return {name: _column(name, values) for name, values in columns.items()}


def _column(name: str, values: Sequence[Any]) -> Column:
    seen = [unwritten(value) for value in values[:: max(1, len(values) // LOOKED_AT)]]
    there = [value for value in seen if not is_missing(value)]
    rows, missing = len(seen), len(seen) - len(there)
    if not there:
        return Column(name=name, kind="empty", rows=rows, missing=missing, counts={})
    if kind := _kind_of_lists(there):
        lists: list[list[Any]] = [value for value in there if isinstance(value, list)]
        counts = Counter(str(each) for value in lists for each in value)
        return Column(name=name, kind=kind, rows=rows, missing=missing, counts=counts)
    texts = [name_of(value) for value in there]
    counts = Counter(texts)
    words = fmean(_words(text) for text in texts)
    kind = _kind_of_texts(texts, counts, words, numbers=all(map(_is_number, there)))
    return Column(
        name=name,
        kind=kind,
        rows=rows,
        missing=missing,
        counts=dict(counts.most_common()),
        words=words if kind == "text" else 0.0,
    )


def _words(text: str) -> float:
    """Words between spaces; of scripts without spaces about two characters a word."""
    return max(len(text.split()), sum(ord(c) >= 0x2E80 for c in text) / 2)


def _kind_of_lists(values: Sequence[Any]) -> Kind | None:
    """The kind of lists and objects; None where the values are neither."""
    if not any(isinstance(value, list | tuple | dict) for value in values):
        return None
    if all(isinstance(v, dict) and isinstance(v.get("text"), list) for v in values):
        return "answers"
    lists = [value for value in values if isinstance(value, list | tuple)]
    items = [item for value in lists for item in value]
    if len(lists) < len(values) or not items:
        return "other"
    if all(isinstance(item, dict) for item in items):
        if all(item.keys() & {"role", "from"} for item in items):
            return "chat"
        return "answers" if all("text" in item for item in items) else "other"
    if not all(isinstance(item, str | int) for item in items):
        return "other"
    return "words" if fmean(map(len, lists)) >= TEXT_WORDS else "labels"


def _kind_of_texts(
    texts: Sequence[str], counts: Mapping[str, int], words: float, *, numbers: bool
) -> Kind:
    rows, different = len(texts), len(counts)
    if different > 1 and {value.casefold() for value in counts} <= SPLIT_NAMES.keys():
        return "split"
    classes = different <= max(2, min(rows / 5, MOST_CLASSES))
    if numbers:
        if not all(_PLAIN_NUMBER.fullmatch(text) for text in counts):
            return "fraction"
        return "code" if different == rows else "whole"
    if sum(bool(_NOT_WORDS.fullmatch(text)) for text in counts) > different / 2:
        return "other"
    if classes and words < 2 * TEXT_WORDS:
        return "category"
    if words >= TEXT_WORDS or fmean(map(len, texts)) >= TEXT_CHARACTERS:
        return "text"
    # Codes such as A-104 have digits in one word; names and short texts do not.
    coded = sum(" " not in t and any(c.isdigit() for c in t) for t in counts) > different / 2
    return "code" if coded else "category" if different < rows / 2 else "text"


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    try:
        float(value)  # type: ignore[arg-type]  # anything else is a TypeError
    except (TypeError, ValueError, OverflowError):
        return False
    return True
