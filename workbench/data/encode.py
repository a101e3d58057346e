"""Examples to features: what the model reads, cached between runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, disable_progress_bars, enable_progress_bars, is_progress_bar_enabled
from transformers import PreTrainedTokenizerBase

from workbench.assets import cache_dir
from workbench.data.examples import Examples

Columns = dict[str, list[Any]]
Row = dict[str, Any]
"""One feature: ``input_ids`` and whatever else its task has put beside them."""


@dataclass(frozen=True)
class Encoder:
    """How a task turns examples into features."""

    columns: Callable[[Examples], Columns]
    """The columns that are read, one entry per example, plain JSON values."""
    features: Callable[[Columns], Columns]
    """Columns of features from columns of examples (with their position as ``example``): a list
    of ``input_ids`` for each, ``example`` (whose feature it is) and ``truncated``."""
    key: str
    """Names everything but tokenizer and examples that decides the outcome."""


@dataclass(frozen=True)
class Encoded:
    """One split as token ids: the same for every method and seed of a study."""

    examples: Examples
    columns: Dataset
    """``input_ids`` and what else the task needs: unpadded lists, one row per feature."""
    lengths: np.ndarray
    """Tokens of each feature, (features,)."""
    owners: np.ndarray
    """Position of the example that each feature is (a part) of, (features,)."""
    truncated: int
    """Examples of which something was cut off to fit the maximal length."""

    @property
    def examples_hash(self) -> str:
        """sha256 over ids, lengths in tokens and labels, to recognise the split again."""
        content = repr((self.examples.ids, self.lengths.tolist(), self.examples.labels))
        return hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()

    def __len__(self) -> int:
        return len(self.lengths)

    def rows(self, indices: list[int]) -> list[Row]:
        """The features at some positions."""
        taken = self.columns[indices]
        return [
            dict(zip(taken, values, strict=True)) for values in zip(*taken.values(), strict=True)
        ]


def encode(
    examples: Examples,
    encoder: Encoder,
    tokenizer: PreTrainedTokenizerBase,
    *,
    cached: bool = True,
) -> Encoded:
    """Turns a split into features once and keeps the outcome under the cache folder."""
    if not len(examples):
        return _encoded(examples, Dataset.from_dict({"input_ids": [], "example": []}), set())
    columns = encoder.columns(examples)
    columns["example"] = list(range(len(examples)))
    if not cached:
        table = Dataset.from_dict(encoder.features(columns))
    else:
        key = _cache_key(columns, encoder, tokenizer)
        folder = cache_dir() / "tokens"
        folder.mkdir(parents=True, exist_ok=True)
        rows = Dataset.from_dict(columns)
        table = _map_quietly(rows, encoder.features, folder / f"{key}.arrow", key)
    cut = {e for e, c in zip(table["example"], table["truncated"], strict=True) if c}
    return _encoded(examples, table.remove_columns("truncated"), cut)


def _encoded(examples: Examples, table: Dataset, cut: set[int]) -> Encoded:
    lengths = np.array([len(ids) for ids in table["input_ids"]], dtype=np.int64)
    owners = np.array(table["example"], dtype=np.int64)
    return Encoded(examples, table.remove_columns("example"), lengths, owners, len(cut))


def tokenisation_fingerprint(
    tokenizer: PreTrainedTokenizerBase, max_length: int, key: str = ""
) -> str:
    """sha256 over the tokenizer's whole definition, the maximal length and the encoder's key.

    Truncation and padding are left out: they are not the tokenizer's own but those of the last
    call to it.
    """
    definition = json.loads(tokenizer.backend_tokenizer.to_str())
    definition |= {"truncation": None, "padding": None, "template": tokenizer.chat_template}
    return hashlib.sha256(
        f"{max_length}\n{key}\n{json.dumps(definition, sort_keys=True)}".encode()
    ).hexdigest()


def _cache_key(
    columns: Mapping[str, list[Any]], encoder: Encoder, tokenizer: PreTrainedTokenizerBase
) -> str:
    digest = hashlib.sha256(tokenisation_fingerprint(tokenizer, 0, encoder.key).encode())
    for name, values in columns.items():
        digest.update(json.dumps([name, values]).encode())
    return digest.hexdigest()[:32]


def _map_quietly(
    dataset: Dataset, function: Callable[[Columns], Columns], cache_file: Path, fingerprint: str
) -> Dataset:
    shown = is_progress_bar_enabled()
    disable_progress_bars()
    try:
        return dataset.map(
            function,
            batched=True,
            batch_size=None,
            remove_columns=dataset.column_names,
            cache_file_name=str(cache_file),
            new_fingerprint=fingerprint,
        )
    finally:
        if shown:
            enable_progress_bars()
