"""File names from the names of recipes, which anybody may have chosen."""

from __future__ import annotations

import re
from collections.abc import Sequence

_OTHER = re.compile(r"[^A-Za-z0-9._=-]+")
_LONGEST = 60


def file_names(labels: Sequence[str]) -> dict[str, str]:
    """A name for each label that is one on every system, and that no other label has."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in dict.fromkeys(labels):
        name = base = _OTHER.sub("-", label).strip("-.")[:_LONGEST] or "recipe"
        number = 2
        while name.lower() in taken:  # some file systems take Lora for lora
            name, number = f"{base}-{number}", number + 1
        taken.add(name.lower())
        names[label] = name
    return names
