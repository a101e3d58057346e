"""``tune``: hyperparameter search with an equal budget per recipe, on validation only."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli import distributed
from workbench.cli.metric_code import ALLOW_OPTION, load_allowed
from workbench.cli.options import JSON_OPTION, RECIPES, RUNS_OPTION, SET_OPTION
from workbench.cli.output import echo, note, print_json, print_table, scores
from workbench.cli.progress import Progress
from workbench.errors import UsageError
from workbench.formatting import count, duration
from workbench.heavy_imports import loading_libraries
from workbench.tuning.expected import ExpectedBest, as_documents, expected_best, shown_numbers
from workbench.tuning.space import describe_values

if TYPE_CHECKING:
    from workbench.recipe import Recipe
    from workbench.tuning.search import Outcome
    from workbench.tuning.trials import Trial, Tuning


SEARCH_OPTION = typer.Option(
    None,
    "--search",
    metavar="KEY=VALUES",
    help="Values to try besides the learning rate: method.r=4,8,16 (a choice) or "
    "training.learning_rate=1e-4..1e-2 (a log-uniform range). Repeatable.",
)


def tune(
    recipe: list[str] = RECIPES,
    trials: int = typer.Option(min=1, help="Trials per recipe; finished ones count."),
    search: list[str] | None = SEARCH_OPTION,
    overrides: list[str] | None = SET_OPTION,
    seed: int | None = typer.Option(
        None, min=0, max=2**32 - 1, help="Seed of every trial; must not be a seed of a recipe."
    ),
    output: Path | None = typer.Option(
        None, metavar="DIR", help="Write recipes with the best values to a new folder."
    ),
    prune: bool = typer.Option(
        False, help="Give up the worse half of the trials at 1/8 and 1/4 of their steps."
    ),
    runs: Path = RUNS_OPTION,
    force: bool = typer.Option(False, help="Start over; the old trials are kept."),
    allow: list[str] | None = ALLOW_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Search learning rates and more on validation.

    Every recipe gets the same number of trials.
    """
    from workbench.tuning.space import parse_searches, spaces_of
    from workbench.tuning.write_recipes import check_target, write_recipes

    if distributed.is_worker():
        fix = "run `workbench tune` by itself, on one device"
        raise UsageError("a search is one process", where="accelerate launch", fix=fix)
    loaded = load_allowed(recipe, overrides, allow)
    searches = list(search or ())
    spaces_of(loaded, parse_searches(searches))  # what is wrong is said before torch is loaded
    if output is not None:
        check_target(output, loaded)
    which = {"seed": seed, "runs_dir": runs, "force": force, "prune": prune}
    outcome = _search(loaded, trials, searches, which)
    written = []
    if output is not None and outcome.complete:
        written = write_recipes(output, outcome.tunings)
    _report(outcome, trials, written, as_json)


def _search(
    recipes: Sequence[Recipe], trials: int, searches: Sequence[str], which: dict[str, Any]
) -> Outcome:
    """Searches with progress on the terminal; ``which`` are more arguments of ``search.tune``."""
    with loading_libraries():
        from workbench.tuning.search import tune as tune_recipes

    progress = _Progress()
    try:
        return tune_recipes(recipes, trials, searches, observer=progress, **which)
    except KeyboardInterrupt:
        note("\ninterrupted; the same command continues from the last checkpoint")
        raise typer.Exit(128 + signal.SIGINT) from None
    finally:
        progress.close()


def _report(outcome: Outcome, trials: int, written: Sequence[Path], as_json: bool) -> None:
    """Prints what was found and ends with the exit code that says whether all of it was."""
    tunings = outcome.tunings
    if as_json:
        documents = [
            {**each.document(), "expected_best": as_documents(_expected(each))} for each in tunings
        ]
        found = {"trials": trials, "complete": outcome.complete, "recipes": documents}
        print_json({**found, "written": [str(path) for path in written]})
    else:
        headers = ("recipe", "metric", "own values", "best values", "trials", "failed")
        pruned = ("pruned",) if any(tuning.prune for tuning in tunings) else ()
        print_table((*headers, *pruned, "cost"), [_row(tuning) for tuning in tunings])
        _print_pruned(tunings)
        _print_expected(tunings)
        note(
            "scores on validation, which chose the values and so flatters them: the number to "
            "report is the test of a run"
        )
        for path in written:
            echo(path)
    if not outcome.complete:
        note("stopped; the same command continues from here")
        raise typer.Exit(128 + (outcome.signal_number or signal.SIGINT))
    without = [tuning for tuning in tunings if tuning.best is None]
    for tuning in without:
        reasons = list(dict.fromkeys(trial.reason for trial in tuning.trials))
        note(f"{tuning.recipe.name}: no trial gave a score: {'; '.join(reasons)}")
    if without:
        raise typer.Exit(1)


def _print_pruned(tunings: Sequence[Tuning]) -> None:
    """Which trials were given up, and why."""
    rows = [
        (tuning.recipe.name, trial.number + 1, describe_values(trial.values), trial.reason)
        for tuning in tunings
        for trial in tuning.trials
        if trial.pruned_at is not None
    ]
    if rows:
        echo()
        print_table(("recipe", "trial", "values", "why"), rows)


def _expected(tuning: Tuning) -> list[ExpectedBest]:
    """Nothing of a search that gives trials up: what they would have scored is not known."""
    if tuning.prune:
        return []
    return expected_best([trial.score for trial in tuning.trials], higher=tuning.higher)


def _print_expected(tunings: Sequence[Tuning]) -> None:
    """What the best of fewer trials would have scored, of searches with several."""
    found = {f"{t.recipe.study}/{t.recipe.name}": _expected(t) for t in tunings}
    most = max((len(each) for each in found.values()), default=0)
    if most < 2:
        return
    numbers = shown_numbers(most)
    rows = [
        [name, *(_best_of(each[n - 1]) if n <= len(each) else "" for n in numbers)]
        for name, each in found.items()
    ]
    print_table(["recipe", *(f"best of {n}" for n in numbers)], rows)
    note(
        "best of k: expected validation score of the best of k trials drawn from these (Dodge et "
        "al. 2019), ± its standard deviation"
    )


def _best_of(found: ExpectedBest) -> str:
    return f"{found.mean:.4g} ± {found.deviation:.2g}"


def _row(tuning: Tuning) -> tuple[object, ...]:
    from workbench.tuning.space import own_values

    own = own_values(tuning.recipe, tuning.space)
    first = next((t for t in tuning.trials if t.number == 0 and t.values == own), None)
    spent = tuning.document()
    cost = f"{duration(spent['train_seconds'])}, {spent['steps']:,} steps, "
    cost += f"{count(spent['tokens'])} tokens"
    name = f"{tuning.recipe.study}/{tuning.recipe.name}"
    shown = (_shown(first, tuning.metric), _shown(tuning.best, tuning.metric))
    pruned = (tuning.pruned,) if tuning.prune else ()
    return (name, tuning.metric, *shown, len(tuning.trials), tuning.failed, *pruned, cost)


def _shown(trial: Trial | None, metric: str) -> str:
    """``learning rate 0.004 (0.9625)``: what was tried and what it gave."""
    if trial is None:
        return ""
    shown = "failed" if trial.pruned_at is None else f"pruned at step {trial.pruned_at}"
    if trial.score is not None:
        shown = scores({metric: trial.score}).split()[-1]
    return f"{describe_values(trial.values)} ({shown})"


class _Progress(Progress):
    """Shows a search: a line for every trial, and how long the rest will take."""

    def _on_values(self, fields: dict[str, Any]) -> None:
        self._name = f"{self._name}, {describe_values(fields['values'])}"

    def _on_validation(self, fields: dict[str, Any]) -> None:
        self._passing(f"validation at step {fields.get('step')}: {scores(fields.get('metrics'))}")

    def _on_paused(self, fields: dict[str, Any]) -> None:
        place = f"step {fields.get('step')}/{fields.get('steps')}"
        self._line(f"{self._name}: at {place}: {scores(fields.get('metrics'))}")

    def _on_pruned(self, fields: dict[str, Any]) -> None:
        self._line(f"{fields.get('name')}: {fields.get('reason')}")

    def _on_trial(self, fields: dict[str, Any]) -> None:
        shown = f"failed: {fields['reason']}"
        if fields["score"] is not None:
            best = "  (best so far)" if fields["best"] else ""
            shown = f"validation {scores({fields['metric']: fields['score']})}{best}"
        eta = fields["eta_seconds"]
        left = f"; about {duration(eta)} left" if eta else ""
        self._line(f"{self._name}: {shown}{left}")
