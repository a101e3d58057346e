"""Labels as written in the data to class indices, 0/1 vectors or numbers."""

import math
from collections.abc import Mapping
from dataclasses import replace

from workbench.data.examples import Label, Role
from workbench.data.label_names import indexed, name_of
from workbench.data.multilabel import Mapped, label_lists, zero_one_columns
from workbench.data.rows import Column, Rows, is_missing, listed
from workbench.errors import DataError
from workbench.recipe.catalogue import MULTI, REGRESSION, SINGLE
from workbench.recipe.schema import DataSpec
from workbench.recipe.tasks import TextClassification


def map_labels(splits: Mapping[Role, Rows], spec: DataSpec, task: TextClassification) -> Mapped:
    """Labels of all splits, one after the other, the label names (none for regression), notes.

    Names come in the order of `task.labels`, else of the source's own numbering, else of the
    column list, else sorted, numbers by value. White space around a name does not count.

    Raises:
        DataError: a label is missing, hidden, out of range, unknown or of another kind than
            `task.problem_type` needs; with the first rows and values.
    """
    for rows in splits.values():
        _refuse_hidden(rows)
    column = Column.of_labels(splits, spec.source)
    column.refuse(
        _is_missing_label,
        "missing label",
        why="every row needs one",
        fix="remove these rows or label them; check data.label",
    )
    if task.problem_type == REGRESSION:
        return _numbers(column, task), (), ()
    if task.problem_type == MULTI:
        if isinstance(spec.label, list):
            return (*zero_one_columns(column, spec.label, task), ())
        return label_lists(column, task, normalise=spec.normalise_labels)
    return _classes(column, spec, task)


def _is_missing_label(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(is_missing, value))
    return is_missing(value) or (isinstance(value, str) and value.strip().casefold() == "nan")


def _refuse_hidden(rows: Rows) -> None:
    """GLUE and other benchmarks publish test splits in which every label is -1."""
    named = bool(rows.class_names) and -1 in rows.labels
    if named or (len(rows.labels) > 1 and all(label in (-1, "-1") for label in rows.labels)):
        raise DataError(
            f"the labels of this split are hidden: {list(rows.labels).count(-1) or 'all'} of "
            f"{len(rows.labels):,} are -1",
            where=rows.where,
            why="-1 stands for a label that the benchmark keeps to itself; nothing can be "
            "scored against it",
            fix="use another split in data.splits, e.g. test: validation, or leave test out to "
            "have it cut from train",
        )


def _classes(column: Column, spec: DataSpec, task: TextClassification) -> Mapped:
    if isinstance(spec.label, list):
        raise DataError(
            f"data.label lists {len(spec.label)} columns",
            where=column.where,
            why=f"several label columns are several labels a row; problem_type is {SINGLE}",
            fix=f"set task.problem_type: {MULTI}, or name one column",
        )
    column.refuse(
        lambda value: not isinstance(value, str | int | float),
        "a label that is not a word or number",
        why=f"problem_type is {SINGLE}: one label a row",
        fix=f"for lists of labels set task.problem_type: {MULTI}; check data.label",
    )
    column = _merged(column, spec.merge_labels or {})
    _refuse_fractions(column)
    values = list(enumerate(column.values))
    names, indices, notes = indexed(column, values, task, normalise=spec.normalise_labels)
    named = bool(task.labels or column.class_names)
    if not named and len(names) > max(20, len(values) // 2):
        raise DataError(
            f"{len(names):,} different labels in {len(values):,} rows, for example "
            + ", ".join(map(repr, names[:3])),
            where=column.where,
            why="most classes would have a single example",
            fix="check data.label; for numbers to be predicted set "
            f"task.problem_type: {REGRESSION}",
        )
    return list(indices), names, notes


def _merged(column: Column, merge: Mapping[str, str]) -> Column:
    """The labels, those of `data.merge_labels` as the other that each is read as."""
    if not merge:
        return column
    names = [name_of(value) for value in column.values]
    if unknown := merge.keys() - set(names):
        what = f"data.merge_labels: no row has the label {listed(sorted(unknown))}"
        why = f"there are {listed(sorted(set(names)), 20)}"
        raise DataError(what, where=column.where, why=why, fix="correct or remove it")
    return replace(column, values=[merge.get(name, name) for name in names])


def _refuse_fractions(column: Column) -> None:
    numbers = [_number(value) for value in column.values]
    # A csv file holds only text, so a column of fractions shows when every value is a number.
    in_text = all(number is not None for number in numbers)
    column.refuse(
        (
            row
            for row, (value, number) in enumerate(zip(column.values, numbers, strict=True))
            if (in_text or isinstance(value, float)) and not float(number or 0).is_integer()
        ),
        "a label that is a fraction",
        why=f"problem_type is {SINGLE}: labels are classes",
        fix=f"set task.problem_type: {REGRESSION}, or write the classes as words or whole numbers",
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)  # type: ignore[arg-type]  # anything else is a TypeError
    except (TypeError, ValueError, OverflowError):
        return None


def _numbers(column: Column, task: TextClassification) -> list[Label]:
    if task.labels:
        raise DataError(
            "task.labels names classes, but problem_type is regression",
            where=column.where,
            fix=f"leave task.labels out, or set task.problem_type: {SINGLE}",
        )
    numbers = [_number(value) for value in column.values]
    column.refuse(
        (i for i, number in enumerate(numbers) if number is None or not math.isfinite(number)),
        "a label that is not a finite number",
        why="problem_type is regression",
        fix=f"correct these rows, or set task.problem_type: {SINGLE}",
    )
    return [float(number or 0.0) for number in numbers]
