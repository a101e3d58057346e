"""A recipe's method on its base without weights: shapes, and what can be counted from them."""

from __future__ import annotations

from workbench.methods import METHODS, AdaptedModel, MethodContext
from workbench.models import build_empty, check_positions
from workbench.recipe import Recipe
from workbench.tasks import AnyTask

ANY_STEPS = 10**6
"""Steps of a training whose length is not known yet, long enough for any method's schedule."""


def adapt_empty(recipe: Recipe, task: AnyTask) -> tuple[AdaptedModel, int]:
    """The recipe's method on its base, shapes without weights; and the base's own parameters.

    Raises:
        MethodError: when the method does not work out on this base.
    """
    base = build_empty(recipe.model, task)
    check_positions(base, recipe.model.max_length, recipe.method.prompt_length)
    count = base.parameter_count
    setting = setting_for(task, ANY_STEPS)
    return METHODS[recipe.method.name].apply(base, recipe.method, setting), count


def setting_for(task: AnyTask, steps: int) -> MethodContext:
    """What a method may know of this task and the length of its training."""
    return MethodContext(task.peft_task_type, steps, task.prompt_text)
