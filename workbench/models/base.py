"""A pretrained model with a task's head, before any method has touched it."""

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase


def number_count(parameter: Tensor) -> int:
    """Numbers that a parameter holds; of nf4, which packs two into a byte, before it did so."""
    state = getattr(parameter, "quant_state", None)
    return math.prod(state.shape) if state is not None else parameter.numel()


@dataclass(kw_only=True)
class Base:
    """A pretrained model with the task's head on it, before any method has touched it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    config: Any
    """The config to export: with labels, without what this run's policy changed."""
    location: str
    """Folder or Hub id that the weights were loaded from."""
    public_name: str
    """Hub id (or folder) by which another machine finds the same weights."""
    revision: str | None
    fingerprint: str = ""
    """sha256 of the weights, or the Hub commit; empty where none were read."""
    new_head: bool = True
    """Whether the task has put an untrained head on the model."""
    notes: list[str] = field(default_factory=list)
    missing: tuple[str, ...] = ()
    """Names of weights that the checkpoint does not have, or has in another size."""
    other_head: bool = False
    """Whether the checkpoint has a head of another size, which a plain load has to be told."""
    head_in_backbone: tuple[str, ...] = ()
    """Parts of the backbone that only a head reads and the checkpoint does not have: a pooler."""
    loading: dict[str, Any] = field(default_factory=dict)
    """What a plain ``from_pretrained`` is told of the numbers of the weights, as JSON."""
    new_tokens: tuple[int, ...] = ()
    """Ids of tokens whose word embeddings were added to those of the checkpoint."""
    parameter_count: int = field(init=False)
    """Parameters of the base with its head, before a method adds any."""

    def __post_init__(self) -> None:
        self.count_parameters()

    def count_parameters(self) -> None:
        """Counts again, after the model has grown."""
        self.parameter_count = sum(map(number_count, self.model.parameters()))

    @property
    def head_names(self) -> tuple[str, ...]:
        """Names of the top-level modules that are the task's new head, e.g. ``("classifier",)``.

        A language model's own head is pretrained and belongs to the base, unless the checkpoint
        came without it, as BERTs that were made for sentence embeddings do: then it is new too,
        but for the output layer, which is the word embedding.
        """
        if not self.new_head:
            return ("transform",) if any(".transform." in name for name in self.missing) else ()
        backbone = self.model.base_model_prefix
        beside = tuple(
            name
            for name, module in self.model.named_children()
            if name != backbone and any(True for _ in module.parameters())
        )
        return (*beside, *self.head_in_backbone)
