"""What a recipe may say about each fine-tuning method.

Only the words: the code behind them is in ``workbench.methods``, under the same names. A test
holds the two tables together.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from workbench.recipe.base import StrictModel

VirtualTokens = Annotated[
    int, Field(ge=1, le=512, description="Number of trained virtual tokens before the input.")
]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0, description="Dropout probability.")]


class MethodSpec(StrictModel):
    """What all methods have in common."""

    default_learning_rate: ClassVar[float] = 1e-3

    @property
    def prompt_length(self) -> int:
        """Virtual tokens that take up positions of the model."""
        return 0


class Full(MethodSpec):
    """Full fine-tuning: every parameter is trained."""

    default_learning_rate: ClassVar[float] = 5e-5
    name: Literal["full"]


class Head(MethodSpec):
    """Linear probe: only the task head is trained, on a frozen encoder."""

    default_learning_rate: ClassVar[float] = 1e-2
    name: Literal["head"]


class BitFit(MethodSpec):
    """BitFit: only bias terms and the task head are trained."""

    default_learning_rate: ClassVar[float] = 3e-3
    name: Literal["bitfit"]


class LoRA(MethodSpec):
    """LoRA: low-rank updates beside frozen weight matrices; also DoRA, rsLoRA and PiSSA."""

    default_learning_rate: ClassVar[float] = 3e-3
    name: Literal["lora"]
    r: int = Field(8, ge=1, le=1024, description="Rank of the update; higher adds parameters.")
    alpha: float = Field(16, gt=0, description="Scale; the update is multiplied by alpha / r.")
    dropout: Dropout = 0.0
    target_modules: list[str] | Literal["all-linear"] | None = Field(
        None,
        description="Names of the linear layers to adapt, e.g. [query, value]; 'all-linear' for "
        "all of them; null for PEFT's own choice for the architecture.",
    )
    bias: Literal["none", "all", "lora_only"] = Field(
        "none", description="Which bias terms are trained too."
    )
    use_dora: bool = Field(False, description="Weight-decomposed LoRA (DoRA).")
    use_rslora: bool = Field(False, description="Scale by alpha / sqrt(r) (rsLoRA).")
    init: Literal["default", "gaussian", "pissa", "olora", "orthogonal"] = Field(
        "default", description="How the two matrices start; 'pissa' takes principal components."
    )


class IA3(MethodSpec):
    """(IA)3: learned vectors that rescale keys, values and feed-forward activations."""

    default_learning_rate: ClassVar[float] = 1e-2
    name: Literal["ia3"]
    target_modules: list[str] | None = Field(
        None, description="Layers to rescale; null for PEFT's own choice for the architecture."
    )
    feedforward: list[str] | None = Field(
        None, description="Those of the targets that are feed-forward layers (input is rescaled)."
    )


class _SoftPrompt(MethodSpec):
    num_virtual_tokens: VirtualTokens = 20
    init_text: str | None = Field(
        None,
        min_length=1,
        description="Text that the prompt starts from with init: text; null for the label names.",
    )

    @property
    def prompt_length(self) -> int:
        return self.num_virtual_tokens


class Prefix(_SoftPrompt):
    """Prefix tuning: trained keys and values before every attention layer's own."""

    default_learning_rate: ClassVar[float] = 1e-2
    name: Literal["prefix"]
    projection: bool = Field(
        False, description="Train through a two-layer network that is dropped on export."
    )
    projection_size: int | None = Field(
        None, ge=1, description="Hidden units of that network; null for the model's hidden size."
    )
    init: Literal["text", "zero", "random"] = Field(
        "text", description="Start from the keys and values of a text, from zero or from noise."
    )


class PTuning(_SoftPrompt):
    """P-tuning: a soft prompt produced by a small network that is dropped on export."""

    default_learning_rate: ClassVar[float] = 3e-3
    name: Literal["p-tuning"]
    encoder: Literal["MLP", "LSTM"] = Field("MLP", description="The network.")
    encoder_size: int = Field(128, ge=1, description="Hidden units of the network.")
    encoder_layers: int = Field(2, ge=1, le=8, description="LSTM layers; an MLP always has 2.")
    encoder_dropout: Dropout = 0.0
    init: Literal["text", "random"] = Field(
        "text", description="Start from the embeddings of a text or from noise."
    )


class Prompt(_SoftPrompt):
    """Prompt tuning: trained input embeddings before the text."""

    default_learning_rate: ClassVar[float] = 3e-2
    name: Literal["prompt"]
    init: Literal["text", "vocabulary", "random"] = Field(
        "text", description="Start from a text, from random vocabulary rows or from noise."
    )


class Peft(MethodSpec):
    """Any method that PEFT ships, by its own name and its own fields."""

    name: Literal["peft"]
    type: str = Field(description="PEFT's name of the method, e.g. LOHA, VERA, BOFT, LN_TUNING.")
    config: dict[str, Any] = Field(
        default_factory=dict, description="Fields of that method's PEFT config class."
    )

    @property
    def prompt_length(self) -> int:
        tokens = self.config.get("num_virtual_tokens", 0)
        return tokens if isinstance(tokens, int) else 0


AnyMethod = Annotated[
    Full | Head | BitFit | LoRA | IA3 | Prefix | PTuning | Prompt | Peft,
    Field(discriminator="name"),
]

METHOD_SPECS: dict[str, type[MethodSpec]] = {
    "full": Full,
    "head": Head,
    "bitfit": BitFit,
    "lora": LoRA,
    "ia3": IA3,
    "prefix": Prefix,
    "p-tuning": PTuning,
    "prompt": Prompt,
    "peft": Peft,
}
