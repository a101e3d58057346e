"""Examples to features: what the model reads, cached between runs."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tokenizers
import transformers
from transformers import PreTrainedTokenizerBase

from workbench.assets import cache_dir, keep
from workbench.data.examples import Examples, take
from workbench.data.rows import show_rows
from workbench.errors import DataError, UsageError
from workbench.store import atomic_write

HASH_BYTES = 64
"""What a file of tokens starts with: the sha256 (hex) of the rest, which stays aligned."""

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


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One split as token ids: the same for every method and seed of a study."""

    examples: Examples
    table: pa.Table
    """``input_ids`` and what else the task needs: unpadded lists, one row per feature."""
    lengths: np.ndarray
    """Tokens of each feature, (features,)."""
    owners: np.ndarray
    """Position of the example that each feature is (a part) of, (features,)."""
    truncated: int
    """Examples of which something was cut off to fit the maximal length."""

    def __len__(self) -> int:
        return len(self.lengths)

    def column(self, name: str) -> list[Any]:
        """One value of each feature."""
        values: list[Any] = self.table[name].to_pylist()
        return values

    def rows(self, indices: list[int]) -> list[Row]:
        """The features at some positions."""
        # Not `take`: pyarrow imports all its functions for it, and takes 14 ms for a batch of 64
        # where a column is in several chunks, instead of 0.4.
        found = [self.table.slice(index, 1) for index in indices]
        rows: list[Row] = pa.concat_tables(found).to_pylist() if found else []
        return rows

    def part(self, indices: list[int]) -> Encoded:
        """The features at some positions, at least one, as a split of their own."""
        table = pa.concat_tables([self.table.slice(index, 1) for index in indices])
        return replace(
            self, table=table, lengths=self.lengths[indices], owners=self.owners[indices]
        )


def encode(
    examples: Examples,
    encoder: Encoder,
    tokenizer: PreTrainedTokenizerBase,
    *,
    cached: bool = True,
) -> Encoded:
    """Turns a split into features once and keeps the outcome under the cache folder.

    Raises:
        DataError: the task cannot use some examples; they are named.
    """
    if not len(examples):
        return _encoded(examples, _table({"input_ids": [], "example": [], "truncated": []}))
    columns = encoder.columns(examples)
    columns["example"] = list(range(len(examples)))
    if not cached:
        return _encoded(examples, _table(_features(examples, encoder, columns)))
    path = cache_dir() / "tokens" / f"{_cache_key(columns, encoder, tokenizer)}.arrow"
    if (kept := _read(path)) is None:
        table = _table(_features(examples, encoder, columns))
        kept = _read(path) if keep(path, lambda file: _write(table, file)) else table
    if kept is None:
        raise DataError("the tokens that were just written cannot be read", where=str(path))
    return _encoded(examples, kept)


def _features(examples: Examples, encoder: Encoder, columns: Columns) -> Columns:
    try:
        return encoder.features(columns)
    except DataError as error:
        refused = [row for row in range(len(examples)) if _is_refused(encoder, columns, row)]
        if not refused or not any(examples.ids):  # a text from outside has no id
            raise
        shown = show_rows(take(examples.ids, refused), take(examples.texts, refused))
        raise DataError(
            f"{error.what}, {len(refused):,} of {len(examples):,} rows: {shown}",
            where=error.where,
            why=error.why,
            fix=error.fix,
        ) from error


def _is_refused(encoder: Encoder, columns: Columns, row: int) -> bool:
    try:
        encoder.features({name: values[row : row + 1] for name, values in columns.items()})
    except DataError:
        return True
    return False


def _encoded(examples: Examples, table: pa.Table) -> Encoded:
    tokens = table["input_ids"].chunks
    # Not to_numpy: it imports pandas, which takes longer than a list of a million numbers.
    ends = [np.array(chunk.offsets.to_pylist(), dtype=np.int64) for chunk in tokens]
    lengths = np.concatenate([np.diff(chunk) for chunk in ends]) if ends else np.zeros(0, np.int64)
    owners, short = table["example"].to_pylist(), table["truncated"].to_pylist()
    cut = set(itertools.compress(owners, short))
    kept = table.drop_columns(["example", "truncated"])
    return Encoded(
        examples=examples,
        table=kept,
        lengths=lengths,
        owners=np.array(owners, dtype=np.int64),
        truncated=len(cut),
    )


def refuse_no_features(splits: Mapping[Any, Encoded]) -> None:
    """Refuses a split of which the tokenizer leaves nothing to learn from or to score.

    Raises:
        UsageError: with its name.
    """
    for name, split in splits.items():
        if len(split.examples) and not len(split):
            raise UsageError(
                f"the {name} split gives not one feature",
                where="data",
                why="the tokenizer leaves nothing of its texts that the task could learn or score",
                fix="check data.text, the texts of the split and model.max_length",
            )


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
    decides = [
        encoder.key,
        tokenizer.chat_template,
        # One vocabulary serves BERT, which reads segments, and DistilBERT, which does not.
        tokenizer.model_input_names,
        {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        tokenizer.truncation_side,
        tokenizer.padding_side,
        type(tokenizer).__name__,
        transformers.__version__,
        tokenizers.__version__,
    ]
    digest = hashlib.sha256(f"{json.dumps(decides)}\n{_definition(tokenizer)}".encode())
    for name, values in columns.items():
        digest.update(json.dumps([name, values]).encode())
    return digest.hexdigest()[:32]


def _definition(tokenizer: PreTrainedTokenizerBase) -> str:
    """A tokenizer's definition as it writes itself: parsing a megabyte takes 0.1 s.

    The truncation and padding of the last call stand before the tokens and are left out.
    """
    written: str = tokenizer.backend_tokenizer.to_str()
    _, found, definition = written.partition('"added_tokens":')
    return definition if found else written


# --- tokens on disk ---------------------------------------------------------------------------


def _table(features: Columns) -> pa.Table:
    table = pa.table(features)
    at = table.schema.get_field_index("input_ids")
    return table.set_column(at, "input_ids", table["input_ids"].cast(pa.list_(pa.int32())))


def _read(path: Path) -> pa.Table | None:
    """A kept table, mapped from its file; None where there is none, or not as it was written."""
    try:
        content = pa.memory_map(str(path)).read_buffer()
        table = content.slice(HASH_BYTES)
        if hashlib.sha256(table).hexdigest().encode() != bytes(content[:HASH_BYTES]):
            return None
        return pa.ipc.open_file(table).read_all()
    except (OSError, pa.ArrowException, IndexError):
        return None


def _write(table: pa.Table, path: Path) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue()
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(hashlib.sha256(content).hexdigest().encode())
        file.write(content)
