"""Language modelling beside a decoder's classification, out of the same forward pass.

The second objective of Radford et al. 2018, "Improving Language Understanding by Generative
Pre-Training", section 3.2. The output layer is the word embedding that the base is tied to: a
model with a classification head has no other, and one at random would teach nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data.batches import Batch, tensor_on
from workbench.errors import UsageError
from workbench.recipe.tasks import Family
from workbench.tasks.base import pretrained

WHERE = "task.lm_weight"
NEAREST = "set it to 0, or take a decoder with tied embeddings, e.g. asset:smollm2-135m or gpt2"

_RESCALED = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Configs of transformers (5.23) call by these names what is done to logits after the output
layer: Gemma 2 caps them, MPT and MiniCPM scale them."""


def check_output_layer(config: Any, family: Family, source: str) -> None:
    """Refuses a base whose next tokens cannot be told from its word embedding.

    Raises:
        UsageError: for an encoder, an output layer of its own, and logits that are scaled.
    """
    text = config.get_text_config()
    rescaled = [name for name in _RESCALED if getattr(text, name, None) not in (None, 1)]
    if family == "encoder":
        what = f"{source} is an encoder, which sees the next token"
    elif not getattr(text, "tie_word_embeddings", False):
        what = f"the output layer of {source} is not tied to its word embedding"
    elif rescaled:
        what = f"{source} rescales its logits ({rescaled[0]})"
    else:
        return
    raise UsageError(
        what,
        where=WHERE,
        why="the language-modelling loss reads next tokens off the word embedding, because the "
        "model is loaded with a classification head and no other",
        fix=NEAREST,
    )


@contextmanager
def next_token_logits(
    model: nn.Module, head: nn.Module | None, batch: Batch, virtual_tokens: int
) -> Iterator[list[Tensor]]:
    """Collects logits of next tokens from the forward passes inside the block.

    Each is (tokens, vocabulary) in fp32, text by text, for every real token but a text's first:
    nothing is computed for padding and virtual tokens. It happens where the head gets its hidden
    states, so in the forward pass's own precision.

    Args:
        head: the module that scores every position.

    Raises:
        UsageError: when the model has no such head.
    """
    inner = pretrained(model)
    if head is None:
        raise UsageError(
            f"the head of {type(inner).__name__} does not read every position",
            where=WHERE,
            why="the hidden states that come before its head are not those of a language model",
            fix=NEAREST,
        )
    embedding: Any = inner.get_input_embeddings()
    lengths = [len(row["input_ids"]) for row in batch.rows]
    places = [(i, virtual_tokens + t) for i, n in enumerate(lengths) for t in range(n - 1)]
    wanted = tensor_on(places, inner.device, torch.long).reshape(-1, 2)
    found: list[Tensor] = []

    def project(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        hidden = args[0][wanted[:, 0], wanted[:, 1]]  # of (batch, virtual + seq, hidden)
        found.append(F.linear(hidden, embedding.weight).float())

    handle = head.register_forward_pre_hook(project)
    try:
        yield found
    finally:
        handle.remove()


def next_token_losses(logits: Tensor, batch: Batch) -> Tensor:
    """Mean cross entropy of each text's tokens but the first, (batch,); 0 for a single token.

    A mean, so that a long text weighs no more than a short one, as in the label's loss.
    """
    tokens = [row["input_ids"][1:] for row in batch.rows]
    right = tensor_on([t for text in tokens for t in text], logits.device, torch.long)
    each = F.cross_entropy(logits, right, reduction="none")
    parts = each.split([len(text) for text in tokens])
    return torch.stack([part.sum() / max(1, len(part)) for part in parts])
