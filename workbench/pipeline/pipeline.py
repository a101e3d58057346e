"""One run, straight through: data, base, method, training, test, export, record."""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import transformers
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object

from workbench.adapters.export import PlainLoader, building, check_folder, write_expected
from workbench.adapters.model_card import model_card
from workbench.adapters.save import describe, write_weights
from workbench.costs.memory_meter import breakdown, over_processes
from workbench.costs.parameters import stored
from workbench.distributed.accelerator import this_process
from workbench.distributed.deepspeed import zero_stage
from workbench.distributed.launcher import shards_weights
from workbench.inference.predict import predict
from workbench.methods import METHODS
from workbench.metrics.evaluate import score_split, write_texts
from workbench.models import PLAIN_ATTENTION, only_first_token, set_attention
from workbench.pipeline import environment, record
from workbench.pipeline.checkpointing import Checkpointer
from workbench.pipeline.recipe_setup import StudyCache
from workbench.pipeline.resume_check import conditions_known, conditions_loaded
from workbench.pipeline.setup import RunSetup, prepare
from workbench.pipeline.signals import StopRequest
from workbench.recipe import Recipe, dump_recipe
from workbench.store import RunWriter, SilentWriter, read_run
from workbench.tasks import Predicted
from workbench.training.checkpoint_folder import CheckpointFolder
from workbench.training.events import Checkpoint, MicroBatch, Step, Validation
from workbench.training.trainer import Trainer

Observer = Callable[[str, dict[str, Any]], None]


def no_op_observer(_kind: str, _fields: dict[str, Any]) -> None:
    """Default observer: does nothing."""


class Stopped(Exception):
    """The run was asked to stop and has saved its state."""


@dataclass(frozen=True)
class Tested:
    """What came out of the test split."""

    predicted: Predicted
    generated: list[str] | None
    metrics: dict[str, float | None]


@dataclass(kw_only=True)
class Pipeline:
    """One run from data to record."""

    recipe: Recipe
    seed: int
    writer: RunWriter | SilentWriter
    observer: Observer
    loader: PlainLoader
    request: StopRequest
    resume: bool
    force: bool = False
    """Go on although something is not what it was when the run was saved."""
    trial: bool = False
    """Train and validate only: the test split is not read and nothing is exported."""
    cache: StudyCache = field(default_factory=StudyCache)
    """What the runs of one command share."""

    def run(self) -> dict[str, Any]:
        """Does the work; returns the content of result.json, empty on all processes but one.

        Raises:
            Stopped: when it was asked to stop; its state is saved.
            WorkbenchError: when data, model, method or training do not work out.
        """
        started = time.monotonic()
        _quieten()
        together = this_process().num_processes
        several = together > 1
        shared = {"sharded": several and shards_weights(), "zero": zero_stage() if several else 0}
        self.writer.update(state="running", phase="data", processes=together, **shared)
        surroundings = environment.describe()
        self.writer.write("environment.json", surroundings)
        checks = this_process().is_main_process and not self.trial
        if checks:
            self.loader.start()
        checkpoints = self.writer.path / "checkpoints"
        ready = prepare(
            self.recipe, self.seed, checkpoints, self._phase, trial=self.trial, cache=self.cache
        )
        self.accelerator = ready.accelerator
        checkpointer = self._checkpointer(ready, surroundings["packages"])
        if checks:
            self.loader.wait()
        self._train(ready, checkpointer)
        tested = None if self.trial else self._test(ready, checkpointer.clock)
        memory = over_processes(gather_object([ready.meter.record(checkpointer.pieces)]))
        whole = METHODS[self.recipe.method.name].export_kind == "full"
        ready.trainer.bring_home(everything=whole)
        if not self.accelerator.is_main_process:
            return {}
        result = self._result(ready, checkpointer, memory, tested)
        if tested is not None:
            test = ready.setup.splits["test"]
            record.write_predictions(
                self.writer.path, ready.setup.task, test, tested.predicted, tested.generated
            )
            self._export(ready, result, tested.predicted)
        result["time"] = checkpointer.clock.record(time.monotonic() - started)
        return result

    def _checkpointer(self, ready: RunSetup, packages: dict[str, Any]) -> Checkpointer:
        """A training that has not begun, or that goes on from where it was saved."""
        policy = ready.setup.policy
        conditions = {
            **conditions_known(self.recipe, self.seed, policy, packages),
            **conditions_loaded(
                self.recipe, ready.setup.data, ready.adapted.base, policy.record(), ready.start
            ),
        }
        minutes = self.recipe.training.checkpoint_minutes
        checkpointer = Checkpointer(
            trainer=ready.trainer,
            writer=self.writer,
            event=self._event,
            conditions=conditions,
            minutes=minutes,
        )
        if self.resume:
            checkpointer.go_on(ready.meter, force=self.force)
        checkpointer.warn(policy.notes)
        return checkpointer

    def _train(self, ready: RunSetup, checkpointer: Checkpointer) -> None:
        """Consumes the training's events: logs them, measures, saves, and stops when asked to."""
        trainer, meter, clock = ready.trainer, ready.meter, checkpointer.clock
        self._phase("train")
        meter.reset()
        for event in trainer.events():
            if isinstance(event, MicroBatch):
                self._event("micro_batch", **asdict(event))
                meter.reset()  # what did not fit is no part of the figures
                continue
            if isinstance(event, Checkpoint):
                checkpointer.add(event)
                continue
            clock.add(event)
            if isinstance(event, Validation):
                self._event("validation", **asdict(event))
                if trainer.step < trainer.steps:
                    checkpointer.save_if_worth_it()
                continue
            self._event("step", **asdict(event))
            if not checkpointer.pieces:
                meter.note("train")
            if not checkpointer.pieces and clock.steps == min(record.WARMUP_STEPS, trainer.steps):
                kept = trainer.weights.kept_bytes
                checkpointer.pieces = breakdown(trainer.model, trainer.optimizer, kept)
                checkpointer.pieces |= trainer.gradients.extra_bytes()
                meter.keep_freed()
                self._event("memory", peak_bytes=meter.phases["train"], pieces=checkpointer.pieces)
            self._progress(trainer, clock, event)
            self._save_or_stop(checkpointer)
        checkpointer.save_if_worth_it()
        if meter.device.type == "cuda":  # the allocator's peak costs nothing, so it covers all
            meter.note("train")

    def _save_or_stop(self, checkpointer: Checkpointer) -> None:
        """Saves when it is time, or when the run was asked to stop, which ends it here."""
        agree = checkpointer.trainer.agree
        if not agree(self._asked or checkpointer.save_is_due):
            return
        checkpointer.save()
        if agree(self._asked):
            raise Stopped

    def _progress(self, trainer: Trainer, clock: record.Clock, step: Step) -> None:
        pace = clock.train / clock.timed_steps if clock.timed_steps else None
        left = trainer.steps - trainer.step
        progress = {
            "phase": "train",
            "step": trainer.step,
            "steps": trainer.steps,
            "epoch": step.epoch,
            "eta_seconds": pace * left if pace is not None else None,
            "loss": step.loss,
        }
        self.writer.progress(**progress)
        self.observer("progress", progress)

    def _test(self, ready: RunSetup, clock: record.Clock) -> Tested:
        """The test split, once, in fp32 and with the attention of a plain load."""
        model = ready.trainer.finish()
        self._phase("test")
        set_attention(model, PLAIN_ATTENTION)
        test, tokenizer = ready.setup.splits["test"], ready.adapted.base.tokenizer
        size = self.recipe.training.eval_batch_size
        started = time.perf_counter()
        with only_first_token(model):
            with ready.meter.first_batch("evaluate") as after_batch:
                predicted = predict(
                    model,
                    ready.setup.task,
                    test,
                    tokenizer,
                    self.accelerator,
                    batch_size=size,
                    virtual_tokens=ready.adapted.virtual_tokens,
                    on_progress=after_batch,
                )
            with ready.meter.first_batch("evaluate") as after_batch:
                generated = write_texts(
                    model,
                    ready.setup.task,
                    test,
                    tokenizer,
                    self.accelerator,
                    batch_size=size,
                    on_progress=after_batch,
                )
        clock.test = time.perf_counter() - started
        return Tested(
            predicted, generated, score_split(ready.setup.task, test, predicted, generated)
        )

    def _result(
        self,
        ready: RunSetup,
        checkpointer: Checkpointer,
        memory: dict[str, Any],
        tested: Tested | None,
    ) -> dict[str, Any]:
        """What is known before the export: scores, costs, conditions."""
        recipe, data = self.recipe, ready.setup.data
        validation, selected = record.validation_record(ready.trainer, checkpointer.clock)
        scores = {"validation": validation}
        if tested is not None:
            scores = {"test": tested.metrics, **scores}
        policy = ready.setup.policy.record()
        return {
            "study": recipe.study,
            "recipe": recipe.name,
            "seed": self.seed,
            "fingerprint": recipe.fingerprint,
            "method": recipe.method.name,
            "task": recipe.task.name,
            "model": recipe.model.source,
            "description": recipe.description,
            "tuning": recipe.tuning.model_dump(mode="json") if recipe.tuning else None,
            "metrics": scores,
            "selected": selected,
            "parameters": ready.parameters,
            "memory": {**memory, "micro_batch_size": ready.trainer.accumulation.largest},
            "policy": policy,
            "data": record.data_record(data, ready.setup.splits),
            "comparability": record.comparability(
                recipe, data, ready.adapted.base, policy, ready.start
            ),
            "references": ready.setup.references,
            "forecast": ready.forecast,
            "warnings": [
                *ready.adapted.base.notes,
                *data.notes,
                *record.untrained_warnings(ready.trainer),
                *_reduced(ready.trainer),
                *checkpointer.warnings,
            ],
            **({"forced": checkpointer.forced} if checkpointer.forced else {}),
        }

    def _export(self, ready: RunSetup, result: dict[str, Any], predicted: Predicted) -> None:
        """Writes the adapter, checks it with a plain load, and completes the result with it."""
        self._phase("export")
        recipe, run = self.recipe, read_run(self.writer.path)
        for left in (run.adapter, *run.path.glob(f".{run.adapter.name}.*")):
            shutil.rmtree(left, ignore_errors=True)  # of an attempt that ended right here
        expected = write_expected(run.path, ready.setup.task, ready.setup.splits["test"], predicted)
        with building(run.adapter) as folder:
            kind = write_weights(ready.adapted, recipe.method.name, folder)
            about = describe(folder, ready.adapted, ready.setup.task, kind, recipe.model.max_length)
            difference = check_folder(self.loader, folder, about, expected)
            weights = stored(folder)
            result["parameters"]["stored"] = weights["stored"]
            result["adapter_bytes"] = weights["bytes"]
            result["export"] = {
                "kind": kind,
                "checked": True,
                "max_logit_difference": difference,
                "examples": len(expected["inputs"]),
            }
            card = model_card(result, about, dump_recipe(recipe))
            (folder / "README.md").write_text(card, encoding="utf-8")

    @property
    def _asked(self) -> bool:
        return self.request.signal_number is not None or self.writer.stop_requested

    def _phase(self, phase: str) -> None:
        """Notes what comes next; a run of one process that was asked to stop ends before it."""
        if self._asked and this_process().num_processes == 1:
            raise Stopped
        self.writer.update(phase=phase)
        self._event("phase", phase=phase)

    def _event(self, kind: str, **fields: Any) -> None:
        self.writer.event(kind, **fields)
        self.observer(kind, fields)

    def forget_progress(self) -> None:
        """Removes what only an unfinished run needs."""
        if this_process().is_main_process:
            CheckpointFolder(self.writer.path / "checkpoints").finish()

    def release(self) -> None:
        """Frees the model, so that the next run in this process starts from nothing."""
        accelerator = getattr(self, "accelerator", None)
        if accelerator is not None:
            accelerator.free_memory()
        gc.collect()
        AcceleratorState._reset_state()


def _quieten() -> None:
    """Silences transformers' load report and progress bars, which say nothing about the run."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _reduced(trainer: Trainer) -> list[str]:
    asked, size = trainer.spec.micro_batch_size, trainer.accumulation.size
    if size == asked:
        return []
    return [
        f"memory ran out: {size} examples at once per process (the effective batch stays "
        f"{trainer.spec.batch_size})"
    ]
