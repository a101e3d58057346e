"""Recipes with other numbers of training examples, for a score against training size."""

from collections.abc import Sequence

from workbench.errors import Problem, RecipeError, UsageError
from workbench.recipe.loading import build
from workbench.recipe.rules import comparability_warnings
from workbench.recipe.schema import Recipe

OPTION = "--sizes"
SUFFIX = "-curve"
"""Of the study that the runs belong to."""

Variants = dict[tuple[str, int], Recipe]
"""By the name of the recipe and the number of training examples; the smallest first."""


def parse_sizes(text: str) -> list[int]:
    """The sizes of ``50,100,200``, ascending; a UsageError says what is none."""
    parts = [part.strip().replace("_", "") for part in text.split(",")]
    known = all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts)
    sizes = sorted({int(part) for part in parts}) if known else []
    if len(sizes) < max(2, len(parts)):
        why = "two or more numbers of training examples, each once"
        raise UsageError(f"{OPTION} {text}", why=why, fix=f"e.g. {OPTION} 50,100,200,400")
    return sizes


def size_variants(recipes: Sequence[Recipe], sizes: Sequence[int]) -> Variants:
    """Each recipe with each number of training examples, drawn by the seed of the run: all recipes
    see the same ones, and a larger size all of a smaller one.

    Raises:
        UsageError: when the recipes are not of one study, or not on the same data and base model.
        RecipeError: when one of them cannot be run so.
    """
    study = recipes[0].study
    apart = comparability_warnings(recipes)
    if len({each.study for each in recipes}) > 1:
        apart = ["they are of several studies"]
    if apart or len({each.name for each in recipes}) < len(recipes):
        raise UsageError(
            f"{', '.join(each.name for each in recipes)} cannot be on one curve",
            why="; ".join(apart) or "two have the same name",
            fix="name recipes of one study with the same task, model and data",
        )
    found: Variants = {}
    problems: list[Problem] = []
    for size in sizes:
        for recipe in recipes:
            document = recipe.model_dump()
            document |= {"study": f"{study}{SUFFIX}", "name": f"{recipe.name}-n{size}"}
            document["data"] |= {"train_size": size, "train_draw": "run"}
            variant, wrong = build(document, file=f"{OPTION} {size} ({recipe.name})")
            problems += wrong
            if variant is not None:
                found[recipe.name, size] = variant
    if problems:
        raise RecipeError(problems)
    return found
