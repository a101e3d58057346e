"""The nearest valid word to what somebody typed."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable
from typing import Any


def did_you_mean(word: object, candidates: Iterable[str]) -> str:
    """``Did you mean learning_rate?``, or an empty string when nothing is near."""
    by_folded = {c.lower(): c for c in candidates}
    found = difflib.get_close_matches(str(word).lower()[:100], by_folded, n=1, cutoff=0.6)
    return f"Did you mean {by_folded[found[0]]}?" if found else ""


def choice(word: object, candidates: Iterable[str]) -> str:
    """The nearest candidate where there is one, else all of them."""
    candidates = list(candidates)
    return did_you_mean(word, candidates) or f"one of: {', '.join(candidates)}"


def shown(value: Any) -> str:
    """A value as it is quoted in a message: one line, at most 80 characters."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
