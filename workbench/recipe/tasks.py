"""What a recipe may say about each task.

Only the words: the code behind them is in ``workbench.tasks``, under the same names. A test
holds the two tables together.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workbench.recipe.base import StrictModel
from workbench.recipe.catalogue import DEFAULT_METRICS, SINGLE, AnswerKind, ProblemType

Family = Literal["encoder", "decoder"]


class TaskSpec(StrictModel):
    """What all tasks have in common."""

    families: ClassVar[tuple[Family, ...]] = ("encoder", "decoder")
    """Models that can do it: those that see both sides of a word, and those that generate."""
    new_head: ClassVar[bool] = True
    """True when the task puts an untrained head on the model, which every method then trains."""
    training_only: ClassVar[frozenset[str]] = frozenset()
    """Fields that change what is learned and not what is tested: recipes that differ in them can
    be compared, as those with other learning rates can."""
    metrics: list[str] = Field(
        default_factory=list,
        description="Scores to report; the first one selects the best adapter. Empty for the "
        "usual ones of the task. hub:NAME is one of the Hub's, hub:NAME:lower an error.",
    )

    @property
    def kind(self) -> AnswerKind:
        """What the answers are, which decides the metrics that fit."""
        raise NotImplementedError

    @property
    def score_names(self) -> tuple[str, ...]:
        """The metrics to compute: those named, or the usual ones."""
        return tuple(self.metrics) or DEFAULT_METRICS[self.kind]


class TextClassification(TaskSpec):
    """One label, several labels or a number for a text or a pair of texts."""

    training_only: ClassVar[frozenset[str]] = frozenset({"lm_weight"})
    name: Literal["text-classification"]
    problem_type: ProblemType = Field(
        SINGLE, description="transformers' own word for what the labels are."
    )
    labels: list[str] | None = Field(
        None, min_length=2, description="Label names in order; null to take them from the data."
    )
    lm_weight: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Weight of a second loss, the text's next tokens (decoders only); 0 for none, "
        "0.5 in the first GPT.",
    )

    @property
    def kind(self) -> AnswerKind:
        return self.problem_type


class TokenClassification(TaskSpec):
    """A tag for every word: named entities, parts of speech."""

    name: Literal["token-classification"]
    labels: list[str] | None = Field(
        None, min_length=2, description="Tag names in order; null to take them from the data."
    )

    @property
    def kind(self) -> AnswerKind:
        return "tags"


class QuestionAnswering(TaskSpec):
    """Extractive question answering: the span of a text that answers a question."""

    name: Literal["question-answering"]
    stride: int = Field(
        64, ge=0, description="Tokens that neighbouring windows of a long text share."
    )
    max_answer_tokens: int = Field(30, ge=1, description="Longest answer, in tokens.")
    allow_no_answer: bool = Field(
        False, description="Allow that a text does not answer the question, as SQuAD 2.0 does."
    )

    @property
    def kind(self) -> AnswerKind:
        return "spans"


class CausalLM(TaskSpec):
    """Language modelling: the next token of raw text."""

    families: ClassVar[tuple[Family, ...]] = ("decoder",)
    new_head: ClassVar[bool] = False
    name: Literal["causal-lm"]
    packing: bool = Field(
        False,
        description="Join texts, with an end token between them, into full windows of max_length.",
    )

    @property
    def kind(self) -> AnswerKind:
        return "tokens"


class Decoding(StrictModel):
    """How text is generated on the test split."""

    max_new_tokens: int = Field(32, ge=1, le=4096, description="Longest answer, in tokens.")
    num_beams: int = Field(1, ge=1, le=64, description="Beams; 1 for no beam search.")
    temperature: float = Field(0.0, ge=0, le=10, description="0 for greedy decoding.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus sampling, with a temperature.")
    length_penalty: float = Field(1.0, description="Exponent of the length in beam search.")
    no_repeat_ngram_size: int = Field(0, ge=0, description="0 to allow repeats.")


class Instruction(TaskSpec):
    """Supervised fine-tuning: a prompt and the completion that is to be learned."""

    families: ClassVar[tuple[Family, ...]] = ("decoder",)
    new_head: ClassVar[bool] = False
    name: Literal["instruction"]
    chat: bool = Field(
        True, description="Put prompts into the tokenizer's chat template, if it has one."
    )
    instruction: str | None = Field(
        None, min_length=1, description="Written before every prompt, e.g. what to do with it."
    )
    decoding: Decoding = Decoding()

    @property
    def kind(self) -> AnswerKind:
        return "text"


class MaskedLM(TaskSpec):
    """Masked-word prediction: an encoder learns the language of a domain."""

    families: ClassVar[tuple[Family, ...]] = ("encoder",)
    new_head: ClassVar[bool] = False
    name: Literal["masked-lm"]
    mask_fraction: float = Field(0.15, gt=0, lt=1, description="Share of the words hidden.")
    whole_words: bool = Field(True, description="Hide all pieces of a word together.")

    @property
    def kind(self) -> AnswerKind:
        return "masked-tokens"


AnyTask = Annotated[
    TextClassification
    | TokenClassification
    | QuestionAnswering
    | CausalLM
    | Instruction
    | MaskedLM,
    Field(discriminator="name"),
]

TASK_SPECS: dict[str, type[TaskSpec]] = {
    "text-classification": TextClassification,
    "token-classification": TokenClassification,
    "question-answering": QuestionAnswering,
    "causal-lm": CausalLM,
    "instruction": Instruction,
    "masked-lm": MaskedLM,
}
