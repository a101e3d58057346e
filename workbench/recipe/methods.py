"""What a recipe may say about each fine-tuning method.

Only the words: the code behind them is in ``workbench.methods``, under the same names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from workbench.recipe.base import Finding, StrictModel, repeated
from workbench.recipe.peft_types import ALONE, CACHE_TYPES, NOT_ALONE, PEFT_TYPES
from workbench.recipe.suggest import choice, shown

VirtualTokens = Annotated[
    int, Field(ge=1, le=512, description="Number of trained virtual tokens before the input.")
]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0, description="Dropout probability.")]


class MethodSpec(StrictModel):
    """What all methods have in common."""

    default_learning_rate: ClassVar[float] = 1e-3
    if TYPE_CHECKING:
        name: str

    @property
    def label(self) -> str:
        """What a message calls the method."""
        return self.name

    @property
    def prompt_length(self) -> int:
        """Virtual tokens that take up positions of the model."""
        return 0

    @property
    def feeds_cache(self) -> bool:
        """Whether past keys and values are trained, which gradient checkpointing drops."""
        return False

    @property
    def changes_base(self) -> str:
        """What of the base's own weights it changes, after "it trains"; empty for nothing."""
        return ""

    def findings(self) -> Iterator[Finding]:
        """What of these settings does not go together."""
        return iter(())


def _target_findings(targets: list[str] | str | None) -> Iterator[Finding]:
    path = ("method", "target_modules")
    if isinstance(targets, list):
        if not targets:
            what = "an empty list adapts nothing"
            yield Finding(path, what, "name layers, or null for the default")
        yield from repeated(path, targets)


def _unused(key: str, needs: str, value: str) -> Finding:
    """A setting that is only read with some value of another one."""
    what = f"only used with {needs}: {value}"
    return Finding(("method", key), what, "remove it", (("method", needs),))


class Full(MethodSpec):
    """Full fine-tuning: every parameter is trained."""

    default_learning_rate: ClassVar[float] = 5e-5
    name: Literal["full"]

    @property
    def changes_base(self) -> str:
        return "all of the base's own weights"


class Head(MethodSpec):
    """Linear probe: only the task head is trained, on a frozen encoder."""

    default_learning_rate: ClassVar[float] = 1e-2
    name: Literal["head"]


class BitFit(MethodSpec):
    """BitFit: only bias terms and the task head are trained."""

    default_learning_rate: ClassVar[float] = 3e-3
    name: Literal["bitfit"]

    @property
    def changes_base(self) -> str:
        return "the base's own biases"


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
        "all of them; null for PEFT's default, or the attention's queries and values.",
    )
    bias: Literal["none", "all", "lora_only"] = Field(
        "none", description="Which bias terms are trained too."
    )
    use_dora: bool = Field(False, description="Weight-decomposed LoRA (DoRA).")
    use_rslora: bool = Field(False, description="Scale by alpha / sqrt(r) (rsLoRA).")
    init: Literal["default", "gaussian", "pissa", "olora", "orthogonal"] = Field(
        "default", description="How the two matrices start; 'pissa' takes principal components."
    )

    @property
    def changes_base(self) -> str:
        return "" if self.bias == "none" else "the base's own biases (method.bias)"

    def findings(self) -> Iterator[Finding]:
        return _target_findings(self.target_modules)


class IA3(MethodSpec):
    """(IA)3: learned vectors that rescale keys, values and feed-forward activations."""

    default_learning_rate: ClassVar[float] = 1e-2
    name: Literal["ia3"]
    target_modules: list[str] | None = Field(
        None,
        description="Layers to rescale; null for PEFT's default, or keys, values and feed-forward.",
    )
    feedforward: list[str] | None = Field(
        None, description="Those of the targets that are feed-forward layers (input is rescaled)."
    )

    def findings(self) -> Iterator[Finding]:
        yield from _target_findings(self.target_modules)
        targets = ("method", "target_modules")
        for name in sorted({*(self.feedforward or ())} - {*(self.target_modules or ())}):
            what = f"{shown(name)} is not among method.target_modules"
            yield Finding(("method", "feedforward"), what, "add it there", (targets,))


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

    def findings(self) -> Iterator[Finding]:
        if self.init_text and self.model_dump()["init"] != "text":
            yield _unused("init_text", "init", "text")


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

    @property
    def feeds_cache(self) -> bool:
        return True

    def findings(self) -> Iterator[Finding]:
        yield from super().findings()
        if self.projection_size is not None and not self.projection:
            yield _unused("projection_size", "projection", "true")


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

    def findings(self) -> Iterator[Finding]:
        yield from super().findings()
        for key in ("encoder_dropout", "encoder_layers"):
            default = type(self).model_fields[key].default
            if self.encoder == "MLP" and getattr(self, key) != default:
                yield _unused(key, "encoder", "LSTM")


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
    def label(self) -> str:
        return self.type

    @property
    def prompt_length(self) -> int:
        tokens = self.config.get("num_virtual_tokens", 0)
        return tokens if isinstance(tokens, int) else 0

    @property
    def feeds_cache(self) -> bool:
        return self.type in CACHE_TYPES

    def findings(self) -> Iterator[Finding]:
        path = ("method", "type")
        if self.type not in PEFT_TYPES:
            what = f"PEFT has no method called {shown(self.type)}"
            yield Finding(path, what, choice(self.type, ALONE))
        if self.type in NOT_ALONE:
            what = f"{self.type} cannot be trained from a recipe: {NOT_ALONE[self.type]}"
            yield Finding(path, what, "take another PEFT method")


AnyMethod = Annotated[
    Full | Head | BitFit | LoRA | IA3 | Prefix | PTuning | Prompt | Peft,
    Field(discriminator="name"),
]

METHOD_SPECS: dict[str, type[MethodSpec]] = {
    get_args(spec.model_fields["name"].annotation)[0]: spec
    for spec in get_args(get_args(AnyMethod)[0])
}
