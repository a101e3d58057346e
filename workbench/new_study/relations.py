"""Which columns go together by what they hold: words and tags, contexts and answers, prompts."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.data.cells import unwritten
from workbench.data.rows import is_missing
from workbench.new_study.columns import Column
from workbench.new_study.names import PROMPTS, is_named

Columns = Mapping[str, Column]
Values = Mapping[str, Sequence[Any]]

MOST_BEYOND = 0.05
"""Share of rows whose answer need not stand in the context: these are mistakes."""


def of_kind(columns: Columns, *kinds: str) -> list[str]:
    return [name for name, column in columns.items() if column.kind in kinds]


def named(candidates: Sequence[str], names: frozenset[str]) -> list[str]:
    return [name for name in candidates if is_named(name, names)]


def words_and_tags(columns: Columns, values: Values) -> tuple[str, str] | None:
    """Two columns of lists with as many items in every row; the words are more different."""
    lists = of_kind(columns, "words", "labels")
    for one in lists:
        for other in lists:
            pairs = zip(values[one], values[other], strict=True)
            alike = all(_length(first) == _length(second) for first, second in pairs)
            if one != other and alike and columns[one].different > columns[other].different:
                return one, other
    return None


def context(columns: Columns, values: Values, texts: Sequence[str]) -> tuple[str, str, str] | None:
    """Context, question and answers, where the answers stand in the contexts."""
    if len(texts) < 2:
        return None
    if marked := of_kind(columns, "answers"):
        return (*_by_length(texts, columns), marked[0])
    for answers in of_kind(columns, "text", "category", "code", "whole"):
        rest = [name for name in texts if name != answers]
        if len(rest) != 2 or columns[answers].different < columns[answers].rows / 5:
            continue
        long, short = _by_length(rest, columns)
        if _stand_in(values[answers], values[long]):
            return long, short, answers
    return None


def _by_length(names: Sequence[str], columns: Columns) -> tuple[str, str]:
    """The longest texts and the shortest."""
    ordered = sorted(names, key=lambda name: columns[name].words)
    return ordered[-1], ordered[0]


def _stand_in(answers: Sequence[Any], contexts: Sequence[Any]) -> bool:
    there = [
        str(answer).strip() in str(text)
        for answer, text in zip(answers, contexts, strict=True)
        if not is_missing(answer)
    ]
    return bool(there) and sum(there) >= (1 - MOST_BEYOND) * len(there)


def prompt(columns: Columns, texts: Sequence[str]) -> tuple[str, str | None, str] | None:
    """Prompt, what stands below it, and completion, by their names."""
    # Most rows of Alpaca have no input, and many short answers repeat.
    short = of_kind(columns, "category", "code")
    candidates = [*texts, *(n for n in short if is_named(n, PROMPTS[1] | PROMPTS[2]))]
    prompts, below, written = (named(candidates, names) for names in PROMPTS)
    completion = written[-1] if written else None
    first = [name for name in prompts if name != completion]
    if completion is None or not first:
        return None
    below = [name for name in below if name not in (first[0], completion)]
    return first[0], below[0] if below else None, completion


def _length(value: Any) -> int:
    value = unwritten(value)
    return len(value) if isinstance(value, list | tuple) else -1


def no_answer(value: Any) -> bool:
    """Whether a question is said to have no answer."""
    value = unwritten(value)
    if isinstance(value, dict):
        value = value.get("text")
    return value is None or value == [] or is_missing(value)
