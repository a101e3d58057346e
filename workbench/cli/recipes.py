"""Commands about recipes, before anything runs: ``recipes``, ``check``, ``data``, ``plan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli import device_plan, parallel
from workbench.cli.metric_code import ALLOW_OPTION, load_allowed
from workbench.cli.options import JSON_OPTION, RECIPES, SET_OPTION
from workbench.cli.output import echo, note, print_json, print_pairs, print_table
from workbench.cli.plans import print_plans
from workbench.errors import RecipeError, UsageError
from workbench.formatting import plural
from workbench.heavy_imports import loading_libraries

if TYPE_CHECKING:
    from workbench.recipe import Recipe


def list_recipes(
    path: Path | None = typer.Argument(None, help="A folder; the shipped recipes if left out."),
    as_json: bool = JSON_OPTION,
) -> None:
    """List recipes: study, name, task, model and method."""
    from workbench.recipe import readable_recipes, recipes_dir

    recipes, problems = readable_recipes(path if path is not None else recipes_dir())
    rows = [_row(recipe, file) for file, recipe in recipes.items()]
    if as_json and not problems:
        print_json({"recipes": rows})
    elif not as_json:
        columns = ("study", "name", "method", "model", "task", "learning_rate", "seeds")
        for row in rows:
            row["seeds"] = ",".join(map(str, row["seeds"]))
        cells = [[row[column] for column in columns] for row in rows]
        print_table([column.replace("_", " ") for column in columns], cells)
    if problems:  # those that can be read are shown all the same
        raise RecipeError(problems)


def _row(recipe: Recipe, file: Path) -> dict[str, Any]:
    return {
        "study": recipe.study,
        "name": recipe.name,
        "task": recipe.task.name,
        "model": recipe.model.source,
        "method": recipe.method.name,
        "data": recipe.data.source,
        "learning_rate": recipe.learning_rate,
        "seeds": recipe.seeds,
        "description": recipe.description,
        "fingerprint": recipe.fingerprint,
        "path": str(file),
    }


def check(
    recipe: list[str] = RECIPES,
    overrides: list[str] | None = SET_OPTION,
    allow: list[str] | None = ALLOW_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Validate recipes and print them resolved. No model or data is loaded."""
    from workbench.recipe import comparability_warnings, dump_recipe

    loaded = load_allowed(recipe, overrides, allow)
    warnings = comparability_warnings(loaded)
    if as_json:
        resolved = [
            {**r.model_dump(mode="json"), "fingerprint": r.fingerprint, "peak_lr": r.learning_rate}
            for r in loaded
        ]
        print_json({"recipes": resolved, "warnings": warnings})
    else:
        for each in loaded:
            runs = plural(len(each.seeds), "run")
            head = f"# {each.study}/{each.name}: {runs}, learning rate {each.learning_rate:g}"
            echo(f"{head}, fingerprint {each.fingerprint[:8]}\n{dump_recipe(each)}---")
    for warning in warnings:
        note(f"WARNING: {warning}")
    note(f"{plural(len(loaded), 'recipe')} checked, no problems")


def data(
    recipe: str = typer.Argument(metavar="RECIPE", help="One recipe: a file or a shipped name."),
    overrides: list[str] | None = SET_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Inspect a recipe's data: splits, labels, lengths."""
    from workbench.recipe import load_recipes

    loaded = load_recipes(recipe, overrides or ())
    if len(loaded) != 1:
        what = f"{plural(len(loaded), 'recipe')}, and one is needed"
        raise UsageError(what, where=recipe, fix="name one of them")
    with loading_libraries():
        from workbench.pipeline.inspect_data import inspect_data

    found = inspect_data(loaded[0])
    if as_json:
        print_json(found)
        return
    print_pairs("splits", list(found["splits"].items()))
    if found["labels"]:
        columns = list(found["labels"][0])
        table = [[row[column] for column in columns] for row in found["labels"]]
        echo()
        print_table(columns, table, right=" ".join(columns[1:]))
    lengths = found["lengths"]
    longer = f"{lengths['longer']:,} of {lengths['measured']:,}, read in windows"
    pairs = [("median", f"{lengths['median']:g}"), ("longest", f"{lengths['longest']:,}")]
    pairs += [(f"longer than {lengths['max_length']}", longer)] if lengths["windows"] else []
    pairs += [("truncated", f"{lengths['truncated']:,} of {lengths['measured']:,}")]
    print_pairs("tokens of the training texts", pairs)
    for sentence in found["notes"]:
        note(sentence)


def plan(
    recipe: list[str] = RECIPES,
    overrides: list[str] | None = SET_OPTION,
    time: bool = typer.Option(True, "--time/--no-time", help="Forecast the training time."),
    recalibrate: bool = typer.Option(
        False, "--recalibrate", help="Measure the speed of this device again."
    ),
    devices: str | None = device_plan.DEVICES_OPTION,
    threads: int | None = parallel.THREADS_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Forecast parameters, memory and time of recipes.

    For this device, without loading weights.
    """
    loaded = load_allowed(recipe, overrides)
    parallel.set_threads(threads)
    with loading_libraries():
        from workbench.costs.plan import plan as plan_recipe

        given = device_plan.devices_of(devices) if devices is not None else None
    plans = [
        # What the first of them has measured serves the others.
        (each, plan_recipe(each, time=time, recalibrate=recalibrate and index == 0))
        for index, each in enumerate(loaded)
    ]
    scheduled = device_plan.on_devices(plans, given) if given is not None else None
    if as_json:
        rows = [
            {"study": r.study, "recipe": r.name, "method": r.method.name, **p} for r, p in plans
        ]
        print_json({"plans": rows} | ({"schedule": scheduled} if scheduled else {}))
        return
    print_plans([(f"{r.study}/{r.name}", r.method.name, len(r.seeds), p) for r, p in plans])
    if scheduled is not None:
        device_plan.print_schedule(
            scheduled, " ".join(plans[0][1][k] for k in ("device", "precision"))
        )
