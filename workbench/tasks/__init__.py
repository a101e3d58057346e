"""Tasks: how examples become model inputs, logits, losses and predictions. One file each."""

from __future__ import annotations

from workbench.recipe.schema import TextClassification
from workbench.tasks.text_classification import TextClassificationTask

__all__ = ["TASKS", "TextClassificationTask", "make_task"]

TASKS: dict[str, type[TextClassificationTask]] = {"text-classification": TextClassificationTask}


def make_task(spec: TextClassification, label_names: tuple[str, ...]) -> TextClassificationTask:
    """The task that a recipe names, for the labels that its data has."""
    return TASKS[spec.name](spec, label_names)
