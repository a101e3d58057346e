"""The nearest valid word to what somebody typed."""

import json
import math
from collections.abc import Iterable
from typing import Any

from workbench.errors import nearest


def did_you_mean(word: object, candidates: Iterable[str]) -> str:
    """``Did you mean learning_rate?``, or an empty string when nothing is near."""
    near = nearest(word, candidates)
    return f"Did you mean {near}?" if near else ""


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
