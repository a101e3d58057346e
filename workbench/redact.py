"""Secrets of the environment, kept out of what is printed and written."""

import os
import re

_SECRET = re.compile(r"TOKEN|KEY|PASSWORD|PASSWD|SECRET|CREDENTIAL", re.IGNORECASE)
"""What names of environment variables have in them whose values nobody else may read."""
_SHORTEST_SECRET = 8
"""Shorter values (``0``, ``true``) are settings, and occur in any text."""


def without_secrets(text: str) -> str:
    """A text in which the values of secret environment variables stand as their names.

    Messages of libraries may quote an address or a header that a token is part of.
    """
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and _SECRET.search(name):
            text = text.replace(value, f"[{name}]")
    return text
