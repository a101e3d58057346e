"""Label names: how labels are written in the data, and which class index each one gets."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from workbench.data.rows import Column, is_encodable
from workbench.errors import DataError, nearest
from workbench.recipe.tasks import TextClassification, TokenClassification

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")

SHOWN = 8
"""Labels with several spellings that a note names."""


class Indexed(NamedTuple):
    """Label names in order, the class index of each label written, and what to tell the user."""

    names: tuple[str, ...]
    indices: list[int]
    notes: tuple[str, ...]


def name_of(value: object) -> str:
    """A label as text: "1" for 1, 1.0, "1" and "1.0" alike; white space around it is dropped."""
    text = str(value).strip()
    whole = text.removesuffix(".0")
    return whole if _is_index(whole) else text


def indexed(
    column: Column,
    values: Sequence[tuple[int, object]],
    task: TextClassification | TokenClassification,
    *,
    normalise: bool,
) -> Indexed:
    """Class index of each label; `values` pairs it with the row it stands in.

    Args:
        normalise: whether spellings that differ in case or white space are one label.
    """
    written = [(row, name_of(value)) for row, value in values]
    column.refuse(
        [row for row, label in written if not is_encodable(label)],
        "a label with invalid Unicode (a lone surrogate)",
        why="no file can hold it",
        fix="repair the program that wrote the file; often an emoji was cut in two",
    )
    spellings = _spellings(str(value) for _, value in values)
    notes = _spelling_notes(spellings, normalise=normalise)
    if normalise:
        usual = {key: _usual(counts) for key, counts in spellings.items()}
        usual |= {_folded(name): name for name in task.labels or column.class_names}
        written = [(row, usual.get(_folded(label), label)) for row, label in written]
    names, indices = _placed(column, written, task)
    return Indexed(names, indices, notes)


def _folded(label: str) -> str:
    return " ".join(label.split()).casefold()


def _spellings(labels: Iterable[str]) -> dict[str, Counter[str]]:
    """How often each spelling of a label occurs, by what they have in common, as far as there
    are several."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for label, count in Counter(labels).items():
        found[_folded(label)][label] += count
    return {key: counts for key, counts in found.items() if len(counts) > 1}


def _usual(counts: Mapping[str, int]) -> str:
    """The most frequent spelling; of equally frequent ones the first by name."""
    stripped: Counter[str] = Counter()
    for label, count in counts.items():
        stripped[name_of(label)] += count
    return min(stripped, key=lambda label: (-stripped[label], label))


def _spelling_notes(spellings: Mapping[str, Counter[str]], *, normalise: bool) -> tuple[str, ...]:
    if not spellings:
        return ()
    groups = [
        ", ".join(f"{label!r} ({count:,})" for label, count in sorted(counts.items()))
        for counts in list(spellings.values())[:SHOWN]
    ]
    more = f"; and {len(spellings) - SHOWN:,} more" if len(spellings) > SHOWN else ""
    what = f"Labels that differ only in case or white space: {'; '.join(groups)}{more}. "
    if normalise:
        return (f"{what}They are read as one, spelled as in task.labels or else in most rows.",)
    if all(len(set(map(name_of, counts))) == 1 for counts in spellings.values()):
        return (f"{what}White space around a label does not count: they are read as one.",)
    what += "Those that differ in case or inner white space are different labels; "
    return (f"{what}data.normalise_labels: true reads them as one.",)


def _placed(
    column: Column,
    written: Sequence[tuple[int, str]],
    task: TextClassification | TokenClassification,
) -> tuple[tuple[str, ...], list[int]]:
    names = column.class_names
    if names:
        _refuse_out_of_range(column, written, len(names))
        written = [
            (row, names[int(label)] if _is_index(label) else label) for row, label in written
        ]
    occurring = {label for _, label in written}
    if task.labels:
        names = tuple(task.labels)
        if len(set(names)) < len(names):
            raise DataError(
                f"a name occurs twice: {', '.join(names)}",
                where="task.labels",
                fix="name every class once",
            )
        if not occurring & set(names) and all(map(_is_index, occurring)):
            # Numbers in the data, names in the recipe.
            _refuse_out_of_range(column, written, len(names))
            return names, [int(label) for _, label in written]
        unknown = occurring - set(names)
        column.refuse(
            [row for row, label in written if label in unknown],
            f"label {', '.join(map(repr, sorted(unknown)[:5]))} is not in task.labels",
            why=f"task.labels: {', '.join(names[:20])}",
            fix=_nearest(sorted(unknown), names),
        )
    names = names or tuple(sorted(occurring, key=_order))
    position = {name: index for index, name in enumerate(names)}
    return names, [position[label] for _, label in written]


def _is_index(label: str) -> bool:
    return _WHOLE_NUMBER.fullmatch(label) is not None


def _order(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if _is_index(name) else (1, 0, name)


def _refuse_out_of_range(column: Column, written: Sequence[tuple[int, str]], count: int) -> None:
    column.refuse(
        [row for row, label in written if _is_index(label) and not 0 <= int(label) < count],
        f"a label out of range 0 to {count - 1}",
        why=f"there are {count} label names",
        fix="correct these rows, or name every class in task.labels",
    )


def _nearest(unknown: Sequence[str], names: Sequence[str]) -> str:
    if {_folded(label) for label in unknown} <= {_folded(name) for name in names}:
        return "set data.normalise_labels: true, as they differ only in case or white space"
    near = nearest(unknown[0], names) if unknown else None
    hint = f"did you mean {near!r} for {unknown[0]!r}? " if near else ""
    return f"{hint}correct these rows, or add the label to task.labels"
