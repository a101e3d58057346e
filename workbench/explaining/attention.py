"""What a model looks at: attention maps, what a prefix draws of them, and their rollout."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workbench.data.batches import Batch
from workbench.errors import MethodError
from workbench.models.attention import set_attention
from workbench.tasks.base import pretrained

READABLE = "eager"
"""The attention implementation of transformers that tells its weights; the fused ones do not."""


@dataclass(frozen=True)
class Attention:
    """The attention weights of one text, virtual tokens first.

    A prefix is keys and values in every layer: it is attended to and never attends, so it has
    columns alone. A soft prompt stands in the text: it has rows and columns.
    """

    layers: Tensor
    """(layers, heads, rows, columns); a row sums to 1."""
    virtual_rows: int
    virtual_columns: int

    def map(self, layer: int, head: int | None = None) -> Tensor:
        """Weights of one head, or the mean of a layer's heads, (rows, columns)."""
        weights = self.layers[layer]
        return weights.mean(dim=0) if head is None else weights[head]

    def virtual_share(self) -> Tensor:
        """How much of its attention each head spends on virtual tokens, (layers, heads).

        The mean over the rows of the text, 0 to 1.
        """
        rows = self.layers[:, :, self.virtual_rows :, : self.virtual_columns]
        return rows.sum(dim=-1).mean(dim=-1)

    def rollout(self) -> Tensor:
        """What each token holds of every input after all layers, (rows, columns).

        Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3: heads are
        averaged, half of each position is what it was before (the residual connection), and the
        layers are multiplied. A prefix, which no layer changes, only gives.
        """
        rows, columns = self.layers.shape[2:]
        given = columns - rows
        total = torch.eye(columns, dtype=self.layers.dtype)
        for weights in self.layers.mean(dim=1):
            step = torch.eye(columns, dtype=weights.dtype)
            step[given:] = 0.5 * weights + 0.5 * step[given:]
            total = (step / step.sum(dim=-1, keepdim=True)) @ total
        return total[given:]


def attend(model: nn.Module, batch: Batch) -> Attention:
    """The attention weights of one text, as ``output_attentions=True`` of transformers gives them.

    Args:
        batch: one feature without padding.

    Raises:
        MethodError: when the model has no attention weights to show.
    """
    length = batch.inputs["input_ids"].shape[1]
    with readable(model), torch.inference_mode():
        found = model(**batch.inputs, output_attentions=True).attentions
    kept = [layer[0].float().cpu() for layer in found or () if layer is not None]
    if not kept or len({layer.shape for layer in kept}) > 1:
        name = pretrained(model).config.model_type
        raise MethodError(
            f"{name} has no attention map to show",
            why="its layers give no attention weights, or each layer gives others",
            fix="look at the attribution instead, which needs none",
        )
    layers = torch.stack(kept)
    rows, columns = layers.shape[2:]
    return Attention(layers, rows - length, columns - length)


@contextmanager
def readable(model: nn.Module) -> Iterator[None]:
    """A model computes its attention weights one by one inside the block, and as before after."""
    config = pretrained(model).config
    before = config._attn_implementation
    set_attention(model, READABLE)
    try:
        yield
    finally:
        set_attention(model, before)
