"""What a recipe may say about each task, and what is known of it without torch.

Only the words: the code behind them is in ``workbench.tasks``, under the same names. A test
holds the two tables together.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, NamedTuple, get_args

from pydantic import Field

from workbench.recipe.base import Finding, StrictModel
from workbench.recipe.catalogue import DEFAULT_METRICS, SINGLE, TAGS, AnswerKind, ProblemType

Family = Literal["encoder", "decoder"]
Need = Literal["required", "optional", "unread"]
View = Literal["labels", "tags", "span", "masked", "text"]


class Rest(NamedTuple):
    """What a task may ask of the rest of a recipe."""

    source: str
    """The model's."""
    family: Family | None
    """None where it is not known before the model is loaded."""
    max_length: int
    method: str


class TaskSpec(StrictModel):
    """What all tasks have in common."""

    families: ClassVar[tuple[Family, ...]] = ("encoder", "decoder")
    """Models that can do it: those that see both sides of a word, and those that generate."""
    peft_task_type: ClassVar[str]
    """PEFT's name of it."""
    hub_task: ClassVar[str] = ""
    """The Hub's name of it, where that is another."""
    answers: ClassVar[AnswerKind]
    """What its answers are, where its settings do not decide."""
    view: ClassVar[View]
    """How its answer to one text is shown and explained, see ``workbench.explaining``."""
    new_head: ClassVar[bool] = True
    """True when the task puts an untrained head on the model, which every method then trains."""
    label: ClassVar[Need] = "required"
    """Whether it reads a label; "optional" where texts may bring their own, as chats do."""
    second_text: ClassVar[Need] = "unread"
    words: ClassVar[bool] = False
    """Whether a text is a list of words, each with a label."""
    writes: ClassVar[bool] = False
    """Whether the test split is answered by writing text."""
    hub_metrics: ClassVar[bool] = True
    """Whether its answers can be compared by a metric of the Hub."""
    embedded_data: ClassVar[bool] = True
    """Whether the embedded data sets hold something that it could learn."""
    training_only: ClassVar[frozenset[str]] = frozenset()
    """Fields that change what is learned and not what is tested: recipes that differ in them can
    be compared, as those with other learning rates can."""
    name: str
    metrics: list[str] = Field(
        default_factory=list,
        description="Scores to report; the first one selects the best adapter. Empty for the "
        "usual ones of the task. hub:NAME is one of the Hub's, hub:NAME:lower an error.",
    )

    @property
    def kind(self) -> AnswerKind:
        """What the answers are, which decides the metrics that fit."""
        return self.answers

    @property
    def has_classes(self) -> bool:
        """Whether each example, or each word, is one of several classes that can be weighted."""
        return self.kind in (SINGLE, TAGS)

    @property
    def score_names(self) -> tuple[str, ...]:
        """The metrics to compute: those named, or the usual ones."""
        return tuple(self.metrics) or DEFAULT_METRICS[self.kind]

    def findings(self, rest: Rest) -> Iterator[Finding]:
        return iter(())


class TextClassification(TaskSpec):
    """One label, several labels or a number for a text or a pair of texts."""

    peft_task_type = "SEQ_CLS"
    view = "labels"
    second_text = "optional"
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

    def findings(self, rest: Rest) -> Iterator[Finding]:
        path = ("task", "lm_weight")
        if self.lm_weight and rest.family == "encoder":
            what = f"{rest.source} is an encoder, which sees the next token and cannot learn to "
            fix = "set it to 0, or take a decoder, e.g. asset:smollm2-135m"
            yield Finding(path, f"{what}predict it", fix, (("model", "source"),))
        if self.lm_weight and rest.method == "head":
            what = "method head trains nothing that predicts the next token"
            fix = "set it to 0; the nearest that works: lora"
            yield Finding(path, what, fix, (("method", "name"),))


class TokenClassification(TaskSpec):
    """A tag for every word: named entities, parts of speech."""

    peft_task_type = "TOKEN_CLS"
    answers = "tags"
    view = "tags"
    words = True
    embedded_data = False
    name: Literal["token-classification"]
    labels: list[str] | None = Field(
        None, min_length=2, description="Tag names in order; null to take them from the data."
    )


class QuestionAnswering(TaskSpec):
    """Extractive question answering: the span of a text that answers a question."""

    peft_task_type = "QUESTION_ANS"
    answers = "spans"
    view = "span"
    second_text = "required"
    embedded_data = False
    name: Literal["question-answering"]
    stride: int = Field(
        64, ge=0, description="Tokens that neighbouring windows of a long text share."
    )
    max_answer_tokens: int = Field(30, ge=1, description="Longest answer, in tokens.")
    allow_no_answer: bool = Field(
        False, description="Allow that a text does not answer the question, as SQuAD 2.0 does."
    )

    def findings(self, rest: Rest) -> Iterator[Finding]:
        if self.stride >= rest.max_length:
            what = f"{self.stride} is not below model.max_length ({rest.max_length}): windows "
            others = (("model", "max_length"),)
            fix = "make it smaller; it counts shared tokens"
            yield Finding(("task", "stride"), f"{what}would not move on", fix, others)


class CausalLM(TaskSpec):
    """Language modelling: the next token of raw text."""

    families: ClassVar[tuple[Family, ...]] = ("decoder",)
    peft_task_type = "CAUSAL_LM"
    hub_task = "text-generation"
    answers = "tokens"
    view = "text"
    new_head = False
    label = "unread"
    hub_metrics = False
    name: Literal["causal-lm"]
    packing: bool = Field(
        False,
        description="Join texts, with an end token between them, into full windows of max_length.",
    )


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
    peft_task_type = "CAUSAL_LM"
    hub_task = "text-generation"
    answers = "text"
    view = "text"
    new_head = False
    label = "optional"
    second_text = "optional"
    writes = True
    training_only: ClassVar[frozenset[str]] = frozenset({"learn"})
    name: Literal["instruction"]
    chat: bool = Field(
        True, description="Put prompts into the tokenizer's chat template, if it has one."
    )
    learn: Literal["last", "all"] = Field(
        "last",
        description="Of a chat: learn the assistant's last message, or all of them; the last one "
        "is tested either way.",
    )
    instruction: str | None = Field(
        None, min_length=1, description="Written before every prompt, e.g. what to do with it."
    )
    decoding: Decoding = Decoding()

    def findings(self, rest: Rest) -> Iterator[Finding]:
        decoding, section = self.decoding, ("task", "decoding")
        beams, temperature = (*section, "num_beams"), (*section, "temperature")
        if decoding.num_beams > 1 and decoding.temperature > 0:
            what = f"{decoding.temperature:g} with {decoding.num_beams} beams: beams look for the "
            what += "most probable text, a temperature draws one at random"
            yield Finding(temperature, what, "set temperature: 0 or num_beams: 1", (beams,))
        if decoding.top_p < 1 and decoding.temperature == 0:
            what = "only used with a temperature above 0"
            yield Finding((*section, "top_p"), what, "remove it", (temperature,))
        if decoding.length_penalty != 1 and decoding.num_beams == 1:
            what = "only used with more than one beam"
            yield Finding((*section, "length_penalty"), what, "remove it", (beams,))


class MaskedLM(TaskSpec):
    """Masked-word prediction: an encoder learns the language of a domain."""

    families: ClassVar[tuple[Family, ...]] = ("encoder",)
    # PEFT (0.21) has no type for masked language models; this one adds no head and passes the
    # model's own output on.
    peft_task_type = "FEATURE_EXTRACTION"
    hub_task = "fill-mask"
    answers = "masked-tokens"
    view = "masked"
    new_head = False
    label = "unread"
    hub_metrics = False
    name: Literal["masked-lm"]
    mask_fraction: float = Field(0.15, gt=0, lt=1, description="Share of the words hidden.")
    whole_words: bool = Field(True, description="Hide all pieces of a word together.")


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
    get_args(spec.model_fields["name"].annotation)[0]: spec
    for spec in get_args(get_args(AnyTask)[0])
}
