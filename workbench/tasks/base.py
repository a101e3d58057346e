"""What a task has to provide: the loop, the measuring and the export know nothing else of it."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from workbench.data.batches import Batch
from workbench.data.encode import Encoded, Encoder, Row
from workbench.data.examples import Data, Examples
from workbench.recipe.tasks import Family, TaskSpec
from workbench.tasks.special_tokens import special_token_note
from workbench.tasks.usage import About

Spec = TypeVar("Spec", bound=TaskSpec)
Values = np.ndarray
"""What evaluation keeps of one feature; each task says what."""

PlainOutput = Literal["logits", "spans", "log_probs"]
"""What of a plain model's output an export is checked by."""


EVALUATION_SEED = (2**31 - 1,)
"""For tasks that draw at random (masked words): the same draw in every evaluation of every run."""


@dataclass(frozen=True)
class Likelihood:
    """How probable a model finds a text."""

    nll: float
    """Sum of negative log-likelihoods, in nats."""
    tokens: int
    """Tokens predicted."""
    words: int
    """White-space words in what was predicted."""
    bytes: int
    """Bytes (UTF-8) in what was predicted."""


@dataclass(frozen=True)
class Predicted:
    """What a model makes of a split: one entry per feature, in the split's order."""

    losses: np.ndarray
    """Summed loss of each feature, (features,)."""
    weights: np.ndarray
    """What each loss is divided by: 1, or the number of positions with a label, (features,)."""
    values: list[Values]

    @property
    def loss(self) -> float:
        """Mean loss over examples or, where every token has one, over tokens."""
        return float(self.losses.sum() / max(1.0, float(self.weights.sum())))


@dataclass(frozen=True)
class Losses:
    """What a training step minimises."""

    total: Tensor
    """Summed loss of each feature, (batch,)."""
    parts: dict[str, Tensor] = field(default_factory=dict)
    """The losses that the total is a weighted sum of, each (batch,); empty where it is one."""


class Task(ABC, Generic[Spec]):
    """How examples become features, and a model's outputs losses, answers and scores.

    A task never asks which method is at work. All it is told is how many virtual tokens stand
    before the text in what comes out of the model.
    """

    auto_class: ClassVar[str]
    """Class of transformers that loads the model with the task's head."""
    plain_output: ClassVar[PlainOutput] = "logits"
    model_inputs: ClassVar[tuple[str, ...] | None] = None
    """Inputs that every method sees, where PEFT does not pass on all of the tokenizer's."""
    per_position: ClassVar[bool] = True
    """True when outputs come for every position, virtual tokens included."""

    def __init__(self, spec: Spec, label_names: Sequence[str]) -> None:
        self.spec = spec
        self.label_names = tuple(label_names)
        self.class_weights: tuple[float, ...] | None = None
        """What each class counts in training, see `set_class_weights`; None for all the same."""

    @property
    def peft_task_type(self) -> str:
        """PEFT's name of the task."""
        return self.spec.peft_task_type

    @property
    @abstractmethod
    def prompt_text(self) -> str:
        """Text that soft prompts start from when the recipe gives none."""

    def head_config(self) -> dict[str, Any]:
        """What the model's config has to say about the head and its labels."""
        return {}

    def check_base(self, config: Any, family: Family, source: str) -> None:  # noqa: B027  # few ask more
        """Refuses a base that can do the task, but not what the recipe asks of it.

        Raises:
            UsageError: with the key of the recipe that does not go with the base.
        """

    # --- examples to batches ----------------------------------------------------------------

    @abstractmethod
    def encoder(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoder:
        """How examples become features of at most ``max_length`` tokens."""

    def rows(self, encoded: Encoded, indices: Sequence[int], seed: Sequence[int]) -> list[Row]:
        """The features at some positions with their labels.

        Args:
            seed: for tasks that draw at random; with the position it decides each row alone, so
                that batching and the number of processes change nothing.
        """
        return encoded.rows(list(indices))

    def weight(self, row: Row) -> float:
        """What the loss of a feature is divided by: 1, or its positions with a label."""
        return 1.0

    def training_weight(self, row: Row) -> float:
        """The same in training, where classes may count differently."""
        return self.weight(row)

    def notes(self, data: Data, tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
        """What people should know of how this tokenizer reads their data.

        Raises:
            DataError: when nothing can be learned from a row.
        """
        return special_token_note(data, tokenizer)

    def read_otherwise(self, data: Data, tokenizer: PreTrainedTokenizerBase) -> str:
        """What of the data earlier versions read in another way; empty for nothing."""
        return ""

    # --- the data, as people look at it -----------------------------------------------------

    def label_text(self, label: Any) -> str:
        """A label as people read it."""
        return str(label)

    def label_counts(self, labels: Sequence[Any]) -> Counter[int] | None:
        """How often each of `label_names` occurs, by position; None without a set of labels."""
        return None

    def longest_example(self, word: str, words: int, *, paired: bool) -> Examples:
        """An example that fills ``words`` tokens: what a step costs before the data is here.

        Args:
            word: one token, whatever the tokenizer, or more.
            paired: whether the recipe names a second text.
        """
        text = " ".join([word] * words)
        return Examples(ids=("0",), texts=(text,), pairs=(word,) if paired else None, labels=("",))

    # --- model to losses and values ---------------------------------------------------------

    @abstractmethod
    def outputs(self, model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        """What the model says of a batch, in fp32, the same whatever the padding."""

    @abstractmethod
    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The summed loss of each feature, (batch,)."""

    def training_losses(self, model: nn.Module, batch: Batch, virtual_tokens: int) -> Losses:
        """What training minimises: the task's own loss, unless it weighs another one in."""
        return Losses(self.losses(self.outputs(model, batch, virtual_tokens), batch))

    @abstractmethod
    def values(self, outputs: Tensor, batch: Batch) -> list[Values]:
        """What evaluation keeps of each feature, as numpy arrays on the CPU."""

    # --- answers ----------------------------------------------------------------------------

    @abstractmethod
    def answers(self, encoded: Encoded, predicted: Predicted) -> list[Any]:
        """The model's answer to each example, in the form that the metrics take."""

    @abstractmethod
    def references(self, encoded: Encoded) -> list[Any]:
        """The right answer to each example, in the form that the metrics take."""

    def labels_as_answers(self, labels: Sequence[Any]) -> list[Any]:
        """Labels in the form of `answers`, where a metric may be undefined on some of them; else
        nothing."""
        return []

    def likelihood(self, encoded: Encoded, predicted: Predicted) -> Likelihood | None:
        """How probable the split is, for tasks whose labels are tokens of text."""
        return None

    def likelihoods(self, encoded: Encoded, predicted: Predicted) -> list[Likelihood]:
        """The same of each feature; empty where `likelihood` is None."""
        return []

    def table_rows(self, encoded: Encoded) -> np.ndarray:
        """The row of `table` that each feature belongs to, (features,): that of its example."""
        return encoded.owners

    def table(
        self, encoded: Encoded, predicted: Predicted, answers: Sequence[Any]
    ) -> dict[str, list[Any]]:
        """Columns of predictions.parquet, one entry per example: at least ``id``, ``text``,
        ``label``, ``prediction`` and ``score``."""
        examples = encoded.examples
        columns: dict[str, list[Any]] = {
            "id": list(examples.ids),
            "text": list(examples.texts),
            "label": [v if v == "" else self.label_text(v) for v in examples.labels],
            "prediction": [self.answer_text(answer) for answer in answers] or [""] * len(examples),
            "score": self.scores(encoded, predicted),
        }
        return columns if examples.pairs is None else columns | {"text_pair": list(examples.pairs)}

    def answer_text(self, answer: Any) -> str:
        """An answer of `answers` as people read it."""
        return str(answer)

    @abstractmethod
    def scores(self, encoded: Encoded, predicted: Predicted) -> list[float | None]:
        """How sure the model is of its answer to each example: a probability where there is one,
        else the mean log-probability of the right text."""

    def baselines(self, data: Data) -> dict[str, list[Any]]:
        """What the test split is answered without a language model, by name of who answers: in
        the form that the metrics take, fitted on the train split."""
        return {}

    # --- an export: its model card and its check --------------------------------------------

    def reading(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """What `usage` has to know of how texts are handed to this tokenizer."""
        return {}

    @staticmethod
    @abstractmethod
    def usage(about: About, *, pairs: bool) -> Iterator[str]:
        """Lines of Python that continue from ``tokenizer`` and ``model`` and print an answer.

        Args:
            about: what ``workbench.json`` of the export says, `reading` included.
            pairs: whether a text comes with a second one.
        """

    @abstractmethod
    def plain_request(self, encoded: Encoded, index: int) -> dict[str, Any]:
        """What a plain load has to be asked to repeat the values of one feature.

        Either ``text`` (and ``text_pair``), or ``input_ids`` (and ``token_type_ids``); for
        log-probabilities also ``positions`` and ``tokens``.
        """

    def checked(self, values: Values) -> Values:
        """What of the values of a feature a plain load has to repeat; all of them, flattened."""
        return values.flatten()

    def question(self, text: str, pair: str | None) -> Examples:
        """One text from outside as an example without a label."""
        pairs = None if pair is None else (pair,)
        return Examples(ids=("",), texts=(text,), pairs=pairs, labels=("",))


class WritingTask(Task[Spec]):
    """A task whose test split is answered by writing text."""

    @abstractmethod
    def prompts(self, encoded: Encoded) -> list[list[int]]:
        """Token ids that the model is to continue, one list per example."""

    @abstractmethod
    def stop_ids(self, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        """Tokens that end an answer."""

    @abstractmethod
    def decode(self, tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
        """The answer that new token ids stand for."""


def pretrained(model: nn.Module) -> PreTrainedModel:
    """The transformers model inside whatever wraps it."""
    return next(module for module in model.modules() if isinstance(module, PreTrainedModel))
