"""The training texts that a plan counts: the recipe's own where they are here, else the longest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from workbench.data import load_data
from workbench.data.encode import Encoded, encode
from workbench.data.examples import Examples
from workbench.data.sources import ASSET_PREFIX
from workbench.data.tables import TABLE_SUFFIXES
from workbench.errors import DataError
from workbench.recipe import Recipe
from workbench.recipe.catalogue import MULTI, REGRESSION
from workbench.recipe.tasks import TextClassification
from workbench.tasks import AnyTask, make_task

WORD = "the"
"""One token, whatever the tokenizer, or more."""


@dataclass(frozen=True)
class Texts:
    """What a training reads, as far as it is known."""

    task: AnyTask
    train: Examples
    number: int | None
    """Training examples; None where the recipe leaves that to data that is not here."""
    upper_bound: bool
    """Whether the texts are made up, each as long as the recipe lets one be."""

    def encoded(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoded:
        """The training split as token ids; those of the recipe's own texts are kept for its run."""
        encoder = self.task.encoder(tokenizer, max_length)
        return encode(self.train, encoder, tokenizer, cached=not self.upper_bound)


def read_texts(recipe: Recipe) -> Texts:
    """Reads the training texts, if that takes no download or the labels are needed anyway.

    Raises:
        DataError: when the data cannot be read and the recipe does not list its labels.
    """
    named = tuple(getattr(recipe.task, "labels", None) or ())
    needs_names = hasattr(recipe.task, "labels") and not named and not _is_regression(recipe)
    if needs_names or _is_here(recipe.data.source):
        try:
            data = load_data(recipe.data, recipe.task)
            return Texts(
                make_task(recipe.task, data.label_names), data.train, len(data.train), False
            )
        except DataError:
            if needs_names or Path(recipe.data.source).exists():
                raise
    size = recipe.data.train_size
    number = size if isinstance(size, int) else None
    return Texts(make_task(recipe.task, named), _longest(recipe, named), number, True)


def _is_regression(recipe: Recipe) -> bool:
    return getattr(recipe.task, "problem_type", None) == REGRESSION


def _is_here(source: str) -> bool:
    if source.startswith(ASSET_PREFIX) or Path(source).suffix.lower() in TABLE_SUFFIXES:
        return True
    if Path(source).expanduser().exists():
        return True
    from datasets import config  # not needed for data that lies here, and slow to import

    return (Path(config.HF_DATASETS_CACHE) / source.replace("/", "___")).exists()


def _longest(recipe: Recipe, labels: tuple[str, ...]) -> Examples:
    """A batch of texts that fill ``max_length``, in the form of the task."""
    count, words = recipe.training.batch_size, recipe.model.max_length
    text = " ".join([WORD] * words)
    label: Any = {
        "token-classification": (0,) * words,
        "question-answering": ((0, WORD),),
        "instruction": text,
    }.get(recipe.task.name, "")
    if isinstance(recipe.task, TextClassification):
        many = (0,) * len(labels)
        label = {MULTI: many, REGRESSION: 0.0}.get(recipe.task.problem_type, 0)
    parts = None
    if recipe.task.name == "token-classification":
        parts = ((WORD,) * words,) * count
    pairs = (WORD,) * count if recipe.data.text_pair else None
    return Examples(
        tuple(map(str, range(count))),
        ((WORD if recipe.task.name == "instruction" else text),) * count,
        pairs,
        (label,) * count,
        parts,
    )
