"""Reading records that may be incomplete: absent, null or of another type is never an error."""

import math
from collections.abc import Mapping
from typing import Any, TypeGuard


def get_section(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A section of a record; empty when it is not there."""
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def get_strings(record: Mapping[str, Any], key: str) -> list[str]:
    """A list of a record as texts; empty when it is not there."""
    value = record.get(key)
    return [str(item) for item in value] if isinstance(value, list) else []


def finite(value: object) -> TypeGuard[float]:
    """True for a number that can be drawn or written."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float is as large as
        return False


def number(record: Mapping[str, Any], key: str) -> float | None:
    """A number of a record, None when it is not there."""
    value = record.get(key)
    return value if finite(value) else None
