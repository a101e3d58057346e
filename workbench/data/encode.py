"""Texts to token ids, cached between runs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, disable_progress_bars, enable_progress_bars, is_progress_bar_enabled
from transformers import PreTrainedTokenizerBase

from workbench.assets import cache_dir
from workbench.data.examples import Examples


@dataclass(frozen=True)
class Encoded:
    """One split as token ids: the same for every method and seed of a study."""

    examples: Examples
    columns: Dataset
    """``input_ids`` and, for pairs, ``token_type_ids``: unpadded lists."""
    lengths: np.ndarray
    """Tokens of each example, (examples,)."""
    truncated: int
    """Examples that were cut to the maximal length."""

    @property
    def examples_hash(self) -> str:
        """sha256 over ids, lengths in tokens and labels, to recognise the split again."""
        content = repr((self.examples.ids, self.lengths.tolist(), self.examples.labels))
        return hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()

    def __len__(self) -> int:
        return len(self.lengths)

    def rows(self, indices: list[int]) -> list[dict[str, list[int]]]:
        """The encoded examples at some positions."""
        taken = self.columns[indices]
        return [
            dict(zip(taken, values, strict=True)) for values in zip(*taken.values(), strict=True)
        ]


def encode(examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoded:
    """Tokenises a split once and keeps the outcome under the cache folder.

    A text (or the longer part of a pair) is cut to ``max_length`` tokens, special tokens
    included; how many were cut is counted.
    """
    if not examples.texts:
        nothing = Dataset.from_dict({"input_ids": []})
        return Encoded(examples, nothing, np.zeros(0, dtype=np.int64), 0)
    key = _cache_key(examples, tokenizer, max_length)
    folder = cache_dir() / "tokens"
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, list[str]] = {"text": list(examples.texts)}
    if examples.pairs is not None:
        columns["pair"] = list(examples.pairs)
    tokens = _map_quietly(
        Dataset.from_dict(columns),
        _tokenise(tokenizer, max_length, wants_types=examples.pairs is not None),
        folder / f"{key}.arrow",
        key,
    )
    lengths = np.array(tokens["length"], dtype=np.int64)
    truncated = int(sum(tokens["truncated"]))
    return Encoded(examples, tokens.remove_columns(["length", "truncated"]), lengths, truncated)


def tokenisation_fingerprint(tokenizer: PreTrainedTokenizerBase, max_length: int) -> str:
    """sha256 over the tokenizer's whole definition and the maximal length.

    Truncation and padding are left out: they are not the tokenizer's own but those of the last
    call to it.
    """
    definition = json.loads(tokenizer.backend_tokenizer.to_str())
    definition |= {"truncation": None, "padding": None}
    return hashlib.sha256(
        f"{max_length}\n{json.dumps(definition, sort_keys=True)}".encode()
    ).hexdigest()


def _cache_key(examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int) -> str:
    digest = hashlib.sha256(tokenisation_fingerprint(tokenizer, max_length).encode())
    pairs = examples.pairs or ("",) * len(examples.texts)
    for text, pair in zip(examples.texts, pairs, strict=True):
        digest.update(f"{len(text)}:{text}{len(pair)}:{pair}".encode("utf-8", "surrogatepass"))
    digest.update(str(examples.pairs is not None).encode())
    return digest.hexdigest()[:32]


def _tokenise(tokenizer: PreTrainedTokenizerBase, max_length: int, *, wants_types: bool) -> Any:
    def tokenise(batch: dict[str, list[str]]) -> dict[str, list[Any]]:
        encoded = tokenizer(
            batch["text"],
            batch.get("pair"),
            truncation=True,
            max_length=max_length,
            return_attention_mask=False,
        )
        ids = encoded["input_ids"]
        out = {
            "input_ids": ids,
            "length": [len(i) for i in ids],
            "truncated": [bool(e.overflowing) for e in encoded.encodings],
        }
        if wants_types and "token_type_ids" in encoded:
            out["token_type_ids"] = encoded["token_type_ids"]
        return out

    return tokenise


def _map_quietly(dataset: Dataset, function: Any, cache_file: Path, fingerprint: str) -> Dataset:
    shown = is_progress_bar_enabled()
    disable_progress_bars()
    try:
        return dataset.map(
            function,
            batched=True,
            remove_columns=dataset.column_names,
            cache_file_name=str(cache_file),
            new_fingerprint=fingerprint,
        )
    finally:
        if shown:
            enable_progress_bars()
