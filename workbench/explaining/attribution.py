"""Which tokens an answer rests on: integrated gradients, by captum."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from workbench.adapters.loaded import LoadedAdapter
from workbench.errors import UsageError
from workbench.explaining.decisions import Decision
from workbench.explaining.encode_text import as_tensor, repeated
from workbench.tasks.base import pretrained

STEPS = 32
"""Points on the way from the empty text to the text."""
STEP_BATCH = 8
"""Points that are computed at once."""


@dataclass(frozen=True)
class Attribution:
    """How much each token moved a model towards an answer, or away from it."""

    values: tuple[float, ...]
    """A number per token of the text, in the unit of the decision; 0 for special tokens."""
    value: float
    """What the model says of the text."""
    empty: float
    """What it says of the empty text: every word covered."""
    gap: float
    """Sum of the values minus ``value - empty``: 0 with infinitely many steps."""


def attribute(
    adapter: LoadedAdapter,
    decision: Decision,
    *,
    steps: int = STEPS,
    on_progress: Callable[[], None] | None = None,
) -> Attribution:
    """Integrated gradients of a decision over the word embeddings of the text.

    The way leads from the text with every word covered (by the mask token, else the padding token)
    to the text itself; special tokens, positions and virtual tokens are the same all along it, so
    that the numbers of the words add up to what the words change (Sundararajan et al. 2017,
    "Axiomatic Attribution for Deep Networks", arXiv:1703.01365, proposition 1).

    Args:
        steps: points on the way; the gap shrinks with them.
        on_progress: called at every few points. What it raises ends the computation.

    Raises:
        UsageError: when captum is not installed.
    """
    explainer = _layer_integrated_gradients()
    model, batch = adapter.model, decision.reading.batch
    ids = batch.inputs["input_ids"]
    covered = as_tensor(covered_text(decision, adapter.tokenizer), ids)

    def measure(tokens: Tensor) -> Tensor:
        if on_progress:
            on_progress()
        return decision.measure(model, repeated(batch, tokens), adapter.virtual_tokens)

    was_training = model.training
    model.eval()
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            # captum (0.9) says that hooks go away with their handle, which is what is wanted.
            warnings.filterwarnings("ignore", message="Setting forward, backward hooks")
            # The layer that makes vectors of words, before virtual tokens are put in front.
            embedding = pretrained(model).get_input_embeddings()
            found = explainer(measure, embedding).attribute(
                ids, baselines=covered, n_steps=steps, internal_batch_size=STEP_BATCH
            )
        with torch.inference_mode():
            value, empty = float(measure(ids)), float(measure(covered))
    finally:
        model.train(was_training)
    values = found.detach().double().sum(dim=-1)[0].tolist()
    return Attribution(tuple(values), value, empty, sum(values) - (value - empty))


def covered_text(decision: Decision, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The token ids of a text with every word covered, special tokens left as they are."""
    known = (tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
    cover = next((int(token) for token in known if token is not None), 0)
    tokens = zip(decision.reading.ids, decision.reading.tokens, strict=True)
    return [i if token.special else cover for i, token in tokens]


def _layer_integrated_gradients() -> Any:
    try:
        from captum.attr import LayerIntegratedGradients
    except ImportError as error:
        raise UsageError(
            "captum is not installed",
            why="it computes which tokens an answer rests on",
            fix="pip install 'peft-workbench[explain]'",
        ) from error
    return LayerIntegratedGradients
