"""Lists and objects that a cell of a csv file can only hold as text."""

import ast
import json
import re
import warnings

_OPENS = re.compile(r"\s*[\[{]")
_RUN_TOGETHER = re.compile(r"""['"]\s+['"]""")
"""Texts without a comma between them, as numpy shows an array; Python would join them."""


def unwritten(value: object) -> object:
    """The list or object that a text stands for, as JSON or as Python shows it; else the value."""
    if not isinstance(value, str) or not _OPENS.match(value):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None if _RUN_TOGETHER.search(value) else _as_python(value)
    return found if isinstance(found, list | dict) else value


def _as_python(text: str) -> object:
    try:
        with warnings.catch_warnings():  # of escapes that are none
            warnings.simplefilter("ignore")
            return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
