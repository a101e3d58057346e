"""What a fine-tuning method has to provide."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from workbench.models import Base

ExportKind = Literal["full", "delta", "peft"]
"""How a trained state is written: the whole model, the trained tensors alone, or PEFT's folder."""


@dataclass(frozen=True)
class MethodContext:
    """What a method may know of its surroundings."""

    peft_task_type: str
    """PEFT's name of the task, e.g. ``SEQ_CLS``."""
    total_steps: int
    """Optimizer steps that the training will take."""
    prompt_text: str
    """Text that soft prompts start from when the recipe gives none, e.g. the label names."""


@dataclass(frozen=True)
class ExtraState:
    """What a method keeps outside the weights and a resumed training needs."""

    read: Callable[[], dict[str, Tensor]]
    write: Callable[[dict[str, Tensor]], None]


@dataclass(kw_only=True)
class AdaptedModel:
    """A base model with a method applied: ``model`` is what is trained."""

    model: nn.Module
    base: Base
    virtual_tokens: int = 0
    """Virtual tokens that stand before the text in the hidden states (not prefixes)."""
    layers_by_kind: bool = False
    """Whether the adapted layers were chosen by what they are, and not by their names. Some of
    them may lead nowhere: BigBird's pooler, the last local attention of a Longformer classifier."""
    starting_adapter: dict[str, Tensor] | None = None
    """The adapter before training, where the base was changed to fit it."""
    changes_base: bool = False
    """Whether the start is taken out of the base's own weights (PiSSA, OLoRA). An export undoes
    that with end and start side by side, in twice the rank."""
    after_step: Callable[[int], None] | None = None
    """Called with the step number after each optimizer step, while gradients still exist."""
    own_state: ExtraState | None = None

    def is_head(self, parameter_name: str) -> bool:
        """True for a parameter of the task head, whatever PEFT has wrapped around it."""
        parts = parameter_name.split(".")
        return any(name in parts for name in self.base.head_names)

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name."""
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way of fine-tuning: how it changes a model and what can be done with the outcome."""

    name: str
    """That of its spec in ``workbench.recipe.methods``."""
    paper: str
    """Where it comes from."""
    export_kind: ExportKind
    apply: Callable[[Base, Any, MethodContext], AdaptedModel]
    """Puts the method on a fresh base; the recipe's method section is the second argument."""
    initialise: Callable[[AdaptedModel, Any, MethodContext], None] | None = None
    """Sets start values that depend on weights or text; not called when only counting."""
