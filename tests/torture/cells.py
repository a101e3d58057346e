"""What is tortured: a tiny BERT and a tiny GPT-2 with four methods each, and their whole runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.small_recipes import METHODS
from tests.tiny_models import make_tiny, topic_rows
from tests.training.killing import in_child, without_forecast, wrap
from workbench.methods.build import build_model
from workbench.models import empty_base
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, read_run, run_path
from workbench.tasks import make_task
from workbench.training.checkpoint_folder import CheckpointFolder

CELLS = tuple(
    f"{family}-{method}"
    for family in ("bert", "gpt2")
    for method in ("full", "lora", "prefix", "prompt")
)
STEPS, STEPS_PER_EPOCH, PARTS = 8, 4, 3
"""Optimizer steps of a run, of an epoch, and micro-batches of a step."""


@dataclass(frozen=True)
class Cell:
    """A recipe, and what it comes to when nothing happens."""

    recipe: Recipe
    file: Path
    base: Path
    reference: Path
    """Folder of the whole run; its export was loaded by plain transformers + PEFT."""

    @property
    def name(self) -> str:
        """Family and method."""
        return self.recipe.name

    @property
    def whole(self) -> Run:
        """The run that nothing happened to."""
        return read_run(self.reference)

    @property
    def seconds(self) -> float:
        """How long the whole run took, up to its export."""
        whole = self.whole
        times = [row["time"] for row in whole.events()[0] if row.get("phase") == "export"]
        return float(times[0] - whole.status["started_at"])


def make_cells(folder: Path, names: Sequence[str] = CELLS) -> list[Cell]:
    """Writes models, data and recipes, and lets each recipe run to its end.

    All torch work is done in a child: a process that has used torch's threads cannot be forked.
    """
    bases = {name.partition("-")[0]: folder / name.partition("-")[0] for name in names}
    in_child(lambda: [make_tiny(family, path) for family, path in bases.items()])
    data = folder / "topics.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in topic_rows(48)))
    cells = []
    for name in names:
        family, _, method = name.partition("-")
        recipe = _recipe(name, method, bases[family], data)
        file = folder / f"{name}.yaml"
        file.write_text(dump_recipe(recipe))
        cells.append(Cell(recipe, file, bases[family], run_path(folder / "whole", recipe, 0)))
    in_child(lambda: _run_whole(cells))
    for cell in cells:
        # What every run does first, done once before the forks.
        task = make_task(cell.recipe.task, ("business", "sport", "tech"))
        build_model(cell.recipe, task, empty_base)
    return cells


def _recipe(name: str, method: str, base: Path, data: Path) -> Recipe:
    return Recipe.model_validate(
        {
            "study": "torture",
            "name": name,
            "task": {"name": "text-classification"},
            "model": {"source": str(base), "max_length": 16},
            "data": {"source": str(data), "validation_size": 8, "test_size": 8},
            "method": METHODS[method],
            "evaluation": {"retention": False},
            "training": {
                "epochs": 2,
                "batch_size": 8,
                "micro_batch_size": 3,
                "learning_rate": 5e-3 if method == "full" else 2e-2,
                "dropout": 0.1,
                "precision": "fp32",
                "validate_every": 2,
                # 60 ms: some steps are saved between validations, others are not.
                "checkpoint_minutes": 0.001,
            },
        }
    )


def _run_whole(cells: list[Cell]) -> None:
    from workbench.adapters.plain_load import PlainLoader
    from workbench.pipeline import pipeline
    from workbench.pipeline.runner import run_recipe

    wrap(CheckpointFolder, "finish", lambda _: CheckpointFolder.remove_leftovers)
    without_forecast()
    # As small as it is here, and none where the others are not checked.
    wrap(pipeline, "check_folder", lambda check: lambda *given: 0.0 * check(*given))
    with PlainLoader() as loader:
        for cell in cells:
            run = run_recipe(cell.recipe, 0, cell.reference.parents[1], loader=loader)
            assert run.state == "finished" and run.result["export"]["checked"], run.reason
