"""Recipes: the schema, reading and checking them. Loads no torch."""

from workbench.recipe.json_schema import json_schema
from workbench.recipe.loading import (
    build,
    dump_recipe,
    find_recipes,
    load_recipe,
    load_recipes,
    readable_recipes,
    recipes_dir,
    stored_recipe,
)
from workbench.recipe.rules import comparability_warnings
from workbench.recipe.schema import Recipe
