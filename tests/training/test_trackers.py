"""What trackers are told of a run, and that none of them can do it harm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from accelerate.tracking import GeneralTracker

from workbench.errors import UsageError
from workbench.pipeline import pipeline
from workbench.recipe.schema import Recipe
from workbench.store import Run, run_path
from workbench.training import trackers

Make = Callable[..., Recipe]
Train = Callable[..., Run]


class Noted(GeneralTracker):
    """A tracker of accelerate's kind that keeps what it is told."""

    name = "noted"
    requires_logging_directory = False
    fails_at: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, Any]] = []

    @property
    def tracker(self) -> Any:
        return self.told

    def start(self) -> None:
        self._note("start", None)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self._note("settings", values)

    def log(self, values: dict[str, Any], step: int | None = None, **_more: Any) -> None:
        self._note("log", (step, values))

    def finish(self) -> None:
        self._note("finish", None)

    def _note(self, kind: str, value: Any) -> None:
        if kind == self.fails_at:
            raise ConnectionError(f"no {kind} today")
        self.told.append((kind, value))


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Noted:
    """Stands in for the tracker that a recipe names, whose package is not in the tests."""
    tracker, original = Noted(), pipeline.make_accelerator

    def make(*given: Any) -> Any:
        accelerator = original(*given[:2])
        accelerator.log_with = [tracker] if given[1].report_to and given[2] else []
        return accelerator

    monkeypatch.setattr(pipeline, "make_accelerator", make)
    monkeypatch.setattr(trackers, "_is_installed", lambda _name: True)
    return tracker


def report_to(make_recipe: Make, *names: str) -> Recipe:
    return make_recipe(
        "head", training={"max_steps": 4, "validate_every": 2, "report_to": [*names]}
    )


def test_a_tracker_is_told_settings_steps_validations_and_the_test(
    make_recipe: Make, train: Train, tmp_path: Path, noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = report_to(make_recipe, "tensorboard")
    run = train(recipe, 3, Path("runs"))
    assert run.state == "finished", run.reason
    kinds = [kind for kind, _ in noted.told]
    assert kinds[:2] == ["start", "settings"] and kinds[-1] == "finish"
    settings = noted.told[1][1]
    assert settings["method.name"] == "head" and settings["seed"] == 3
    assert all(isinstance(value, bool | int | float | str) for value in settings.values())
    logged = [value for kind, value in noted.told if kind == "log"]
    rows = run.events()[0]
    losses = {row["step"]: row["loss"] for row in rows if row["kind"] == "step"}
    assert {s: v["train/loss"] for s, v in logged if "train/loss" in v} == losses
    scores = {
        row["step"]: row["metrics"]["accuracy"] for row in rows if row["kind"] == "validation"
    }
    assert {s: v["validation/accuracy"] for s, v in logged if "validation/loss" in v} == scores
    assert logged[-1] == (4, {f"test/{k}": v for k, v in run.result["metrics"]["test"].items()})


@pytest.mark.parametrize("when", ["start", "settings", "log", "finish"])
def test_a_tracker_that_fails_ends_no_training(
    when: str, make_recipe: Make, train: Train, tmp_path: Path, noted: Noted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(Noted, "fails_at", when)
    run = train(report_to(make_recipe, "wandb"), 0, tmp_path)
    assert run.state == "finished", run.reason
    (warning,) = [each for each in run.result["warnings"] if "report_to" in each]
    assert f"ConnectionError: no {when} today" in warning


def test_the_trackers_of_a_run_that_was_stopped_are_closed(
    make_recipe: Make, train: Train, tmp_path: Path, noted: Noted
) -> None:
    def ask(kind: str, fields: dict[str, Any]) -> None:
        if kind == "progress" and fields["step"] == 2:
            (run_path(tmp_path, recipe, 0) / "stop").touch()

    recipe = report_to(make_recipe, "mlflow")
    assert train(recipe, 0, tmp_path, observer=ask).state == "stopped"
    assert noted.told[-1] == ("finish", None)


def test_who_is_told_is_no_part_of_the_fingerprint(make_recipe: Make) -> None:
    plain, reported = make_recipe("lora"), make_recipe("lora", training={"report_to": ["mlflow"]})
    assert plain.fingerprint == reported.fingerprint


def test_a_tracker_that_is_not_installed_is_refused_with_the_command(
    make_recipe: Make, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "_is_installed", lambda name: name == "trackio")
    with pytest.raises(UsageError, match=r"wandb, mlflow is not installed") as refused:
        train(report_to(make_recipe, "wandb", "mlflow", "trackio"), 0, tmp_path)
    assert "pip install wandb mlflow" in str(refused.value)
    assert not list(tmp_path.iterdir())
