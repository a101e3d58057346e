"""Label names: how labels are written in the data, and which class index each one gets."""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.data.rows import Column
from workbench.errors import DataError, nearest
from workbench.recipe.tasks import TextClassification, TokenClassification

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


def name_of(value: object) -> str:
    """A label as text: "1" for 1, 1.0, "1" and "1.0" alike; white space around it is dropped."""
    text = str(value).strip()
    whole = text.removesuffix(".0")
    return whole if _is_index(whole) else text


def indexed(
    column: Column,
    written: Sequence[tuple[int, str]],
    task: TextClassification | TokenClassification,
) -> tuple[tuple[str, ...], list[int]]:
    """Class index of each written label; `written` pairs it with the row it stands in."""
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
    near = nearest(unknown[0], names) if unknown else None
    hint = f"did you mean {near!r} for {unknown[0]!r}? " if near else ""
    return f"{hint}correct these rows, or add the label to task.labels"
