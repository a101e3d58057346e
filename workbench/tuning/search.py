"""The search: the same number of trials for every recipe, on validation only."""

import itertools
import math
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.pipeline.pipeline import Observer, no_op_observer
from workbench.pipeline.setup import StudyCache
from workbench.pipeline.signals import handle_signals
from workbench.recipe import Recipe
from workbench.store import DEFAULT_RUNS_DIR
from workbench.store.allowed_metrics import check_allowed
from workbench.tuning.folder import owned
from workbench.tuning.halving import RUNGS
from workbench.tuning.recipe_search import RecipeSearch
from workbench.tuning.space import Space, combinations, parse_searches, spaces_of
from workbench.tuning.trials import Tuning

STEPS = ("training.epochs", "training.max_steps", "training.batch_size")
"""Keys that decide how many steps a training has."""


@dataclass(frozen=True)
class Outcome:
    tunings: list[Tuning]
    signal_number: int | None
    complete: bool


def tune(
    recipes: Sequence[Recipe],
    trials: int,
    searches: Iterable[str] = (),
    *,
    seed: int | None = None,
    runs_dir: Path = DEFAULT_RUNS_DIR,
    force: bool = False,
    prune: bool = False,
    observer: Observer = no_op_observer,
) -> Outcome:
    """Searches the values of each recipe that score best on its validation split.

    Finished trials of an earlier call are not repeated, and an interrupted one is resumed. The
    recipes take turns, so that they have equal budgets whenever the search ends.

    Args:
        trials: how many each recipe gets; failed ones count.
        searches: ``KEY=A..B`` or ``KEY=A,B,C`` besides the learning rate.
        seed: of every trial; None for the first that no recipe reports.
        force: start over; the old trials are kept.
        prune: give up the worse half of the trials at each rung of ``halving``.

    Raises:
        UsageError, RecipeError: when this cannot be searched.
        RunRefused: when another process is at the same search.
        TrainingError: when a trial failed for a reason that has nothing to do with its values.
    """
    check_allowed(recipes)
    spaces = spaces_of(recipes, parse_searches(searches))
    _check_budget(recipes, spaces, trials)
    if prune:
        _check_equal_steps(recipes, spaces)
    with ExitStack() as stack:
        request, halving = stack.enter_context(handle_signals()), trials if prune else None
        same: dict[str, Any] = {"runs_dir": runs_dir, "request": request, "observer": observer}
        same |= {"seed": _seed(recipes, seed), "cache": StudyCache(), "halving": halving}
        pairs = zip(recipes, spaces, strict=True)
        found = [RecipeSearch(recipe=recipe, space=space, **same) for recipe, space in pairs]
        for search in found:
            stack.enter_context(owned(search.folder))
        for search in found:
            search.open(force)
            search.write_record(trials)
        complete = (_halve if prune else _take_turns)(found, trials)
        return Outcome([each.tuning(trials) for each in found], request.signal_number, complete)


def _halve(searches: Sequence[RecipeSearch], trials: int) -> bool:
    """Takes the trials of all recipes from rung to rung; False when asked to stop."""
    for rung, until in enumerate(RUNGS):
        if not _take_turns(searches, trials, until):
            return False
        for search in searches:
            search.prune(rung, trials)
    return _take_turns(searches, trials)


def _take_turns(searches: Sequence[RecipeSearch], trials: int, until: float = 1.0) -> bool:
    """Runs what is missing, one trial of each recipe after the other; False when asked to stop.

    Args:
        until: part of their steps that the trials take.
    """
    left = [
        (number, search)
        for number, search in itertools.product(range(trials), searches)
        if not search.came_to(number, until)
    ]
    took: dict[str, list[float]] = {}
    for index, (number, search) in enumerate(left):
        if search.request.signal_number is not None:
            return False
        search.tell(
            "run", id=f"{search.name} trial {number + 1}/{trials}", index=index, of=len(left)
        )
        started = time.monotonic()
        if not search.run(number, trials, until):
            return False
        took.setdefault(search.name, []).append(time.monotonic() - started)
        remaining = _eta([each.name for _, each in left[index + 1 :]], took)
        if search.ended(number):
            search.report(number, trials, remaining)
    return True


def _eta(names: Iterable[str], took: dict[str, list[float]]) -> float:
    """Seconds that trials to come will take: as long as those of the same recipe, or of any."""
    every = [seconds for each in took.values() for seconds in each]
    return math.fsum(
        sum(own) / len(own) for own in (took.get(name) or every for name in names) if own
    )


def _seed(recipes: Sequence[Recipe], asked: int | None) -> int:
    """A seed that no recipe reports: what was chosen on one would flatter its own number."""
    reported = {seed for recipe in recipes for seed in recipe.seeds}
    if asked is None:
        return next(seed for seed in itertools.count() if seed not in reported)
    if asked in reported:
        raise UsageError(
            f"--seed {asked} is one of the seeds that a recipe reports",
            why="values chosen on a seed would flatter the numbers of that seed",
            fix="take another, or leave it out",
        )
    return asked


def _check_budget(recipes: Sequence[Recipe], spaces: Sequence[Space], trials: int) -> None:
    if trials < 1:
        raise UsageError(f"{trials} trials", fix="one or more for each recipe")
    for recipe, space in zip(recipes, spaces, strict=True):
        every = combinations(space)
        if every is not None and (count := sum(1 for _ in every)) < trials:
            raise UsageError(
                f"{trials} trials of {count} combinations",
                where=f"{recipe.study}/{recipe.name}",
                fix=f"--trials {count}, or more values",
            )


def _check_equal_steps(recipes: Sequence[Recipe], spaces: Sequence[Space]) -> None:
    """Trials are given up at steps, and budgets are equal in steps."""
    searched = [key for space in spaces for key in space if key in STEPS]
    if searched:
        raise UsageError(
            f"--prune with --search {searched[0]}",
            why="trials of different lengths cannot be given up at the same steps",
            fix="search it without --prune",
        )
    lengths = {
        (r.training.max_steps or (r.training.epochs, r.training.batch_size)) for r in recipes
    }
    data = {recipe.data.model_dump_json() for recipe in recipes}
    if len(lengths) > 1 or (len(data) > 1 and recipes[0].training.max_steps is None):
        raise UsageError(
            "--prune with recipes of different numbers of steps",
            why="every recipe is to have the same budget of steps",
            fix="--set training.max_steps=N gives all of them the same",
        )
