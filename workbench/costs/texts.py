"""The training texts that a plan counts: the recipe's own where they are here, else the longest."""

from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from workbench.data import load_data
from workbench.data.encode import Encoded, encode
from workbench.data.examples import Examples
from workbench.errors import DataError
from workbench.recipe import Recipe
from workbench.recipe.catalogue import REGRESSION
from workbench.recipe.sources import ASSET_PREFIX, is_table
from workbench.tasks import AnyTask, make_task

WORD = "the"
"""One token, whatever the tokenizer, or more."""


@dataclass(frozen=True)
class Texts:
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
    """Reads the training texts, if that takes no download or the labels are needed anyway, which
    the recipe does not list: then what cannot be read is a DataError."""
    named = tuple(getattr(recipe.task, "labels", None) or ())
    needs_names = hasattr(recipe.task, "labels") and not named and recipe.task.kind != REGRESSION
    if needs_names or _is_here(recipe.data.source):
        try:
            data = load_data(recipe.data, recipe.task, recipe.seeds[0])
            return Texts(
                make_task(recipe.task, data.label_names), data.train, len(data.train), False
            )
        except DataError:
            if needs_names or Path(recipe.data.source).exists():
                raise
    size = recipe.data.train_size
    number = size if isinstance(size, int) else None
    task = make_task(recipe.task, named)
    # A batch of texts that fill ``max_length``, in the form of the task.
    count, paired = recipe.training.batch_size, recipe.data.text_pair is not None
    example = task.longest_example(WORD, recipe.model.max_length, paired=paired)
    ids = tuple(map(str, range(count)))
    return Texts(task, replace(example.select([0] * count), ids=ids), number, True)


def _is_here(source: str) -> bool:
    if source.startswith(ASSET_PREFIX) or is_table(source):
        return True
    if Path(source).expanduser().exists():
        return True
    from datasets import config  # not needed for data that lies here, and slow to import

    return (Path(config.HF_DATASETS_CACHE) / source.replace("/", "___")).exists()
