"""What a run logs, also where `training.report_to` asks for it: through accelerate's trackers."""

import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from workbench.errors import UsageError
from workbench.recipe import Recipe
from workbench.recipe.layers import flatten
from workbench.training.events import Event, Step, Validation

REPORTS = "reports"
"""Folder of a run with what trackers write into files."""
PACKAGES = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "trackio": ("trackio",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow", "mlflow-skinny"),
}
"""What has to be installed for a tracker: one of these, of which the first is advised."""


def check_trackers(names: Iterable[str]) -> None:
    """Refuses trackers whose package is not there, before anything is loaded.

    Raises:
        UsageError: with the command that installs them.
    """
    missing = [name for name in names if not any(map(_is_installed, PACKAGES[name]))]
    if missing:
        raise UsageError(
            f"training.report_to: {', '.join(missing)} is not installed",
            why="the packages of trackers do not come with the workbench",
            fix=f"pip install {' '.join(PACKAGES[name][0] for name in missing)}; or leave it out",
        )


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package.replace("mlflow-skinny", "mlflow")) is not None


class Trackers:
    """The trackers of one run. What fails in one of them ends no training: it is warned of, and
    nothing more is reported.

    Args:
        accelerator: made with the trackers to log with.
        run: the run's folder.
        warn: called with what the record is to say.
    """

    def __init__(
        self, accelerator: Accelerator, run: Path, warn: Callable[[list[str]], None]
    ) -> None:
        self._accelerator, self._run, self._warn = accelerator, run, warn
        self._works = bool(accelerator.log_with)

    def start(self, recipe: Recipe, seed: int) -> None:
        """Opens them, and reports the recipe by dotted key."""
        if not self._works:
            return
        # Nothing leaves the machine unless its user has said so in the environment.
        os.environ.setdefault("WANDB_MODE", "offline")
        mlruns = self._run.absolute().parent.parent / "mlruns"
        os.environ.setdefault("MLFLOW_TRACKING_URI", mlruns.as_uri())
        settings = flatten(recipe.model_dump(mode="json", exclude={"tuning"})) | {"seed": seed}
        known = {key: _plain(value) for key, value in settings.items()}
        name = self._run.name
        options = {
            "wandb": {"name": name, "dir": str(self._run)},
            "trackio": {"name": name},
            "mlflow": {"run_name": name},
        }
        self._try(lambda: self._accelerator.init_trackers(self._run.parent.name, known, options))

    def event(self, event: Event) -> None:
        """Reports a step or a validation."""
        if isinstance(event, Step):
            values: dict[str, Any] = {
                "train/loss": event.loss,
                "train/learning_rate": event.learning_rate,
                "train/grad_norm": event.grad_norm,
                "train/epoch": event.epoch,
            }
            self.log(values, event.step)
        elif isinstance(event, Validation):
            self.log(
                {"validation/loss": event.loss, **named("validation", event.metrics)}, event.step
            )

    def log(self, values: dict[str, Any], step: int) -> None:
        self._try(lambda: self._accelerator.log(values, step))

    def finish(self, step: int = 0, tested: Mapping[str, float | None] | None = None) -> None:
        """Reports the test and closes the trackers; accelerate's ``end_training`` would close the
        processes' group too."""
        if tested:
            self.log(named("test", tested), step)
        self._try(lambda: [tracker.finish() for tracker in self._accelerator.trackers])
        self._works = False

    def abandon(self) -> None:
        """The same where the run has ended already: nothing is left to warn in."""
        self._warn = lambda _messages: None
        self.finish()

    def _try(self, report: Callable[[], object]) -> None:
        if not self._works:
            return
        try:
            report()
        except Exception as error:  # whatever a service or its client comes up with
            self._works = False
            what = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            self._warn(
                [f"training.report_to: a tracker failed, so nothing more is reported: {what}"]
            )


def named(split: str, metrics: Mapping[str, float | None]) -> dict[str, float]:
    """The metrics that have a value, as ``split/metric``."""
    return {f"{split}/{name}": value for name, value in metrics.items() if value is not None}


def _plain(value: Any) -> bool | str | float | int:
    """What every tracker takes as a setting."""
    return value if isinstance(value, bool | str | float | int) else str(value)
