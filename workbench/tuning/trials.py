"""What came of trials: scores, failures, costs, and which was the best."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from workbench.recipe import Recipe
from workbench.recipe.catalogue import deciding_score
from workbench.recipe.schema import TuningSpec
from workbench.store import Run
from workbench.tuning.space import Space, Values

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial that has ended."""

    number: int
    values: Values
    score: float | None = None
    """Of the state that a run would export, on validation; None for a failed trial."""
    loss: float | None = None
    reason: str = ""
    pruned_at: int | None = None
    """The step at which the search gave it up; its score there says nothing of its end."""
    steps: int = 0
    tokens: int = 0
    train_seconds: float = 0.0
    validation_seconds: float = 0.0

    @classmethod
    def from_outcome(cls, number: int, values: Values, outcome: dict[str, Any]) -> Self:
        known = {f.name for f in fields(cls)}
        kept = {name: value for name, value in outcome.items() if name in known}
        return cls(**{**kept, "number": number, "values": values})

    def outcome(self) -> dict[str, Any]:
        """What a journal holds of it besides number and values."""
        return {k: v for k, v in asdict(self).items() if k not in ("number", "values")}


@dataclass(frozen=True, kw_only=True)
class Tuning:
    recipe: Recipe
    space: Space
    seed: int
    higher: bool
    folder: Path
    trials: Sequence[Trial]
    prune: bool = False
    """Whether the search gives trials up."""

    @property
    def metric(self) -> str:
        """What is compared, on validation: the metric that also selects a run's best state."""
        return self.recipe.task.score_names[0]

    @property
    def best(self) -> Trial | None:
        """The best trial; equal scores are decided by the lower loss, then by who came first."""
        sign = 1 if self.higher else -1

        def merit(trial: Trial) -> tuple[float, float, int]:
            loss = trial.loss if trial.loss is not None else float("inf")
            return sign * (trial.score or 0.0), -loss, -trial.number

        scored = [trial for trial in self.trials if trial.score is not None]
        return max(scored, key=merit, default=None)

    @property
    def failed(self) -> int:
        return sum(trial.score is None and trial.pruned_at is None for trial in self.trials)

    @property
    def pruned(self) -> int:
        return sum(trial.pruned_at is not None for trial in self.trials)

    def spec(self) -> TuningSpec | None:
        """What a recipe says of how its values were found; None without a best trial."""
        if self.best is None or self.best.score is None:
            return None
        return TuningSpec(
            trials=len(self.trials),
            failed=self.failed,
            pruned=self.pruned,
            metric=self.metric,
            score=self.best.score,
            seed=self.seed,
            search={key: str(wanted) for key, wanted in self.space.items()},
            **cost(self.trials),
        )

    def document(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "study": self.recipe.study,
            "recipe": self.recipe.name,
            "method": self.recipe.method.name,
            "fingerprint": self.recipe.fingerprint,
            "metric": self.metric,
            "higher_is_better": self.higher,
            "seed": self.seed,
            "search": {key: str(wanted) for key, wanted in self.space.items()},
            "folder": str(self.folder),
            "best": asdict(self.best) if self.best else None,
            "failed": self.failed,
            "pruned": self.pruned,
            "prune": self.prune,
            **cost(self.trials),
            "validation_seconds": sum(trial.validation_seconds for trial in self.trials),
            "trials": [asdict(trial) for trial in self.trials],
        }


def cost(trials: Sequence[Trial]) -> dict[str, Any]:
    """What trials took together: training time, optimizer steps, tokens read."""
    return {
        "train_seconds": sum(trial.train_seconds for trial in trials),
        "steps": sum(trial.steps for trial in trials),
        "tokens": sum(trial.tokens for trial in trials),
    }


def _undefined(metric: str) -> str:
    return (
        f"{metric} is not defined on this validation split: name another metric first in "
        "task.metrics"
    )


def trial_of(run: Run, number: int, values: Values, metric: str) -> Trial:
    """What came of the run of a trial; counted from its log, which a failed run has as well."""
    rows = run.events()[0]
    steps = [row for row in rows if row.get("kind") == "step"]
    validations = [row for row in rows if row.get("kind") == "validation"]
    looks = [row for row in rows if row.get("kind") in ("validation", "paused")]
    score, loss, reason = None, None, run.reason.partition("\n")[0]
    if run.state == "finished":
        score = deciding_score(run.result["metrics"]["validation"], metric)
        reason = "" if score is not None else _undefined(metric)
        keeps_best = (run.result.get("selected") or {}).get("metric") is not None
        kept = [row for row in validations if row["best"]] if keeps_best else validations
        loss = kept[-1]["loss"] if kept else None
    return Trial(
        number=number,
        values=values,
        score=score,
        loss=loss,
        reason=reason,
        steps=len(steps),
        tokens=sum(row["tokens"] for row in steps),
        train_seconds=sum(row["seconds"] for row in steps),
        validation_seconds=sum(row["seconds"] for row in looks),
    )
