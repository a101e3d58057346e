"""Spans of a context: from characters to tokens in training, from logits to text in answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

NOWHERE = 0
"""Position that stands for "not in this window": ``[CLS]`` of an encoder, a decoder's first token
(the convention of BERT's run_squad.py, Devlin et al. 2019, section 4.3)."""

NO_CONTEXT = -1
"""Place in the context of a token that is not of the context."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A piece of a context that may be the answer."""

    text: str
    total: float
    """Start plus end logit."""
    probability: float
    """Of its start times that of its end, in its window."""
    tokens: tuple[int, int]
    """Its first and last token in its window."""
    window: int
    """Position of its window among the features."""
    characters: tuple[int, int] = (0, 0)
    """First character of it in the context, and the one after the last; equal for no answer."""

    @classmethod
    def of(
        cls,
        text: str,
        logits: np.ndarray,
        tokens: tuple[int, int],
        window: int,
        characters: tuple[int, int] = (0, 0),
    ) -> Span:
        """The span from one token of a window to another, by the window's logits (2, tokens)."""
        start, end = tokens
        first, last = torch.from_numpy(logits).double().softmax(dim=1)
        total = float(logits[0, start]) + float(logits[1, end])
        return cls(
            text=text,
            total=total,
            probability=float(first[start] * last[end]),
            tokens=tokens,
            window=window,
            characters=characters,
        )


def windows(
    sequence_ids: Sequence[int | None], max_length: int, stride: int
) -> Iterator[list[int]]:
    """The tokens of each window, by their places: what stands around the context, and as much of it
    as ``max_length`` has space for; ``stride`` tokens of it are in the next one too.

    As a tokenizer's own overflowing tokens, of which tokenizers 0.23.1 and 0.23.2 lose the last.
    """
    context = [place for place, sequence in enumerate(sequence_ids) if sequence == 1]
    all_tokens = len(sequence_ids)
    first, end = (context[0], context[-1] + 1) if context else (all_tokens, all_tokens)
    size = max_length - all_tokens + end - first
    for start in range(first, max(end - stride, first + 1), size - stride):
        taken = range(start, min(start + size, end))
        yield [*range(first), *taken, *range(end, all_tokens)]


def context_places(
    sequence_ids: Sequence[int | None], offsets: Sequence[tuple[int, int]]
) -> tuple[list[int], list[int]]:
    """Where each token starts and ends in the context, in characters; else `NO_CONTEXT`."""
    places = [
        offset if sequence == 1 else (NO_CONTEXT, NO_CONTEXT)
        for sequence, offset in zip(sequence_ids, offsets, strict=True)
    ]
    return [start for start, _ in places], [end for _, end in places]


def answer_tokens(
    starts: Sequence[int], ends: Sequence[int], char_starts: list[int], char_ends: list[int]
) -> tuple[int, int]:
    """First and last token of the first right answer that lies whole in the window.

    `NOWHERE` when none does.
    """
    tokens = [i for i, place in enumerate(char_starts) if place != NO_CONTEXT]
    for start, end in zip(starts, ends, strict=True):
        if not tokens or start < char_starts[tokens[0]] or end > char_ends[tokens[-1]]:
            continue
        inside = [i for i in tokens if char_ends[i] > start and char_starts[i] < end]
        if inside:
            return inside[0], inside[-1]
    return NOWHERE, NOWHERE


def best_pair(logits: np.ndarray, longest: int) -> np.ndarray:
    """Start and end (2,) of the span of at most ``longest`` tokens with the largest sum.

    Args:
        logits: of start and end, (2, tokens).
    """
    starts, ends = logits
    beyond = np.full(longest - 1, -np.inf, ends.dtype)
    reach = sliding_window_view(np.concatenate([ends, beyond]), longest)  # (tokens, longest)
    start = int((starts + reach.max(axis=1)).argmax())
    return np.array([start, start + int(reach[start].argmax())])
