"""A column that says which split each row is in (`data.split_column`)."""

from collections.abc import Mapping

from workbench.data.examples import ROLES, Role
from workbench.data.folders import SPLIT_NAMES
from workbench.data.rows import Rows
from workbench.errors import DataError


def by_split_column(found: Mapping[Role, Rows], column: str | None) -> Mapping[Role, Rows]:
    """The rows by the split that the column names, where there is one.

    Raises:
        DataError: a row whose split is none, or no row to train on.
    """
    if column is None:
        return found
    rows = found["train"]
    said = [SPLIT_NAMES.get(str(value).strip().casefold()) for value in rows.splits or ()]
    rows.column(column, rows.splits or ()).refuse(
        (row for row, role in enumerate(said) if role is None),
        "a split that is none",
        why=f"a row is in one of {', '.join(SPLIT_NAMES)}",
        fix="correct these rows, or remove data.split_column",
    )
    if "train" not in said:
        what = f"no row of column {column!r} is in train"
        fix = "write train in the rows to train on, or remove data.split_column"
        raise DataError(what, where=rows.where, fix=fix)
    several = tuple(role for role in ROLES if role in said)
    return {
        role: rows.without({i for i, at in zip(rows.ids, said, strict=True) if at != role})
        for role in several
    }
