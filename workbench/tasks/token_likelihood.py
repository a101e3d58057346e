"""What the tasks share whose labels are tokens of text.

Logits are made only where a label stands. A model's own loss makes them for every position, and in
fp32 they are by far the largest tensor of a step: 8 x 256 positions and a vocabulary of 49,152 are
400 MB, and as much again for their gradient.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from workbench.data.batches import IGNORED, Batch, tensor_on
from workbench.data.encode import Encoded, Row
from workbench.errors import UsageError
from workbench.tasks.base import Likelihood, Predicted, Spec, Task, Values, pretrained


class TokenLikelihoodTask(Task[Spec]):
    """Predicts tokens of text; the values kept are log-probabilities of the right ones, (tokens,).

    Features carry ``labels``, as long as their ``input_ids``, and in ``words`` and ``bytes`` how
    much text the labels spell.
    """

    plain_output = "log_probs"
    lead: ClassVar[int]
    """Positions that a logit stands before its label: 1 for the next token, 0 for a hidden one."""

    def weight(self, row: Row) -> float:
        return float(len(labelled(row)))

    def outputs(self, model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        """Logits where a label stands, in fp32, (labels of the batch, vocabulary), row by row."""
        shift = virtual_tokens - self.lead
        places = [(i, t + shift) for i, row in enumerate(batch.rows) for t in labelled(row)]
        return logits_at(model, batch.inputs, places)

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        parts = _cross_entropies(outputs, batch).split([len(labelled(row)) for row in batch.rows])
        return torch.stack([part.sum() for part in parts])

    def values(self, outputs: Tensor, batch: Batch) -> list[Values]:
        log_probs = -_cross_entropies(outputs.detach(), batch).cpu()
        counts = [len(labelled(row)) for row in batch.rows]
        return [part.numpy() for part in log_probs.split(counts)]

    def likelihood(self, encoded: Encoded, predicted: Predicted) -> Likelihood | None:
        if not len(encoded):
            return None
        return Likelihood(
            nll=float(predicted.losses.sum()),
            tokens=int(predicted.weights.sum()),
            words=sum(encoded.column("words")),
            bytes=sum(encoded.column("bytes")),
        )

    def likelihoods(self, encoded: Encoded, predicted: Predicted) -> list[Likelihood]:
        if not len(encoded):
            return []
        columns = (encoded.column("words"), encoded.column("bytes"))
        return [
            Likelihood(float(nll), int(tokens), words, size)
            for nll, tokens, words, size in zip(
                predicted.losses, predicted.weights, *columns, strict=True
            )
        ]

    def plain_request(self, encoded: Encoded, index: int) -> dict[str, Any]:
        return self.request(encoded.rows([index])[0])

    def request(self, row: Row) -> dict[str, Any]:
        """What a plain load is asked about one feature; a position is that of the logit."""
        places = labelled(row)
        return {
            "input_ids": list(row["input_ids"]),
            "positions": [t - self.lead for t in places],
            "tokens": [row["labels"][t] for t in places],
        }


def labelled(row: Row) -> list[int]:
    """Positions of a feature that carry a label."""
    return [t for t, label in enumerate(row["labels"]) if label != IGNORED]


def _cross_entropies(logits: Tensor, batch: Batch) -> Tensor:
    labels = [label for row in batch.rows for label in row["labels"] if label != IGNORED]
    right = tensor_on(labels, logits.device, torch.long)
    return F.cross_entropy(logits, right, reduction="none")


def logits_at(
    model: nn.Module, inputs: dict[str, Tensor], places: Sequence[tuple[int, int]]
) -> Tensor:
    """Logits of a language model at some places only, in fp32, (places, vocabulary).

    The hidden states are gathered on their way into the output layer, whatever a method has put
    around it, so the vocabulary is multiplied with those that are wanted.

    Args:
        places: row and position of each; virtual tokens in front count as positions.

    Raises:
        UsageError: when the model has no output layer over a vocabulary.
    """
    inner = pretrained(model)
    head = inner.get_output_embeddings()
    if head is None:
        raise UsageError(
            f"{type(inner).__name__} has no output layer over its vocabulary",
            where="model.source",
            why="the task predicts tokens",
            fix="take a model that transformers loads as a language model, such as GPT-2 or BERT",
        )
    wanted = tensor_on(places, inner.device, torch.long).reshape(-1, 2)

    def gather(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = args[0]  # (batch, virtual + seq, hidden)
        return (hidden[wanted[:, 0], wanted[:, 1]], *args[1:])

    handle = head.register_forward_pre_hook(gather)
    try:
        logits: Tensor = model(**inputs).logits
    finally:
        handle.remove()
    return logits.float()


def mean_log_probs(encoded: Encoded, predicted: Predicted) -> list[float | None]:
    """Mean log-probability of the right tokens of each example; None for one without a feature."""
    found: list[float | None] = [None] * len(encoded.examples)
    for owner, values in zip(encoded.owners.tolist(), predicted.values, strict=True):
        found[owner] = float(np.mean(values))
    return found


# --- text and its tokens --------------------------------------------------------------------


def spelled(
    text: str, offsets: Sequence[tuple[int, int]], start: int = 0
) -> tuple[list[int], list[int]]:
    """Words that begin, and bytes (UTF-8) that stand, in the part of a text that is each token's.

    A token's part reaches from the end of the token before it to its own end, so that the parts
    add up to the text, and a word in several pieces counts once.

    Args:
        offsets: first and last-but-one character of each token; (0, 0) for special tokens.
        start: the character that the first token's part begins at.
    """
    words, sizes, end = [], [], start
    for _, stop in offsets:
        part = text[end : max(end, stop)]
        goes_on = end > start and bool(part) and not (part[0].isspace() or text[end - 1].isspace())
        words.append(len(part.split()) - goes_on)
        sizes.append(len(part.encode("utf-8")))
        end = max(end, stop)
    return words, sizes


def end_token_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends a text: the tokenizer's end token, else the one that separates texts.

    Raises:
        UsageError: when it has neither.
    """
    for token in (tokenizer.eos_token_id, tokenizer.sep_token_id):
        if token is not None:
            return int(token)
    raise UsageError(
        "the tokenizer has no token that ends a text",
        where="model.source",
        why="without one the model cannot learn where a text stops",
        fix="take a model whose tokenizer has an eos_token",
    )


def without_end(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Token ids without the end token that some tokenizers put behind every text."""
    ends = {tokenizer.eos_token_id, tokenizer.sep_token_id} - {None}
    kept = list(ids)
    while len(kept) > 1 and kept[-1] in ends:
        kept.pop()
    return kept
