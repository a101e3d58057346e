"""One text as an adapter reads it: its tokens, and the tensors that go into the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from workbench.adapters.loaded import LoadedAdapter
from workbench.data.batches import Batch, pad
from workbench.data.encode import Encoded, Row, encode
from workbench.errors import UsageError
from workbench.inference.predict import on_device
from workbench.tasks.base import EVALUATION_SEED, WritingTask
from workbench.tasks.token_likelihood import without_end

_NEW_WORD = ("Ġ", "▁", "Ċ")
"""What byte-level and SentencePiece vocabularies put before a piece that begins a word or line."""


@dataclass(frozen=True)
class Token:
    text: str
    """What it spells; of a special token its name."""
    special: bool
    """True for ``[CLS]`` and its like, which no text has."""
    goes_on: bool
    """True when it belongs to the word that the token before it is of."""


@dataclass(frozen=True)
class Reading:
    """One text as token ids, one window of it where the task cuts long texts into windows."""

    row: Row
    batch: Batch
    """The row alone, without padding."""
    tokens: tuple[Token, ...]
    cut: bool
    """Whether something of the text did not fit and was left out."""

    @property
    def ids(self) -> list[int]:
        """The token ids, (tokens,)."""
        return list(self.row["input_ids"])


def encode_text(adapter: LoadedAdapter, text: str, pair: str | None = None) -> Encoded:
    """One text as the features that the adapter's task makes of it.

    Raises:
        UsageError: when the task needs a second text that is not there, or nothing of the text is
            left for the model.
        DataError: when there is no word in it.
    """
    asked = adapter.task.question(text, pair)
    encoder = adapter.task.encoder(adapter.tokenizer, adapter.max_length)
    encoded = encode(asked, encoder, adapter.tokenizer, cached=False)
    if not len(encoded):
        raise UsageError(
            "there is nothing to read in the text",
            why="the tokenizer leaves no token of it that the task could ask about",
            fix="give a text with words",
        )
    return encoded


def read_text(
    adapter: LoadedAdapter, text: str, pair: str | None = None, *, answer: Sequence[int] = ()
) -> Reading:
    """How an adapter reads a text.

    Args:
        answer: token ids that a model has written after the text, to be read with it.

    Raises:
        UsageError: as `encode_text` does.
        DataError: when there is no word in it.
    """
    task = adapter.task
    if task.spec.view == "text" and not task.spec.writes:
        tokenized = adapter.tokenizer(text, return_attention_mask=False, verbose=False)
        ids = without_end(tokenized["input_ids"], adapter.tokenizer)
        if not ids:
            raise UsageError("there is no text to continue", fix="begin with a word")
        # Its last tokens, where there is no room for all.
        read = [*ids[-adapter.max_length :], *answer]
        return reading_of(adapter, {"input_ids": read}, cut=len(ids) > adapter.max_length)
    encoded = encode_text(adapter, text, pair)
    if isinstance(task, WritingTask):
        row = {"input_ids": [*task.prompts(encoded)[0], *answer]}
        return reading_of(adapter, row, cut=bool(encoded.truncated))
    return window_of(adapter, encoded, 0)


def window_of(adapter: LoadedAdapter, encoded: Encoded, window: int) -> Reading:
    (row,) = adapter.task.rows(encoded, [window], EVALUATION_SEED)
    return reading_of(adapter, row, cut=bool(encoded.truncated))


def reading_of(adapter: LoadedAdapter, row: Row, *, cut: bool) -> Reading:
    """A feature, alone in its batch, on the adapter's device."""
    device = next(adapter.model.parameters()).device
    batch = on_device(pad([row], adapter.tokenizer, len(row["input_ids"])), device)
    return Reading(row, batch, tokens_of(row["input_ids"], adapter.tokenizer), cut)


def tokens_of(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> tuple[Token, ...]:
    """Token ids in the words of the text."""
    names: list[str] = tokenizer.convert_ids_to_tokens(list(ids))
    added: dict[int, Any] = tokenizer.added_tokens_decoder
    special = {*tokenizer.all_special_ids, *(i for i, about in added.items() if about.special)}
    marks = any(name.startswith(_NEW_WORD) for name in names)
    found: list[Token] = []
    for token, name in zip(ids, names, strict=True):
        if token in special:
            found.append(Token(name, True, False))
            continue
        text = tokenizer.decode([token], clean_up_tokenization_spaces=False)
        begins = name.startswith(_NEW_WORD) or not (found and not found[-1].special)
        goes_on = name.startswith("##") or (marks and not begins and text[:1].isalnum())
        found.append(Token(text.removeprefix("##"), False, goes_on and bool(found)))
    return tuple(found)


def repeated(batch: Batch, ids: Tensor) -> Batch:
    """The one row of a batch with other token ids, (copies, seq), its other inputs repeated."""
    inputs = {
        name: value.expand(ids.shape[0], *value.shape[1:]) for name, value in batch.inputs.items()
    }
    return Batch({**inputs, "input_ids": ids}, batch.rows * ids.shape[0])


def as_tensor(ids: Sequence[int], like: Tensor) -> Tensor:
    """Token ids as a (1, seq) tensor on the device of another."""
    return torch.tensor([list(ids)], dtype=like.dtype, device=like.device)
