"""Data sets of the Hugging Face Hub, through `datasets`, without running anybody's code."""

from dataclasses import replace
from typing import Any

from workbench.assets.hub import why_unreachable
from workbench.data.columns import Columns, check_columns, rows_of
from workbench.data.rows import Rows
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec


def read_hub(spec: DataSpec, columns: Columns, split: str) -> Rows:
    """One split of a Hub data set; ids are ``split:row`` with rows counted from 0.

    Raises:
        DataError: not reachable, not there, needs code of its own, or lacks a column.
    """
    where = f"{spec.source}{f' ({spec.config})' if spec.config else ''}, split {split!r}"
    table = _load(spec, split, where)
    check_columns(table.column_names, columns, where)
    values = {name: list(table[name]) for name in columns.wanted(table.column_names)}
    ids = [f"{split}:{row}" for row in range(len(table))]
    rows = rows_of(values, ids, columns, where, table.column_names)
    if isinstance(columns.label, str) and columns.label in table.features:
        return replace(rows, class_names=_class_names(table.features[columns.label]))
    return rows


def _load(spec: DataSpec, split: str, where: str) -> Any:
    from datasets import load_dataset

    trouble = why_unreachable()
    try:
        return load_dataset(spec.source, name=spec.config, revision=spec.revision, split=split)
    # `datasets` lets through whatever its file readers, HTTP client and builders raise; all of
    # it concerns what the user named, none of it is ours to handle.
    except Exception as error:
        raise _explained(error, spec, where, trouble) from error


def _explained(error: Exception, spec: DataSpec, where: str, trouble: str | None) -> DataError:
    message = " ".join(str(error).split()) or type(error).__name__
    if "scripts are no longer supported" in message or "trust_remote_code" in message:
        return DataError(
            "this data set comes as a program, which is not run",
            where=where,
            why="code from the Hub could do anything on this machine",
            fix="look for a copy with plain files (parquet, jsonl, csv): often "
            f"revision: refs/convert/parquet of {spec.source} holds one",
        )
    if isinstance(error, ConnectionError) or "offline" in message.lower():
        return DataError(
            f"the Hugging Face Hub cannot be reached: {trouble or message}",
            where=where,
            why=f"{spec.source!r} is neither a file or folder here nor in the cache of datasets",
            fix="connect and unset HF_HUB_OFFLINE, correct the path, or use data that is here, "
            "e.g. asset:bbc-news",
        )
    return DataError(
        f"could not be loaded from the Hub: {type(error).__name__}: {message[:600]}",
        where=where,
        fix="check data.source, data.config, data.revision and data.splits; a private or gated "
        "data set needs `hf auth login`",
    )


def _class_names(feature: Any) -> tuple[str, ...]:
    """Names of a ClassLabel feature, also inside a list; empty for any other."""
    inner = getattr(feature, "feature", feature)
    return tuple(getattr(inner, "names", None) or ())
