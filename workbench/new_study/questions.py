"""What is asked of some data, what may be said to it, and what is answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from workbench.errors import UsageError
from workbench.new_study.columns import Column

OPTIONS = {
    "task": "--task",
    "text": "--text",
    "text_pair": "--text-pair",
    "label": "--label",
    "group": "--group",
    "problem_type": "--problem-type",
}


class Given(NamedTuple):
    """What somebody has said; None where it is to be guessed, an empty text where there is none."""

    task: str | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | list[str] | None = None
    group: str | None = None
    problem_type: str | None = None


class Reason(NamedTuple):
    """What was guessed and why; ``other``: what else it could be, as its option takes it."""

    key: str
    value: str
    why: str
    other: str = ""


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A task with its columns, as the sections ``task`` and ``data`` of a recipe have them."""

    task: dict[str, Any]
    data: dict[str, Any]
    reasons: list[Reason] = field(default_factory=list)
    columns: Mapping[str, Column] = field(default_factory=dict)


class Ambiguous(UsageError):
    """Several answers to one question; the candidates are for a list to choose from."""

    def __init__(self, key: str, candidates: Sequence[str], what: str, why: str = "") -> None:
        self.key, self.candidates = key, tuple(candidates)
        options = " or ".join(f"{OPTIONS[key]} {_quoted(each)}" for each in candidates)
        super().__init__(what, where="--data", why=why, fix=f"say which: {options}")


def _quoted(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() else f"'{name}'"
