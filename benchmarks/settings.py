"""One recipe in the words of both sides, and the files from which both train."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workbench.assets import fetch
from workbench.data import load_data
from workbench.data.encode import encode
from workbench.data.examples import ROLES, Data, Role
from workbench.distributed.accelerator import this_process
from workbench.errors import UsageError
from workbench.metrics.baselines import score_baselines
from workbench.models import load_tokenizer
from workbench.recipe import Recipe, load_recipe
from workbench.recipe.methods import LoRA
from workbench.recipe.sources import ASSET_PREFIX
from workbench.tasks import make_task

METRICS = {"text-classification": "accuracy", "instruction": "perplexity"}
"""What the workbench has to report of each task, for the sides to be compared in quality."""

Rows = dict[Role, list[dict[str, Any]]]


def settings_of(name: str, overrides: Iterable[str], folder: Path) -> dict[str, Any]:
    """A recipe as plain values; the splits that the workbench makes of its data go to a folder.

    Args:
        name: a file, or a shipped recipe such as ``bbc-news/lora``.
        overrides: ``key.path=value`` strings that win over the file.

    Raises:
        UsageError: when the other side has no counterpart to the recipe.
    """
    overrides = list(overrides)
    recipe = load_recipe(name, overrides)
    task, training = recipe.task, recipe.training
    method = _comparable(name, recipe)
    data = load_data(recipe.data, task)
    rows = _tokens(recipe, data) if task.name == "instruction" else _texts(data)
    for role, split in rows.items():
        lines = "".join(json.dumps(row) + "\n" for row in split)
        (folder / f"{role}.jsonl").write_text(lines, encoding="utf-8")
    source = recipe.model.source
    return {
        "recipe": name,
        "overrides": overrides,
        "task": task.name,
        "data": str(folder),
        "model": str(fetch(source)) if source.startswith(ASSET_PREFIX) else source,
        "labels": len(data.label_names),
        "max_length": recipe.model.max_length,
        "r": method.r,
        "alpha": method.alpha,
        "target_modules": method.target_modules,
        "epochs": training.epochs,
        "max_steps": training.max_steps or -1,
        "batch_size": training.batch_size,
        "learning_rate": recipe.learning_rate,
        "warmup_ratio": training.warmup_ratio,
    }


def _comparable(name: str, recipe: Recipe) -> LoRA:
    """The method of a recipe that the other side has too."""
    task, method = recipe.task, recipe.method
    if recipe.data.validation_size is None and not (
        recipe.data.splits and recipe.data.splits.validation
    ):
        raise UsageError(
            f"{name} has no validation split, and both sides validate after each epoch",
            where="data.validation_size",
            fix="add --set data.validation_size=8",
        )
    if not isinstance(method, LoRA) or METRICS.get(task.name) not in task.score_names:
        raise UsageError(
            f"{name} is {method.name} for {task.name} with {', '.join(task.score_names)}",
            where="method and task",
            why="the other side is written for LoRA, and for "
            + " and ".join(f"{known} with {metric}" for known, metric in METRICS.items()),
            fix="take bbc-news/lora or bbc-headlines/lora",
        )
    return method


def _texts(data: Data) -> Rows:
    splits = {role: getattr(data, role) for role in ROLES}
    return {
        role: [
            {"text": text, "label": label}
            for text, label in zip(split.texts, split.labels, strict=True)
        ]
        for role, split in splits.items()
    }


def _tokens(recipe: Recipe, data: Data) -> Rows:
    """Token ids and labels as the workbench trains on them, cut and put in a template by it.

    The scores of the base model (zero-shot), to which the other side has no counterpart, are
    computed and cached on the way, so that a measured run only looks them up.
    """
    task, tokenizer = make_task(recipe.task, data.label_names), load_tokenizer(recipe.model)
    encoder = task.encoder(tokenizer, recipe.model.max_length)
    splits = {role: encode(getattr(data, role), encoder, tokenizer) for role in ROLES}
    score_baselines(recipe, task, data, splits["test"], tokenizer, this_process().device)
    return {
        role: split.table.select(["input_ids", "labels"]).to_pylist()
        for role, split in splits.items()
    }
