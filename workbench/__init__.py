"""Fine-tune a pretrained BERT or GPT with any method, and compare what it brings and costs.

    from workbench import compare, load_adapter, load_recipe, run

    runs = run(load_recipe("recipes/bbc-news/lora.yaml"), seeds=[0, 1, 2])
    print(compare(["runs"]).to("table"))
    load_adapter(runs[0].path).predict(["Shares fell after the merger was called off."])

Importing this loads no torch: each function imports what it needs when it is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.adapters.loaded import LoadedAdapter
    from workbench.comparison import Comparison
    from workbench.recipe import Recipe
    from workbench.store import Run

__version__ = "0.1.0"
__all__ = ["compare", "load_adapter", "load_adapters", "load_recipe", "plan", "run"]


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe file; ``overrides`` are ``"method.r=16"`` and the like.

    Raises:
        RecipeError: with every problem found, each with file, line, key and what to do.
    """
    from workbench.recipe import load_recipe as load

    return load(Path(path), overrides)


def run(
    recipes: Recipe | Sequence[Recipe],
    seeds: Sequence[int] | None = None,
    runs_dir: str | Path = "runs",
    *,
    force: bool = False,
) -> list[Run]:
    """Runs one or several recipes, once for each seed, and returns their runs.

    A run that has finished with the same recipe and seed is not run again unless forced. A run
    that fails is returned with its state and reason; the others still run.

    Raises:
        RunRefused: when another process is at the same run.
    """
    from workbench.heavy_imports import one_arena

    one_arena()  # before the libraries start threads
    from workbench.pipeline.runner import run_all

    several = [recipes] if not isinstance(recipes, Sequence) else recipes
    return run_all(several, seeds, Path(runs_dir), force=force)


def plan(recipe: Recipe, *, time: bool = True, recalibrate: bool = False) -> dict[str, Any]:
    """What a recipe trains, stores and will take on this device, before any weights are read.

    Parameters and bytes are exact; steps, tokens, memory and time are forecast. What is not known
    is None, and ``notes`` say why. ``workbench.costs.plan`` names every key.

    Args:
        time: also forecast the time, which measures this device for some seconds when it is new.
        recalibrate: measure it again.

    Raises:
        WorkbenchError: when model, method or data do not work out.
    """
    from workbench.costs.plan import plan as plan_recipe

    return plan_recipe(recipe, time=time, recalibrate=recalibrate)


def compare(paths: Sequence[str | Path] = ("runs",), *, baseline: str | None = None) -> Comparison:
    """Groups finished runs over their seeds and sets them side by side.

    ``.rows``, ``.references`` and ``.warnings`` are plain values; ``.to("table")`` (or
    ``markdown``, ``csv``, ``latex``, ``json``) is text.
    """
    from workbench.comparison import compare as compare_runs

    return compare_runs([Path(p) for p in paths], baseline=baseline)


def load_adapter(folder: str | Path, *, base: str | None = None) -> LoadedAdapter:
    """Loads a finished run's adapter, or an exported folder, to predict with.

    Raises:
        ExportError: when the folder is not an export, or its base model cannot be loaded.
    """
    from workbench.adapters.loaded import load_adapter as load

    return load(folder, base=base)


def load_adapters(folders: Iterable[str | Path], *, base: str | None = None) -> list[LoadedAdapter]:
    """Loads several exports (or runs) of one base, whose weights are then in memory once."""
    from workbench.adapters.loaded import load_adapters as load

    return load(folders, base=base)
