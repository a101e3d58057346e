"""The search: the same number of trials for every recipe, on validation only."""

from __future__ import annotations

import itertools
import math
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import RunRefused, TrainingError, UsageError
from workbench.pipeline.pipeline import Observer, no_op_observer
from workbench.pipeline.runner import run_recipe, what_changed
from workbench.pipeline.setup import StudyCache
from workbench.pipeline.signals import StopRequest, handle_signals
from workbench.recipe import Recipe
from workbench.recipe.catalogue import higher_is_better
from workbench.store import ACTIVE, DEFAULT_RUNS_DIR, Run, read_run, write_json
from workbench.store.run_folder import set_aside
from workbench.tuning.folder import owned, trial_folder, tuning_folder
from workbench.tuning.journal import Journal
from workbench.tuning.space import (
    Space,
    Values,
    built,
    combinations,
    own_values,
    parse_searches,
    spaces_of,
)
from workbench.tuning.trials import Trial, Tuning, trial_of

SAYS_SOMETHING = ("training", "method", "memory", "bad recipe")
"""Kinds of failure that come of what a trial tried; any other would meet the next one too."""


@dataclass(frozen=True)
class Outcome:
    """The searches of all recipes, and the signal that ended them early, if one did."""

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
    observer: Observer | None = None,
) -> Outcome:
    """Searches the values of each recipe that score best on its validation split.

    Trials that an earlier call has finished are not run again, and one that it left half done goes
    on. The recipes take turns, so that they have had equal chances whenever the search ends.

    Args:
        trials: how many each recipe gets; failed ones count.
        searches: ``KEY=A..B`` or ``KEY=A,B,C`` besides the learning rate.
        seed: of every trial; None for the first that no recipe reports.
        force: start over; the old trials are kept.

    Raises:
        UsageError, RecipeError: when this cannot be searched.
        RunRefused: when another process is at the same search.
        TrainingError: when a trial failed for a reason that has nothing to do with its values.
    """
    if trials < 1:
        raise UsageError(f"{trials} trials", fix="one or more for each recipe")
    spaces = spaces_of(recipes, parse_searches(searches))
    for recipe, space in zip(recipes, spaces, strict=True):
        _refuse_too_many(recipe, space, trials)
    chosen = _seed(recipes, seed)
    with ExitStack() as stack:
        request, cache = stack.enter_context(handle_signals()), StudyCache()
        found = [
            _Search(
                recipe=recipe,
                space=space,
                seed=chosen,
                runs_dir=runs_dir,
                request=request,
                observer=observer or no_op_observer,
                cache=cache,
            )
            for recipe, space in zip(recipes, spaces, strict=True)
        ]
        for search in found:
            stack.enter_context(owned(search.folder))
        for search in found:
            search.open(force)
            search.write_record(trials)
        complete = _take_turns(found, trials)
        return Outcome([each.tuning(trials) for each in found], request.signal_number, complete)


def _take_turns(searches: Sequence[_Search], trials: int) -> bool:
    """Runs what is missing, one trial of each recipe after the other; False when asked to stop."""
    left = [
        (number, search)
        for number, search in itertools.product(range(trials), searches)
        if not search.ended(number)
    ]
    took: dict[str, list[float]] = {}
    for index, (number, search) in enumerate(left):
        if search.request.signal_number is not None:
            return False
        search.tell(
            "run", id=f"{search.name} trial {number + 1}/{trials}", index=index, of=len(left)
        )
        started = time.monotonic()
        if not search.run(number, trials):
            return False
        took.setdefault(search.name, []).append(time.monotonic() - started)
        remaining = _eta([each.name for _, each in left[index + 1 :]], took)
        search.report(number, trials, remaining)
    return True


def _eta(names: Iterable[str], took: dict[str, list[float]]) -> float:
    """Seconds that trials to come will take: as long as those of the same recipe, or of any."""
    every = [seconds for each in took.values() for seconds in each]
    return math.fsum(
        sum(own) / len(own) for own in (took.get(name) or every for name in names) if own
    )


class _Search:
    """The search of one recipe."""

    def __init__(
        self,
        *,
        recipe: Recipe,
        space: Space,
        seed: int,
        runs_dir: Path,
        request: StopRequest,
        observer: Observer,
        cache: StudyCache,
    ) -> None:
        self.recipe, self.space, self.seed, self.request = recipe, space, seed, request
        self.name = f"{recipe.study}/{recipe.name}"
        self.runs_dir = runs_dir
        self.folder = tuning_folder(runs_dir, recipe, space, seed)
        self.metric = recipe.task.score_names[0]
        self._observer = observer
        self._cache = cache

    def open(self, force: bool) -> None:
        """Reads what earlier calls found; sets it aside where it no longer holds."""
        changed = next(filter(None, map(self._changed, self._finished())), None)
        if changed:
            self.tell("warning", message=f"{self.name}: {changed}: its trials run again")
        if force or changed:
            set_aside(self.folder)
            self.folder.mkdir()
        higher = higher_is_better(self.metric)
        path = self.folder / "optuna.jsonl"
        self.journal = Journal(path, self.space, higher=higher, seed=self.seed)

    def _finished(self) -> Iterator[Run]:
        """The first finished trial, which speaks for the others."""
        for path in sorted(self.folder.glob("trial-*")):
            run = read_run(path)
            if run.state == "finished":
                yield run
                return

    def _changed(self, run: Run) -> str | None:
        """What is no longer as a trial found it, the values that it tried apart."""
        same = {"fingerprint": self.recipe.fingerprint}
        return what_changed(
            self.recipe,
            Run(
                path=run.path,
                state=run.state,
                reason="",
                status=run.status,
                result=run.result | same,
            ),
        )

    def ended(self, number: int) -> bool:
        """True for a trial that need not be run."""
        return number < len(self.journal) and self.journal.outcome(number) is not None

    def write_record(self, wanted: int) -> None:
        """Writes what is known so far, for whoever watches."""
        document = self.tuning().document() | {"wanted": wanted}
        write_json(self.folder / "tuning.json", document)

    def run(self, number: int, wanted: int) -> bool:
        """Runs or resumes a trial and records its outcome; False when stopped."""
        begun = number < len(self.journal)
        own = own_values(self.recipe, self.space)
        values = self.journal.values(number) if begun else self.journal.begin(own)
        self.tell("values", values=values)
        trial = self._tried(number, values)
        if trial is None:
            return False
        self.journal.end(number, trial.score, trial.outcome())
        self.write_record(wanted)
        shutil.rmtree(trial_folder(self.folder, number) / "checkpoints", ignore_errors=True)
        return True

    def _tried(self, number: int, values: Values) -> Trial | None:
        recipe, problems = built(self.recipe, values)
        if recipe is None:  # two values that do not go together
            reason = "; ".join(f"{problem.key}: {problem.what}" for problem in problems)
            return Trial(
                number=number,
                values=values,
                score=None,
                loss=None,
                reason=reason,
                steps=0,
                tokens=0,
                train_seconds=0.0,
                validation_seconds=0.0,
            )
        run = self._run_of(recipe, trial_folder(self.folder, number))
        if run.state in ("stopped", "interrupted"):
            return None
        if run.state == "failed":
            self._refuse_hopeless(run, number)
        return trial_of(run, number, values, self.metric)

    def _run_of(self, recipe: Recipe, path: Path) -> Run:
        """The ended run of a trial: as it was left, resumed, or new."""
        before = read_run(path)
        if before.state in ACTIVE:
            raise RunRefused(f"this trial is {before.state}", where=str(path), fix="wait for it")
        if before.state == "finished":  # killed before that was recorded
            return before
        if before.state in ("stopped", "interrupted"):
            try:
                return self._run(recipe, path, resume=True)
            except RunRefused:  # libraries or devices have changed since: its start is no good
                pass
        return self._run(recipe, path, resume=False)

    def _run(self, recipe: Recipe, path: Path, *, resume: bool) -> Run:
        return run_recipe(
            recipe,
            self.seed,
            self.runs_dir,
            resume=resume,
            folder=path,
            observer=self._observer,
            request=self.request,
            trial=True,
            cache=self._cache,
        )

    def _refuse_hopeless(self, run: Run, number: int) -> None:
        """Ends the search when a failure is none of the tried values' fault.

        The first trial has the recipe's own values: what is wrong with those is wrong with it.
        """
        kind, code = run.status.get("failure"), run.status.get("exit_code")
        if kind in SAYS_SOMETHING and not (number == 0 and code == 2):
            return
        error = UsageError if code == 2 else TrainingError
        raise error(
            f"trial {number + 1} of {self.name} could not be run",
            why=run.reason,
            fix="put that right and start again: the trials that have ended are kept",
        )

    def tuning(self, trials: int | None = None) -> Tuning:
        """The search so far; of a longer one the first trials only, so that budgets are equal."""
        ended = []
        for number in range(len(self.journal) if trials is None else trials):
            if self.ended(number):
                outcome = self.journal.outcome(number) or {}
                ended.append(Trial.from_outcome(number, self.journal.values(number), outcome))
        higher = higher_is_better(self.metric)
        return Tuning(
            recipe=self.recipe,
            space=self.space,
            seed=self.seed,
            higher=higher,
            folder=self.folder,
            trials=ended,
        )

    def report(self, number: int, trials: int, eta_seconds: float) -> None:
        """Tells the observer what came of a trial."""
        now = self.tuning(trials)
        trial = next(each for each in now.trials if each.number == number)
        self.tell(
            "trial",
            recipe=self.name,
            number=number + 1,
            of=trials,
            values=trial.values,
            metric=self.metric,
            score=trial.score,
            reason=trial.reason,
            best=now.best is not None and now.best.number == number,
            eta_seconds=eta_seconds,
        )

    def tell(self, kind: str, **fields: Any) -> None:
        """Hands an event to whoever watches."""
        self._observer(kind, fields)


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


def _refuse_too_many(recipe: Recipe, space: Space, trials: int) -> None:
    every = combinations(space)
    if every is not None and (count := sum(1 for _ in every)) < trials:
        raise UsageError(
            f"{trials} trials of {count} combinations",
            where=f"{recipe.study}/{recipe.name}",
            fix=f"--trials {count}, or more values",
        )
