"""Several labels a row: lists of names, or one 0/1 column per label."""

from collections.abc import Sequence
from dataclasses import replace

from workbench.data.cells import unwritten
from workbench.data.examples import Label
from workbench.data.label_names import indexed, name_of
from workbench.data.rows import Column
from workbench.errors import DataError
from workbench.recipe.catalogue import MULTI, SINGLE
from workbench.recipe.tasks import TextClassification

_BITS = {"0": 0, "1": 1, "False": 0, "True": 1, "false": 0, "true": 1}

Mapped = tuple[list[Label], tuple[str, ...], tuple[str, ...]]
"""The label of each row, the names of all labels, and notes for the user."""


def zero_one_columns(
    column: Column, columns: Sequence[str], task: TextClassification
) -> tuple[list[Label], tuple[str, ...]]:
    """0/1 vectors from one column per label; each value of `column` is a tuple, one a column.

    Raises:
        DataError: another value than 0 or 1 (rows are named), or fewer than two columns.
    """
    if len(set(columns)) < len(columns):
        raise DataError(
            f"a column occurs twice: {', '.join(columns)}",
            where="data.label",
            fix="name every label column once",
        )
    if len(columns) < 2:
        raise DataError(
            f"data.label lists one column, {columns[0]!r}" if columns else "data.label is empty",
            where=column.where,
            why="one 0/1 label is a choice of two classes; with one output transformers would "
            "train a regression",
            fix=f"set task.problem_type: {SINGLE} and data.label to the name of the column",
        )
    if task.labels and sorted(task.labels) != sorted(columns):
        raise DataError(
            f"task.labels ({', '.join(task.labels)}) are not the columns of data.label "
            f"({', '.join(columns)})",
            where=column.where,
            fix="give both the same names, or leave task.labels out",
        )
    rows = [[_BITS.get(name_of(v)) for v in values] for values in column.values]
    column.refuse(
        [i for i, row in enumerate(rows) if None in row],
        f"a label that is neither 0 nor 1 in columns {', '.join(columns)}",
        why="each of these columns says whether its label applies",
        fix="write 0 or 1",
    )
    names = tuple(task.labels or columns)
    order = [list(columns).index(name) for name in names]
    return [tuple(row[i] or 0 for i in order) for row in rows], names


def label_lists(column: Column, task: TextClassification, *, normalise: bool) -> Mapped:
    """0/1 vectors from lists of the labels that apply; an empty list means that none does.

    Lists that are such vectors already, all of one length, are taken as they are.

    Raises:
        DataError: a row without a list, or with a label twice or unknown; rows are named.
    """
    column = replace(column, values=[unwritten(value) for value in column.values])
    column.refuse(
        lambda value: not isinstance(value, list | tuple),
        "a label that is not a list",
        why=f"problem_type is {MULTI}: each row has a list of labels, or data.label lists one "
        "0/1 column per label",
        fix="use jsonl or parquet with a list column, or set data.label to the 0/1 columns",
    )
    written = [[name_of(v) for v in values] for values in column.values]
    if _are_vectors(written):
        return _vectors(column, written, task)
    column.refuse(
        [i for i, names in enumerate(written) if len(set(names)) < len(names)],
        "the same label twice in one row",
        why="a list holds the names of the labels that apply, each once",
        fix="if these are 0/1 vectors, put them in one column per label and list the columns in "
        "data.label",
    )
    flat = [(row, value) for row, values in enumerate(column.values) for value in values]
    names, indices, notes = indexed(column, flat, task, normalise=normalise)
    if len(names) < 2:
        raise DataError(
            f"only one label: {', '.join(names) or 'none at all'}",
            where=column.where,
            why="with one output transformers would train a regression",
            fix="check data.label; several labels are needed",
        )
    vectors = [[0] * len(names) for _ in written]
    for (row, _), index in zip(flat, indices, strict=True):
        vectors[row][index] = 1
    return [tuple(vector) for vector in vectors], names, notes


def _are_vectors(written: Sequence[Sequence[str]]) -> bool:
    """Whether the lists of all rows are as long as each other and hold nothing but 0 and 1."""
    lengths = {len(values) for values in written}
    return len(lengths) == 1 and lengths.pop() > 1 and all(_BITS.keys() >= set(v) for v in written)


def _vectors(column: Column, written: Sequence[Sequence[str]], task: TextClassification) -> Mapped:
    length = len(written[0])
    names = tuple(task.labels or column.class_names)
    note = ""
    if not names:
        names = tuple(map(str, range(length)))
        note = f"Labels are lists of {length} zeros and ones, read as one place for each label; "
        note += "task.labels gives the places names."
    if len(names) != length:
        raise DataError(
            f"lists of {length} zeros and ones, and {len(names)} label names",
            where=column.where,
            why="in such a list each label has its place",
            fix=f"name {length} labels in task.labels, in the order of the places",
        )
    vectors: list[Label] = [tuple(_BITS[value] for value in values) for values in written]
    return vectors, names, (note,) if note else ()
