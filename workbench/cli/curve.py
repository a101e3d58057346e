"""``curve``: score against training size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli import distributed
from workbench.cli.ending import end_as
from workbench.cli.metric_code import ALLOW_OPTION, load_allowed
from workbench.cli.options import (
    BASELINE_OPTION,
    JSON_OPTION,
    RECIPES,
    RUNS_OPTION,
    SEEDS_OPTION,
    SET_OPTION,
    chosen_seeds,
)
from workbench.cli.output import note, print_json, print_table
from workbench.cli.run import run_here
from workbench.cli.studies import check_format, check_output, show
from workbench.errors import DataError, UsageError
from workbench.formatting import duration, plural
from workbench.heavy_imports import loading_libraries

if TYPE_CHECKING:
    from workbench.charts.figure import Picture
    from workbench.recipe.sizes import Variants
    from workbench.store import Run


def curve(
    recipe: list[str] = RECIPES,
    sizes: str = typer.Option(..., metavar="N,N,...", help="Training examples, e.g. 50,100,200."),
    seeds: str | None = SEEDS_OPTION,
    overrides: list[str] | None = SET_OPTION,
    baseline: str | None = BASELINE_OPTION,
    metric: str | None = typer.Option(None, help="Metric; the one that selects checkpoints."),
    run: bool = typer.Option(True, "--run/--no-run", help="Run what has not finished yet."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would run and how long."),
    format: str = typer.Option("table", "--format", help="table, markdown, csv or json."),
    output: Path | None = typer.Option(
        None, metavar="DIR", help="Write table, csv, JSON and chart to this folder."
    ),
    runs: Path = RUNS_OPTION,
    allow: list[str] | None = ALLOW_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Train with several numbers of examples and compare.

    It says at which training size one method passes another. Finished runs are skipped.
    """
    from workbench.recipe.sizes import parse_sizes, size_variants
    from workbench.store import read_run, run_path

    if distributed.is_worker():
        fix = "run `workbench curve` by itself, on one device"
        raise UsageError("a curve is one process", where="accelerate launch", fix=fix)
    format = "json" if as_json else format
    check_format(format, "curve")
    check_output(output)
    numbers, wanted = chosen_seeds(seeds), parse_sizes(sizes)
    variants = size_variants(load_allowed(recipe, overrides, allow), wanted)
    found = {
        key: [read_run(run_path(runs, each, seed)) for seed in numbers or each.seeds]
        for key, each in variants.items()
    }
    if dry_run:
        _plan(variants, found, as_json=format == "json")
        return
    finished: Sequence[Run] = ()
    if run:
        _check_largest(variants)
        finished = run_here(list(variants.values()), runs, numbers, force=False)
        found = {key: [read_run(each.path) for each in several] for key, several in found.items()}
        if all(each.state != "finished" for several in found.values() for each in several):
            end_as(finished)
    _show(found, metric, baseline, format, output)
    end_as(finished)


def _show(
    found: dict[tuple[str, int], list[Run]],
    metric: str | None,
    baseline: str | None,
    format: str,
    output: Path | None,
) -> None:
    from workbench.analysis import size_text
    from workbench.analysis.size_curves import size_curves

    curves = size_curves(found, metric=metric, baseline=baseline)

    def draw() -> list[Picture]:
        from workbench.charts.size_curves import pictures

        return pictures(curves)

    show(
        "curve",
        document=curves.document(),
        tables=size_text.tables(curves),
        said=size_text.sentences(curves),
        notes=curves.notes,
        csv=size_text.csv_lines(curves),
        draw=draw,
        format=format,
        output=output,
    )


def _check_largest(variants: Variants) -> None:
    """Says before anything runs when the largest size is more than there is (DataError)."""
    with loading_libraries():
        from workbench.data import load_data

    largest = list(variants.values())[-1]
    try:
        load_data(largest.data, largest.task)
    except DataError as error:
        fix = error.fix.replace("data.train_size", "--sizes")
        raise DataError(error.what, where=error.where, why=error.why, fix=fix) from error


def _plan(variants: Variants, found: dict[tuple[str, int], list[Run]], *, as_json: bool) -> None:
    """What is left to run, and how long that takes by a forecast of each recipe's largest size."""
    _check_largest(variants)
    from workbench.costs.plan import plan
    from workbench.training.optimizer import total_steps

    # The sizes ascend, so that the last of a name is the largest.
    largest = {name: each for (name, size), each in variants.items() if _left(found[name, size])}
    forecast = {name: plan(each) for name, each in largest.items()}
    rows: list[dict[str, Any]] = []
    for (name, size), each in variants.items():
        left, steps = _left(found[name, size]), total_steps(each.training, size)
        seconds = forecast[name].get("seconds_per_step") if left else 0.0
        rows.append(
            {
                "recipe": f"{each.study}/{each.name}",
                "examples": size,
                "steps": steps,
                "runs": len(found[name, size]),
                "left": left,
                "seconds": None if seconds is None else left * steps * seconds,
            }
        )
    if as_json:
        print_json({"runs": rows})
        return
    cells = [[*list(row.values())[:-1], duration(row["seconds"])] for row in rows]
    headers = ["recipe", "examples", "steps", "runs", "left", "training steps of these"]
    print_table(headers, cells, right=" ".join(headers[1:]))
    known = [row["seconds"] for row in rows if row["seconds"] is not None]
    total = f", about {duration(sum(known))} of training steps" if len(known) == len(rows) else ""
    note(f"{plural(sum(row['left'] for row in rows), 'run')} left{total}")


def _left(runs: Sequence[Run]) -> int:
    return sum(run.state != "finished" for run in runs)
