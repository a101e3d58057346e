"""What a recipe costs, before it runs."""

from __future__ import annotations

from workbench.data import load_data
from workbench.measure.parameters import count_parameters
from workbench.preparing import adapt_empty
from workbench.recipe import Recipe
from workbench.tasks import make_task


def plan(recipe: Recipe) -> dict[str, int]:
    """Exact parameter counts of a recipe, without reading any weights.

    Returns ``trainable_parameters`` (with the head), ``head_parameters``, ``adapter_parameters``
    and ``total_parameters``. The data is read for its labels unless the recipe lists them.
    """
    labels: tuple[str, ...] = ()
    if hasattr(recipe.task, "labels"):
        labels = tuple(recipe.task.labels or ()) or load_data(recipe.data, recipe.task).label_names
    task = make_task(recipe.task, labels)
    counts = count_parameters(*adapt_empty(recipe, task))
    return {f"{name}_parameters": value for name, value in counts.items()}
