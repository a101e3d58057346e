"""``--allow-metric-code``: the user's word that a metric of the Hub may run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from workbench.cli import distributed
from workbench.cli.output import note
from workbench.heavy_imports import loading_libraries
from workbench.store.allowed_metrics import OPTION, check_allowed

if TYPE_CHECKING:
    from workbench.recipe import Recipe

ALLOW_OPTION = typer.Option(
    None,
    OPTION,
    metavar="NAME@COMMIT",
    help="Let a metric of the Hub (hub:NAME), which is a program, run at this commit. "
    "Remembered for later commands. Repeatable.",
)


def load_allowed(
    recipes: Sequence[str], overrides: Sequence[str] | None, allow: Sequence[str] | None = None
) -> list[Recipe]:
    """The recipes of a command, all of whose metrics may run.

    Raises:
        RecipeError: with every problem of the recipes.
        UsageError: as ``settle_metric_code``.
    """
    from workbench.recipe import load_recipes

    loaded = load_recipes(recipes, overrides or ())
    settle_metric_code(loaded, allow)
    return loaded


def settle_metric_code(recipes: Sequence[Recipe], allow: Sequence[str] | None) -> None:
    """Allows what the user allows, and shows which scripts of the Hub the recipes will run.

    Raises:
        UsageError: when one of them is not allowed; nothing of it has been loaded.
    """
    if allow:
        with loading_libraries():
            from workbench.metrics.hub_metric import allow as allow_metric

        for each in allow:
            allow_metric(each)
    for line in check_allowed(recipes):
        if distributed.is_main():
            note(line)
