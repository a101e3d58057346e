"""The recipe: everything a run needs, and nothing it does not know.

Importing this loads no torch. Field descriptions become the JSON Schema that editors complete
from and the help beside the fields of the UI.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from workbench.errors import UsageError
from workbench.recipe.base import StrictModel
from workbench.recipe.methods import METHOD_SPECS, AnyMethod
from workbench.recipe.model_spec import ModelSpec
from workbench.recipe.renamed import as_hashed
from workbench.recipe.tasks import TASK_SPECS, AnyTask

Size = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0.0, lt=1.0)]
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
ClassWeight = Annotated[float, Field(gt=0, le=1e6)]
Name = Annotated[str, Field(pattern=rf"^{NAME}$")]


def check_name(text: str, *, where: str) -> None:
    """Refuses what cannot be the name of a study, a recipe or an adapter.

    Raises:
        UsageError: naming the place.
    """
    if not re.fullmatch(NAME, text):
        raise UsageError(
            f"{text[:80]!r} cannot be a name",
            where=where,
            why="80 letters, digits, dots, underscores and hyphens at most, no dot first",
            fix="e.g. lora-rank-32",
        )


VARIANTS: dict[str, Mapping[str, type[StrictModel]]] = {"task": TASK_SPECS, "method": METHOD_SPECS}
"""Sections whose keys depend on their ``name``."""


class Splits(StrictModel):
    """Names of the splits (Hub) or files (folder) that the source itself provides."""

    train: str = "train"
    validation: str | None = Field(None, description="null: cut from train by validation_size.")
    test: str | None = Field(None, description="null: cut from train by test_size.")


class DataSpec(StrictModel):
    """The labelled data."""

    source: str = Field(
        min_length=1,
        description="Hub id, csv/tsv/jsonl/parquet file, folder with one sub-folder per class, "
        "folder of such files (with splits), or asset:NAME.",
    )
    config: str | None = Field(None, description="Hub configuration, e.g. sst2 of nyu-mll/glue.")
    revision: str | None = Field(None, description="Hub commit, tag or branch.")
    splits: Splits | None = Field(None, description="Splits that the source provides.")
    text: str = Field(
        "text",
        description="Column with the text: the words for token-classification, the context for "
        "question-answering, the prompt (or the list of chat messages) for instruction.",
    )
    text_pair: str | None = Field(
        None,
        description="Column with the second text of a pair; the question; for instruction what "
        "stands below the prompt, as Alpaca's input.",
    )
    label: str | list[str] = Field(
        "label",
        description="Column with the label: the tags, the answers, the completion; several 0/1 "
        "columns for multi-label. Not read by causal-lm and masked-lm.",
    )
    group: str | None = Field(
        None,
        min_length=1,
        description="Column that says which rows belong together (a paragraph, author, patient): "
        "they are never on two sides of a split.",
    )
    split_column: str | None = Field(
        None,
        min_length=1,
        description="Column of a single file that says which split each row is in: train, "
        "validation (dev, valid) or test; what no row is in is cut from train.",
    )
    merge_labels: dict[str, str] | None = Field(
        None,
        description="Labels that are read as another one, e.g. {pos: positive}; of "
        "text-classification with one label a text.",
    )
    unusable_rows: Literal["error", "drop"] = Field(
        "error",
        description="Rows that cannot be used (no label, no text, an answer that is not in its "
        "context): an error that lists them, or left out, with a note, as long as they are fewer "
        "than the others.",
    )
    normalise_labels: bool = Field(
        False,
        description="Read labels that differ only in case or white space as one, spelled as in "
        "task.labels or else in most rows.",
    )
    quoting: Literal["auto", "none", "standard"] = Field(
        "auto",
        description="Double quotes in csv and tsv files: standard, they enclose a text; none, they "
        "are characters of it; auto, standard in csv and none in tsv.",
    )
    separator: Literal["auto", "comma", "semicolon", "tab", "bar"] = Field(
        "auto",
        description="What stands between the fields of a csv or tsv file: auto, a comma in csv "
        "and a tab in tsv.",
    )
    train_size: Size | None = Field(
        None, description="Examples (or share) kept for training; null for all that are left."
    )
    train_draw: Literal["split", "run"] = Field(
        "split",
        description="Which examples train_size keeps: split, the same for every run; run, drawn "
        "anew for each seed, those of a smaller size being part of those of a larger one.",
    )
    validation_size: Size | None = Field(0.1, description="Examples (or share) for validation.")
    test_size: Size | None = Field(0.2, description="Examples (or share) for the test.")
    split_seed: int = Field(0, ge=0, description="Seed of the split; never that of a run.")
    duplicates: Literal["drop", "error", "keep"] = Field(
        "drop",
        description="Texts that occur more than once: removed before splitting, an error, or kept "
        "(which lets test texts be trained on).",
    )
    encoding: str = Field("utf-8", description="Encoding of text files.")
    encoding_fallback: str | None = Field(
        None, description="Encoding for files that are not valid in `encoding`, e.g. latin-1."
    )


USUAL_EVAL_BATCH = 32


class TrainingSpec(StrictModel):
    """How the parameters are trained; the same loop for every method."""

    epochs: float = Field(3, gt=0, le=10_000, description="Passes over the training split.")
    max_steps: int | None = Field(None, ge=1, description="Optimizer steps; overrides epochs.")
    batch_size: int = Field(
        16, ge=1, description="Examples per optimizer step, over all processes and accumulation."
    )
    micro_batch_size: int | None = Field(
        None,
        ge=1,
        description="Examples per forward pass and process; gradients accumulate to batch_size.",
    )
    auto_micro_batch: bool = Field(
        False,
        description="Halve the micro-batch and repeat the step when memory runs out; batch_size "
        "stays what it is.",
    )
    eval_batch_size: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto",
        description="Examples per evaluation batch; auto is 32 or, on a GPU that the run has to "
        "itself, from 32 to 512 as its free memory allows.",
    )
    learning_rate: float | None = Field(
        None, gt=0, le=100, description="Peak learning rate; null for the method's default."
    )
    class_weights: Literal["balanced"] | dict[str, ClassWeight] | None = Field(
        None,
        description="What errors on each class count in the training loss: balanced (as in "
        "scikit-learn), or a number by label; a label left out counts 1.",
    )
    weight_decay: float = Field(0.0, ge=0, le=10, description="AdamW weight decay.")
    warmup_ratio: float = Field(0.06, ge=0, lt=1, description="Share of steps to warm up.")
    lr_scheduler: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="Learning rate after the warm-up."
    )
    max_grad_norm: float | None = Field(1.0, gt=0, description="Gradient clipping; null for none.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Autocast of the training steps, fp32 where bf16 would be emulated; the test "
        "is scored in the numbers of model.dtype.",
    )
    attention: Literal["auto", "eager", "sdpa"] = Field(
        "auto", description="Attention implementation of the training steps."
    )
    dropout: Literal["auto"] | Annotated[float, Field(ge=0, lt=1)] = Field(
        "auto", description="Dropout of the base model in training; auto decides per device."
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute activations in backward: less memory, more time."
    )
    validate_every: Literal["epoch"] | Annotated[int, Field(ge=1)] = Field(
        "epoch", description="When to score the validation split: each epoch or every N steps."
    )
    checkpoint_minutes: float | None = Field(
        10,
        gt=0,
        description="Minutes between checkpoints, which are also written at each validation and "
        "on a stop; null for those alone.",
    )
    keep: Literal["best", "last"] = Field(
        "best", description="Export the best state on validation, or the last one."
    )
    early_stopping_patience: int | None = Field(
        None, ge=1, description="Stop after this many validations without improvement."
    )
    report_to: list[Literal["tensorboard", "trackio", "wandb", "mlflow"]] = Field(
        default_factory=list,
        description="Trackers that losses and scores are reported to as well; offline unless the "
        "environment says otherwise.",
    )

    @property
    def least_eval_batch(self) -> int:
        """Examples per evaluation batch where free memory is not asked."""
        return USUAL_EVAL_BATCH if self.eval_batch_size == "auto" else self.eval_batch_size


class EvaluationSpec(StrictModel):
    """What is measured after the test; trains nothing."""

    retention: bool = Field(
        True,
        description="Measure what the adapted model has kept of its base, on a general text that "
        "comes with the workbench.",
    )


class TuningSpec(StrictModel):
    """How values of a recipe were found, as `workbench tune` writes it; trains nothing."""

    trials: int = Field(ge=1, description="Trials of the search, failed ones included.")
    failed: int = Field(0, ge=0, description="Trials that gave no score, e.g. diverged.")
    pruned: int = Field(0, ge=0, description="Trials that were given up on the way.")
    metric: str = Field(description="What was compared, on the validation split.")
    score: float = Field(description="The best trial's; chosen by it, so it flatters.")
    seed: int = Field(ge=0, description="Seed of every trial, none of the recipe's own.")
    search: dict[str, str] = Field(description="What was tried of each key: A..B or A,B,C.")
    train_seconds: float = Field(ge=0, description="Training time of all trials, added up.")
    steps: int = Field(ge=0, description="Optimizer steps of all trials.")
    tokens: int = Field(ge=0, description="Tokens that the steps of all trials read.")


WITHOUT_EFFECT = ("auto_micro_batch", "checkpoint_minutes", "report_to")
"""Keys of ``training`` that decide whether a run can be finished, or who is told of it, and never
what comes out."""


class Recipe(StrictModel):
    """One fine-tuning method on one model and one data set, over several seeds."""

    study: Name = Field("default", description="The folder that the recipe belongs to.")
    name: Name = Field("recipe", description="The recipe's own name within its study.")
    description: str = Field("", max_length=2000, description="What it is for, where from.")
    task: AnyTask
    model: ModelSpec
    data: DataSpec
    method: AnyMethod
    init_from: str | None = Field(
        None,
        min_length=1,
        description="A finished run, or an export, of the same base and method to continue from; "
        "the task may be another.",
    )
    training: TrainingSpec = TrainingSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(
        default_factory=lambda: [0], min_length=1, description="One run for each."
    )
    tuning: TuningSpec | None = Field(
        None, description="What was spent on finding the values; written by `workbench tune`."
    )

    @property
    def learning_rate(self) -> float:
        """The peak learning rate: the recipe's, or the default of its method."""
        return self.training.learning_rate or self.method.default_learning_rate

    def numerics(self) -> dict[str, Any]:
        """All that can change an adapter and its scores, as plain values; seeds, names, how values
        were found and what is measured besides left out."""
        aside = {"study", "name", "description", "seeds", "tuning", "evaluation"}
        relevant = self.model_dump(mode="json", exclude=aside)
        relevant["training"]["learning_rate"] = self.learning_rate
        relevant["training"]["eval_batch_size"] = self.training.least_eval_batch
        for key in WITHOUT_EFFECT:
            del relevant["training"][key]
        return relevant

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of all that can change an adapter and its scores."""
        canonical = json.dumps(as_hashed(self.numerics()), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
