"""The few kinds of error a user can meet.

Each carries what was found, where, why it is wrong and how to put it right. The library raises
them; the command line and the UI print ``str(error)`` and nothing else, so the text has to be
readable by somebody who has never seen this code.
"""

import difflib
import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system answers when a disk, or what its owner may use of it, is full."""


def nearest(word: object, candidates: Iterable[str]) -> str | None:
    """The candidate most like a word, upper or lower case; None when nothing is near."""
    by_folded = {candidate.lower(): candidate for candidate in candidates}
    found = difflib.get_close_matches(str(word).lower()[:100], by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


class WorkbenchError(Exception):
    """A problem that the user can act on.

    Args:
        what: what was found, with the offending value.
        where: file, line, key, row or path; empty when there is no better place than the command.
        why: the rule that it breaks.
        fix: what to do next.
    """

    exit_code = 1
    kind = "error"

    def __init__(self, what: str, *, where: str = "", why: str = "", fix: str = "") -> None:
        self.what, self.where, self.why, self.fix = what, where, why, fix
        super().__init__(what)

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with a recipe: ``file:line: key: what`` and how to put it right."""

    file: str
    line: int | None = None
    key: str = ""
    what: str
    fix: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        head = f"{place}: {self.key}: {self.what}" if self.key else f"{place}: {self.what}"
        return f"{head}\n    fix: {self.fix}" if self.fix else head


class RecipeError(WorkbenchError):
    """A recipe that cannot be run; holds every problem found, not only the first."""

    exit_code = 2
    kind = "bad recipe"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class UsageError(WorkbenchError):
    """Arguments of a command or function that make no sense together."""

    exit_code = 2
    kind = "bad arguments"


class DataError(WorkbenchError):
    """Data that cannot be trained on: missing columns, bad labels, unreadable bytes, leakage."""

    kind = "bad data"
    exit_code = 2


class DataErrors(DataError):
    """Several things wrong with the same data, in one report."""

    def __init__(self, problems: Sequence[DataError]) -> None:
        self.problems = tuple(problems)
        shown = "\n".join(map(str, self.problems))
        super().__init__(f"{len(self.problems)} problems in the data:\n{shown}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


def data_error(problems: Sequence[DataError]) -> DataError:
    """One error for one or more of them, which are not several themselves."""
    return problems[0] if len(problems) == 1 else DataErrors(problems)


class AssetError(WorkbenchError):
    """An embedded model or data set that could not be fetched or whose hash differs."""

    kind = "asset"


class MethodError(WorkbenchError):
    """A fine-tuning method that cannot be applied to this model, or that did not train."""

    exit_code = 2
    kind = "method"


class TrainingError(WorkbenchError):
    """Training that had to stop: a non-finite loss, a group without gradient."""

    kind = "training"


class StorageError(WorkbenchError):
    """A disk that is full, read-only or failing."""

    kind = "disk"


class ExportError(WorkbenchError):
    """An adapter that does not reproduce the run's own predictions, or cannot be written."""

    kind = "export"


class RunRefused(WorkbenchError):
    """A run that exists already, is running elsewhere, or is locked."""

    exit_code = 3
    kind = "refused"
