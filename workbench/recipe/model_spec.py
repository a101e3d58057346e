"""The base model of a recipe, and what numbers its weights are in."""

from typing import Annotated, Literal

from pydantic import Field

from workbench.recipe.base import StrictModel

WEIGHT_FORMAT = (
    "dtype",
    "quantization",
    "quantization_skip",
    "double_quantization",
    "compute_dtype",
)
"""Keys of ``model`` that decide what numbers its weights are in."""

MODULE = r"^[\w.]+$"
"""Names of modules: transformers takes them for regular expressions."""


class ModelSpec(StrictModel):
    """The pretrained model."""

    source: str = Field(
        min_length=1, description="Hub id, local folder, or asset:NAME for an embedded model."
    )
    revision: str | None = Field(None, description="Hub commit, tag or branch.")
    max_length: int = Field(
        128,
        ge=4,
        le=131072,
        description="Tokens of text kept per example, the same for every method of a study; "
        "virtual tokens come on top.",
    )
    resize_embeddings: bool = Field(
        False,
        description="Add a word embedding for each token that was added to the tokenizer, and "
        "train it; methods full and lora do.",
    )
    dtype: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Numbers that the base is loaded in, for the test and by whoever loads the "
        "adapter; auto is fp32, and bf16 beside quantised weights.",
    )
    quantization: Literal["none", "int8", "nf4"] = Field(
        "none",
        description="Load the weights of the base's linear layers in 8 bits (LLM.int8) or 4 (NF4, "
        "as in QLoRA), by bitsandbytes.",
    )
    quantization_skip: list[Annotated[str, Field(pattern=MODULE)]] = Field(
        [],
        description="Linear layers that are not quantised: ends of their names, as v_proj, or "
        "beginnings of whole parts, as model.layers.0 (transformers' llm_int8_skip_modules).",
    )
    double_quantization: bool = Field(
        False, description="Quantise the scales of nf4 too: 0.4 bits a weight less."
    )
    compute_dtype: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Numbers that layers of nf4 multiply in; auto is those of dtype."
    )

    @property
    def loaded_in(self) -> Literal["fp32", "bf16"]:
        """The numbers of all weights that are not quantised."""
        if self.dtype == "auto":
            return "fp32" if self.quantization == "none" else "bf16"
        return self.dtype

    @property
    def reduced(self) -> bool:
        """Whether the base is loaded in fewer bits than fp32 has."""
        return self.quantization != "none" or self.loaded_in == "bf16"

    @property
    def weight_format(self) -> str:
        """How the base is loaded, in one word or some: ``fp32``, ``bf16``, ``nf4 beside bf16``."""
        return self._format(sorted(self.quantization_skip))

    @property
    def weight_words(self) -> str:
        """The same for a message, which names at most three of the layers that stay whole."""
        names, most = sorted(self.quantization_skip), 3
        more = [f"{len(names) - most} more"] if len(names) > most else []
        return self._format([*names[:most], *more])

    def _format(self, whole: list[str]) -> str:
        if self.quantization == "none":
            return self.loaded_in
        double = ", double quantisation" if self.double_quantization else ""
        computed = f", computed in {self.computed_in}" if self.quantization == "nf4" else ""
        skipped = f" ({', '.join(whole)})" if whole else ""
        return f"{self.quantization}{double} beside {self.loaded_in}{skipped}{computed}"

    @property
    def computed_in(self) -> Literal["fp32", "bf16"]:
        """The numbers that layers of nf4 multiply in."""
        return self.loaded_in if self.compute_dtype == "auto" else self.compute_dtype
