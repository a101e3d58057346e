"""The search of one recipe: its trials, one after the other, each recorded as it ends."""

import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.errors import RunRefused, TrainingError, UsageError
from workbench.pipeline.pipeline import Observer
from workbench.pipeline.runner import run_recipe, what_changed
from workbench.pipeline.setup import StudyCache
from workbench.pipeline.signals import StopRequest
from workbench.recipe import Recipe
from workbench.recipe.catalogue import METRICS, higher_is_better
from workbench.store import ACTIVE, Run, read_run, write_json
from workbench.store.run_folder import set_aside
from workbench.tuning.folder import trial_folder, tuning_folder
from workbench.tuning.halving import Look, paused_at, places, ranked, rung_of, why_pruned
from workbench.tuning.journal import Journal
from workbench.tuning.space import Space, Values, built, own_values
from workbench.tuning.trials import Trial, Tuning, trial_of

SAYS_SOMETHING = ("training", "method", "memory", "bad recipe")
"""Kinds of failure that come of what a trial tried; any other would meet the next one too."""


@dataclass(kw_only=True)
class RecipeSearch:
    recipe: Recipe
    space: Space
    seed: int
    runs_dir: Path
    request: StopRequest
    observer: Observer
    cache: StudyCache
    halving: int | None = None
    """The number of trials of a search that prunes; None for one that trains all to their end."""

    def __post_init__(self) -> None:
        self.name = f"{self.recipe.study}/{self.recipe.name}"
        self.folder = tuning_folder(self.runs_dir, self.recipe, self.space, self.seed, self.halving)
        self.metric = self.recipe.task.score_names[0]
        self.higher = higher_is_better(self.metric)

    def open(self, force: bool) -> None:
        """Reads what earlier calls found; sets it aside where it no longer holds."""
        runs = map(read_run, sorted(self.folder.glob("trial-*")))
        finished = next((run for run in runs if run.state == "finished"), None)
        changed = None
        if finished:  # it speaks for the others; the values that it tried are no change
            result = finished.result | {"fingerprint": self.recipe.fingerprint}
            changed = what_changed(self.recipe, replace(finished, reason="", result=result))
        if changed:
            self.tell("warning", message=f"{self.name}: {changed}: its trials run again")
        if force or changed:
            set_aside(self.folder)
            self.folder.mkdir()
        path = self.folder / "optuna.jsonl"
        self.journal = Journal(path, self.space, higher=self.higher, seed=self.seed)

    def ended(self, number: int) -> bool:
        return number < len(self.journal) and self.journal.outcome(number) is not None

    def came_to(self, number: int, until: float) -> bool:
        """Whether a trial has ended, or been scored with this part of its steps taken."""
        if self.ended(number) or until >= 1:
            return self.ended(number)
        begun = number < len(self.journal)
        return begun and self.journal.rung(number, rung_of(until)) is not None

    def prune(self, rung: int, trials: int) -> None:
        """Gives up the trials that are not among the better half at a rung."""
        found = {n: self.journal.rung(n, rung) for n in range(trials)}
        looks = [Look(number=n, **each) for n, each in found.items() if each is not None]
        kept, order = places(trials, rung), ranked(looks, higher=self.higher)
        for place, look in enumerate(order, 1):
            if place <= kept or self.ended(look.number):
                continue
            reason = why_pruned(place, len(order), kept, self.metric, look)
            run = read_run(trial_folder(self.folder, look.number))
            trial = trial_of(run, look.number, self.journal.values(look.number), self.metric)
            self.end(replace(trial, reason=reason, pruned_at=look.step), trials)
            self.tell("pruned", name=f"{self.name} trial {look.number + 1}/{trials}", reason=reason)

    def write_record(self, wanted: int) -> None:
        """Writes what is known so far, for whoever watches."""
        document = self.tuning().document() | {"wanted": wanted}
        write_json(self.folder / "tuning.json", document)

    def run(self, number: int, wanted: int, until: float = 1.0) -> bool:
        """Runs or resumes a trial and records its outcome, or what it scored on the way; False when
        stopped."""
        begun = number < len(self.journal)
        own = own_values(self.recipe, self.space)
        values = self.journal.values(number) if begun else self.journal.begin(own)
        self.tell("values", values=values)
        trial = self._tried(number, values, until)
        if trial is None:
            return False
        if isinstance(trial, Trial):
            self.end(trial, wanted)
        else:
            self.journal.pause(number, rung_of(until), trial)
        return True

    def end(self, trial: Trial, wanted: int) -> None:
        """Records the outcome of a trial."""
        self.journal.end(trial.number, trial.score, trial.outcome())
        self.write_record(wanted)
        shutil.rmtree(trial_folder(self.folder, trial.number) / "checkpoints", ignore_errors=True)

    def _tried(self, number: int, values: Values, until: float) -> Trial | dict[str, Any] | None:
        """What came of a trial, or what it scored where it paused; None when it was stopped."""
        recipe, problems = built(self.recipe, values)
        if recipe is None:  # two values that do not go together
            reason = "; ".join(f"{problem.key}: {problem.what}" for problem in problems)
            return Trial(number=number, values=values, reason=reason)
        run = self._run_of(recipe, trial_folder(self.folder, number), until)
        if run.state in ("stopped", "interrupted"):
            return paused_at(run, until, self.metric)
        if run.state == "failed":
            self._refuse_hopeless(run, number)
        self._refuse_replaced_metric(run)
        return trial_of(run, number, values, self.metric)

    def _refuse_replaced_metric(self, run: Run) -> None:
        """Ends the search when the data does not define the metric and runs take another one."""
        taken = (run.result.get("selected") or {}).get("metric") if run.result else None
        if self.metric in METRICS and taken in METRICS and taken != self.metric:
            raise UsageError(
                f"{self.metric} cannot be computed on the validation split of {self.name}",
                where="task.metrics",
                why=f"a search compares its trials by it; runs are selected by {taken} instead",
                fix=f"set task.metrics: [{taken}]",
            )

    def _run_of(self, recipe: Recipe, path: Path, until: float) -> Run:
        """The ended run of a trial: as it was left, resumed, or new."""
        before = read_run(path)
        if before.state in ACTIVE:
            raise RunRefused(f"this trial is {before.state}", where=str(path), fix="wait for it")
        if before.state == "finished" or paused_at(before, until, self.metric):
            return before  # killed before that was recorded
        if before.state in ("stopped", "interrupted"):
            # Libraries or devices may have changed since: then its start is no good.
            with suppress(RunRefused):
                return self._run(recipe, path, until, resume=True)
        return self._run(recipe, path, until, resume=False)

    def _run(self, recipe: Recipe, path: Path, until: float, *, resume: bool) -> Run:
        return run_recipe(
            recipe,
            self.seed,
            self.runs_dir,
            resume=resume,
            folder=path,
            observer=self.observer,
            request=self.request,
            trial=True,
            until=until,
            cache=self.cache,
        )

    def _refuse_hopeless(self, run: Run, number: int) -> None:
        """Ends the search when a failure is none of the tried values' fault. The first trial has
        the recipe's own values: what is wrong with those is wrong with it."""
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
        numbers = range(len(self.journal) if trials is None else trials)
        outcomes = {n: self.journal.outcome(n) or {} for n in numbers if self.ended(n)}
        return Tuning(
            recipe=self.recipe,
            space=self.space,
            seed=self.seed,
            higher=self.higher,
            folder=self.folder,
            trials=[Trial.from_outcome(n, self.journal.values(n), o) for n, o in outcomes.items()],
            prune=self.halving is not None,
        )

    def report(self, number: int, trials: int, eta_seconds: float) -> None:
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
        self.observer(kind, fields)
