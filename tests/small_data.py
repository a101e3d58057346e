"""Data of a few examples, made without reading a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.data.examples import Data, Examples


def labelled(labels: Sequence[Any]) -> Examples:
    """Examples with these labels, whose texts are their numbers."""
    ids = tuple(map(str, range(len(labels))))
    return Examples(ids=ids, texts=ids, labels=tuple(labels))


def data_of(
    train: Examples, validation: Examples, test: Examples, names: Sequence[str] = ()
) -> Data:
    return Data(
        train=train,
        validation=validation,
        test=test,
        label_names=tuple(names),
        content_hash="",
        split_hash="",
        comparable_split="",
        duplicates_removed=0,
        notes=(),
    )
