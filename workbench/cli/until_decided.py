"""``run --until-decided``: a seed more for each recipe until the comparison is decided."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from workbench.cli import distributed
from workbench.cli.output import echo, note, print_json
from workbench.errors import RunRefused, UsageError
from workbench.formatting import plural
from workbench.recipe import Recipe, comparability_warnings

if TYPE_CHECKING:
    from workbench.comparison import Comparison, Verdict
    from workbench.comparison.sequential import Plan

UNTIL_OPTION = typer.Option(
    False, "--until-decided", help="Add seeds to all recipes until their comparison is decided."
)
MAX_OPTION = typer.Option(
    None, "--max-seeds", min=2, max=200, help="Of --until-decided: the most seeds; 12 by default."
)
DEFAULT_MOST = 12
OPEN = ("unclear", "hint", "untested", "trivial")
"""Conclusions that another seed may change."""


def check_request(until: bool, most: int | None, others: Mapping[str, object]) -> None:
    """Refuses options that do not go together."""
    if until and distributed.is_worker():
        raise UsageError("--until-decided is one process", where="accelerate launch")
    if not until and most is not None:
        raise UsageError("--max-seeds without --until-decided", fix="add --until-decided")
    wrong = [name for name, given in others.items() if given]
    if until and wrong:
        raise UsageError(
            f"--until-decided with {' and '.join(wrong)}",
            why="each look waits for the runs before it",
            fix="run it in the foreground, in one process",
        )


def run_until_decided(
    recipes: Sequence[Recipe],
    runs_dir: Path,
    seeds: Sequence[int] | None,
    most: int | None,
    as_json: bool,
    run: Callable[[list[int]], object],
) -> None:
    """Runs the recipes, looks, and adds a seed to each, until every pair is decided or there are as
    many as may be. The same command continues. Pairs are those with `full`, else all.

    Args:
        run: runs what has not finished of the recipes with some seeds, or ends the command.
    """
    plan = _plan(recipes, runs_dir, seeds, most or DEFAULT_MOST)
    study = runs_dir / recipes[0].study
    first = max(2, min(len(seeds or recipes[0].seeds), plan.most))
    count = plan.looks[-1].seeds if plan.looks else first
    while True:
        run(plan.seeds[:count])
        plan = _look(plan, study, count)
        comparison = _compare(recipes, runs_dir, plan.seeds[:count])
        plan = _look(plan, study, count, comparison.verdicts)
        open_ = [each for each in comparison.verdicts if each["conclusion"] in OPEN]
        note(_progress(count, plan.most, open_))
        if not open_ or count >= plan.most:
            break
        count += 1
    _print(comparison, as_json)


def _plan(
    recipes: Sequence[Recipe], runs_dir: Path, asked: Sequence[int] | None, most: int
) -> Plan:
    """The plan of these recipes, with its looks, as it was begun."""
    from workbench.comparison.sequential import Plan, read_plans

    apart = comparability_warnings(recipes)
    apart += ["they are of several studies"] * (len({each.study for each in recipes}) > 1)
    apart += ["there is nothing to compare one recipe with"] * (len(recipes) < 2)
    if apart:
        raise UsageError(
            "--until-decided needs recipes that can be compared",
            why="; ".join(apart),
            fix="name two or more recipes of one study on the same data and base model",
        )
    fingerprints = {each.name: each.fingerprint for each in recipes}
    study = runs_dir / recipes[0].study
    plans, broken = read_plans(study)
    order = list(itertools.islice(_seeds(recipes, asked), most))
    new = Plan(recipes=fingerprints, most=most, seeds=order)
    if new.name in broken:
        raise RunRefused(
            "the looks of this study cannot be read",
            where=str(study / new.name),
            why="without them nobody knows how often the data was looked at",
            fix="restore the file; without it the study has to be run under another name",
        )
    begun = next((plan for plan in plans if plan.name == new.name), new)
    if begun.looks and begun.most != most:
        raise UsageError(
            f"--max-seeds {most}, and the looks so far were planned for {begun.most}",
            where=str(study / begun.name),
            why="what each look costs depends on the most seeds there may be",
            fix=f"--max-seeds {begun.most}, or another study name for new seeds",
        )
    if begun.looks and begun.seeds[: len(asked or ())] != list(asked or ()):
        raise UsageError(
            f"--seeds {','.join(map(str, asked or ()))}, and the looks so far were at others",
            where=str(study / begun.name),
            why="seeds that are chosen after a look are no draw",
            fix="leave out --seeds, or take another study name for new seeds",
        )
    return begun if begun.looks else new


def _seeds(recipes: Sequence[Recipe], asked: Sequence[int] | None) -> Iterator[int]:
    """The recipes' own seeds, then the next numbers; none that a recipe was tuned on."""
    own = list(asked or recipes[0].seeds)
    if asked is None and any(each.seeds != recipes[0].seeds for each in recipes):
        raise UsageError("the recipes have different seeds", fix="give --seeds, e.g. 0,1,2")
    tuned = {each.tuning.seed for each in recipes if each.tuning}
    yield from own
    yield from (seed for seed in itertools.count() if seed not in tuned and seed not in own)


def _look(plan: Plan, study: Path, count: int, found: Sequence[Verdict] = ()) -> Plan:
    """Writes a look down: before it, so that none is forgotten, and what came of it."""
    from workbench.comparison.sequential import Look

    said = {f"{each['label']} - {each['against']}": each["conclusion"] for each in found}
    if said or count not in [look.seeds for look in plan.looks]:
        plan = plan.with_look(Look(seeds=count, conclusions=dict(said)))
        plan.write(study)
    return plan


def _compare(recipes: Sequence[Recipe], runs_dir: Path, seeds: Sequence[int]) -> Comparison:
    from workbench.comparison import compare
    from workbench.store import run_path

    paths = [run_path(runs_dir, each, seed) for each in recipes for seed in seeds]
    comparison = compare(paths, tests=True)
    if not comparison.verdicts:
        comparison = compare(paths, tests=True, all_pairs=True)
    if not comparison.verdicts:
        raise RunRefused(
            "the finished runs cannot be compared with each other",
            where=str(runs_dir / recipes[0].study),
            why="; ".join(comparison.warnings[:3]),
            fix="`workbench compare` says what differs; give the recipes the same of it",
        )
    return comparison


def _progress(count: int, most: int, open_: Sequence[Verdict]) -> str:
    said = f"look at {plural(count, 'seed')} of at most {most}: "
    if not open_:
        return f"{said}all pairs are decided"
    names = ", ".join(f"{each['label']} and {each['against']}" for each in open_)
    return f"{said}undecided {names}"


def _print(comparison: Comparison, as_json: bool) -> None:
    if as_json:
        import json

        print_json(json.loads(comparison.to("json")))
    else:
        echo(comparison.to("table").rstrip("\n"))
