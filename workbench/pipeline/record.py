"""The record of a finished run: result.json, put together from its parts."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.data.encode import Encoded, tokenisation_fingerprint
from workbench.distributed.policy import Policy
from workbench.metrics.fitting import counted
from workbench.metrics.per_example import example_columns
from workbench.metrics.scripts import USUAL
from workbench.models import Base
from workbench.models.dropout import dropouts
from workbench.pipeline.setup import RecipeSetup
from workbench.recipe.catalogue import SCORING_LIBRARIES
from workbench.recipe.renamed import as_hashed, metric_as_first_written
from workbench.recipe.schema import Recipe
from workbench.store import atomic_write
from workbench.store.allowed_metrics import allowed_code
from workbench.store.disk import explained
from workbench.tasks import AnyTask, Predicted
from workbench.training.events import Checkpoint, Event, Step, Validation
from workbench.training.trainer import Trainer

WARMUP_STEPS = 2
"""Steps whose memory is measured exactly and which are therefore not timed."""
LOGGED_STEPS = 10
"""Steps of a run with a line in log.txt; events.jsonl has them all."""


@dataclass(kw_only=True)
class Clock:
    """Adds up where the time of a run goes; seconds."""

    train: float = 0.0
    warmup: float = 0.0
    validation: float = 0.0
    test: float = 0.0
    earlier: float = 0.0
    """Seconds of earlier attempts, up to the checkpoint that this one resumed from."""
    timed_steps: int = 0
    timed_tokens: int = 0
    steps: int = 0
    examples: int = 0
    checkpoints: int = 0
    checkpoint_seconds: float = 0.0
    checkpoint_bytes: int = 0
    last_validation: Validation | None = None
    best_validation: Validation | None = None

    def add(self, event: Event) -> None:
        if isinstance(event, Checkpoint):
            self.checkpoints += event.bytes > 0
            self.checkpoint_seconds += event.seconds
            self.checkpoint_bytes += event.bytes
        elif isinstance(event, Validation):
            self.validation += event.seconds
            self.last_validation = event
            if event.best:
                self.best_validation = event
        elif isinstance(event, Step):
            self.steps += 1
            self.examples += event.examples
            if self.steps <= WARMUP_STEPS:
                self.warmup += event.seconds
            else:
                self.train += event.seconds
                self.timed_steps += 1
                self.timed_tokens += event.tokens

    def record(self, total_seconds: float) -> dict[str, Any]:
        """Times for result.json; rates are None when no step was timed."""
        timed = self.train > 0
        training = self.warmup + self.train + self.validation + self.checkpoint_seconds
        phases = ("train", "warmup", "validation", "test")
        counted = ("checkpoints", "checkpoint_bytes", "checkpoint_seconds")
        return {
            **{f"{name}_seconds": getattr(self, name) for name in phases},
            **{name: getattr(self, name) for name in counted},
            "checkpoint_share": self.checkpoint_seconds / training if training else 0.0,
            "total_seconds": self.earlier + total_seconds,
            "steps": self.steps,
            "steps_per_second": self.timed_steps / self.train if timed else None,
            "tokens_per_second": self.timed_tokens / self.train if timed else None,
            "examples_seen": self.examples,
        }


def _validation_record(trainer: Trainer, clock: Clock) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics of the exported state on validation, and how it was selected."""
    keeps_best = trainer.spec.keep == "best" and trainer.best.step is not None
    kept = clock.best_validation if keeps_best else clock.last_validation
    selected = {
        "step": trainer.best.step if keeps_best else trainer.step,
        "metric": next(iter(kept.metrics), None) if keeps_best and kept else None,
        "value": trainer.best.value if keeps_best else None,
    }
    return dict(kept.metrics) if kept else {}, selected


def result_record(
    recipe: Recipe, seed: int, setup: RecipeSetup, trainer: Trainer, clock: Clock
) -> dict[str, Any]:
    """What was run, on what, and its validation."""
    validation, selected = _validation_record(trainer, clock)
    data, splits = setup.data, setup.splits
    return {
        "study": recipe.study,
        "recipe": recipe.name,
        "seed": seed,
        "fingerprint": recipe.fingerprint,
        "method": recipe.method.name,
        "task": recipe.task.name,
        "model": recipe.model.source,
        "description": recipe.description,
        "tuning": recipe.tuning.model_dump(mode="json") if recipe.tuning else None,
        "metrics": {"validation": validation},
        "selected": selected,
        "policy": recorded_policy(setup.policy, trainer.adapted.base),
        "data": {
            "content_hash": data.content_hash,
            "split_hash": data.split_hash,
            "sizes": {name: len(split.examples) for name, split in splits.items()},
            "features": {name: len(split) for name, split in splits.items()},
            "duplicates_removed": data.duplicates_removed,
            "truncated": {name: split.truncated for name, split in splits.items()},
            "labels": list(data.label_names),
            "notes": list(data.notes),
        },
        "class_weights": _class_weights(setup.task),
        "metric_code": allowed_code(recipe),
        "references": setup.baselines.scores,
        "forecast": setup.forecast,
        "warnings": [*trainer.adapted.base.notes, *data.notes, *_trainer_warnings(trainer)],
    }


def batches(trainer: Trainer) -> dict[str, int]:
    """The most examples of a process at once, in training and where free memory decided it in an
    evaluation."""
    found, evaluated = {"micro_batch_size": trainer.accumulation.largest}, trainer.eval_batch
    return found if evaluated.row_bytes is None else found | {"eval_batch_size": evaluated.largest}


def progress(trainer: Trainer, clock: Clock, step: Step) -> tuple[dict[str, Any], str]:
    """How far a training is, for status.json, and now and then in words for log.txt."""
    left = None
    if clock.timed_steps:
        left = clock.train / clock.timed_steps * (trainer.steps - step.step)
    known = {"phase": "train", "step": step.step, "steps": trainer.steps}
    words = f"step {step.step} of {trainer.steps}: loss {step.loss:.4f}"
    words += "" if left is None else f", {left:.0f} s of training left"
    if step.step % math.ceil(trainer.steps / LOGGED_STEPS):
        words = ""
    return known | {"epoch": step.epoch, "eta_seconds": left, "loss": step.loss}, words


def set_up_in_words(setup: RecipeSetup) -> str:
    """Where a run computes, and on how much data, for log.txt."""
    policy, sizes = setup.policy, {name: len(s.examples) for name, s in setup.splits.items()}
    several = f", {policy.processes} processes" if policy.processes > 1 else ""
    examples = ", ".join(f"{name} {size}" for name, size in sizes.items())
    on = f"device: {policy.device} ({policy.device_name}), {policy.precision}{several}"
    return f"{on}; examples: {examples}; {setup.steps} steps"


def recorded_policy(policy: Policy, base: Base) -> dict[str, Any]:
    """The policy; of a model without dropout also where the device would leave it as it is."""
    none = policy.dropout is None and not any(dropouts(base.model.config).values())
    return policy.record() | ({"dropout": 0.0} if none else {})


def _class_weights(task: AnyTask) -> dict[str, float] | None:
    weights = task.class_weights
    return None if weights is None else dict(zip(task.label_names, weights, strict=True))


def comparability(
    recipe: Recipe, setup: RecipeSetup, base: Base, start: str | None
) -> dict[str, str]:
    """What two runs must share for their numbers to be set side by side.

    Args:
        start: sha256 of the adapter that the run continues from.
    """
    from sklearn import __version__ as sklearn_version

    known = {"metrics", *recipe.task.training_only}
    task = as_hashed({"task": recipe.task.model_dump(mode="json", exclude=known)})["task"]
    written = json.dumps(task, ensure_ascii=False, separators=(",", ":"))
    written += setup.task.read_otherwise(setup.data, base.tokenizer)
    metrics = (
        ",".join(map(metric_as_first_written, recipe.task.score_names))
        + f" scikit-learn {sklearn_version}"
    )
    libraries = SCORING_LIBRARIES.get(recipe.task.kind, ())
    metrics += "".join(f" {name} {version(name)}" for name in libraries)
    if (cut := counted(setup.task, setup.data)) != USUAL:
        metrics += f" {cut.rouge} {cut.bleu}"
    for name, code in allowed_code(recipe).items():
        metrics += f" {name} " + " ".join(each["sha256"] for each in code["scripts"].values())
    weights = base.fingerprint
    if recipe.model.reduced:
        weights += f" in {recipe.model.weight_format}"
    return {
        "data": setup.data.content_hash,
        "split": setup.data.comparable_split,
        "base": f"{weights} after {start}" if start else weights,
        "tokenisation": tokenisation_fingerprint(base.tokenizer, recipe.model.max_length, written),
        "metrics": hashlib.sha256(metrics.encode()).hexdigest(),
        "device": f"{setup.policy.device}/{setup.policy.precision}",
    }


def write_predictions(
    run: Path,
    task: AnyTask,
    encoded: Encoded,
    predicted: Predicted,
    generated: Sequence[str] | None = None,
    baselines: Mapping[str, list[Any]] | None = None,
) -> None:
    """predictions.parquet: one row per test example (or window of packed texts), with what a plain
    load makes of it and what it adds to each metric, and the same of each of the ``baselines``."""
    answers = task.answers(encoded, predicted) if generated is None else generated
    columns = task.table(encoded, predicted, answers)
    columns |= example_columns(task, encoded, predicted, answers, len(columns["id"]))
    examples = encoded.examples
    if examples.groups and columns["id"] == list(examples.ids):  # else windows of several texts
        columns["group"] = list(examples.groups)
    columns |= baselines or {}
    table, path = pa.table(columns), run / "predictions.parquet"
    with explained(path, table.nbytes, "the predictions"), atomic_write(path) as temporary:
        pq.write_table(table, temporary)


def _trainer_warnings(trainer: Trainer) -> list[str]:
    """The trained tensors that got no gradient, though their method or head did; and what memory
    ran out for."""
    found = []
    if trainer.spec.keep == "best" and len(trainer.validation) and trainer.best.step is None:
        metric = trainer.task.spec.score_names[0]
        found.append(f"no validation gave a number for {metric}, so the last state was kept")
    if names := trainer.untrained:
        listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        what = f"{len(names)} of {len(trainer.parameters)} trained tensors got no gradient"
        found.append(f"{what}: {listed}")
    if (size := trainer.accumulation.size) != trainer.spec.micro_batch_size:
        what = f"memory ran out: {size} examples at once per process"
        found.append(f"{what} (the effective batch stays {trainer.spec.batch_size})")
    return found
