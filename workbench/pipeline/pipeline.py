"""One run, straight through: data, base, method, training, test, export, record."""

import gc
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object

from workbench.adapters.export import check_folder, tolerance, write_expected
from workbench.adapters.init_from import start_from
from workbench.adapters.model_card import model_card
from workbench.adapters.plain_load import PlainLoader
from workbench.adapters.save import building, describe, write_weights
from workbench.costs.memory_meter import MemoryMeter, breakdown, over_processes, read_whole
from workbench.costs.parameters import count_parameters, stored
from workbench.distributed.accelerator import make_accelerator, this_process
from workbench.distributed.deepspeed import zero_stage
from workbench.distributed.launcher import check_launch, shards_weights
from workbench.methods import METHODS, AdaptedModel
from workbench.methods.build import build_model
from workbench.metrics.evaluate import score_split, write_texts
from workbench.models import only_first_token, set_attention
from workbench.pipeline import environment, record
from workbench.pipeline.checkpointing import Checkpointer
from workbench.pipeline.resume_check import conditions_known, conditions_loaded
from workbench.pipeline.setup import RecipeSetup, StudyCache, make_trainer
from workbench.pipeline.signals import StopRequest
from workbench.recipe import Recipe, dump_recipe
from workbench.retention.measure import measure_retention
from workbench.store import RunWriter, SilentWriter, read_run
from workbench.store.disk import explained
from workbench.tasks import Predicted
from workbench.training.checkpoint_folder import CheckpointFolder
from workbench.training.events import MicroBatch, Step, Validation
from workbench.training.trackers import REPORTS, Trackers
from workbench.training.trainer import Trainer

Observer = Callable[[str, dict[str, Any]], None]
ADAPTER_FILES = 12
"""Of an adapter at most: weights, configs, tokenizer, card, its folder."""


def no_op_observer(_kind: str, _fields: dict[str, Any]) -> None:
    """Default observer: does nothing."""


class Stopped(Exception):
    """The run was asked to stop and has saved its state."""


@dataclass(frozen=True)
class Tested:
    predicted: Predicted
    generated: list[str] | None
    metrics: dict[str, float | None]


@dataclass(kw_only=True)
class Pipeline:
    recipe: Recipe
    seed: int
    writer: RunWriter | SilentWriter
    observer: Observer
    loader: PlainLoader
    request: StopRequest
    resume: bool
    force: bool = False
    """Resume even if recipe, data or versions changed since the run was saved."""
    trial: bool = False
    """Train and validate only: the test split is not read and nothing is exported."""
    until: float = 1.0
    """Part of the steps after which a trial is scored on validation, and stops to be resumed."""
    cache: StudyCache = field(default_factory=StudyCache)
    """What the runs of one command share."""
    accelerator: Accelerator | None = field(default=None, init=False)
    trackers: Trackers | None = field(default=None, init=False)

    def run(self) -> dict[str, Any]:
        """Does the work; returns the content of result.json, empty on all processes but one.

        Raises:
            Stopped: when it was asked to stop; its state is saved.
            WorkbenchError: when data, model, method or training do not work out.
        """
        started, recipe, seed = time.monotonic(), self.recipe, self.seed
        packages = self._open_record()
        setup = self.cache.set_up(recipe, seed, self.writer.path, self._phase, trial=self.trial)
        self.writer.say(record.set_up_in_words(setup))
        reports = None if self.trial else self.writer.path / REPORTS
        accelerator = self.accelerator = make_accelerator(setup.policy, recipe.training, reports)
        meter = MemoryMeter(accelerator.device)
        meter.start()
        with meter.phase("load"):
            model = build_model(recipe, setup.task, setup.load_base, steps=setup.steps, seed=seed)
            start = start_from(model, setup.task, recipe.init_from) if recipe.init_from else None
            read_whole(model.model)
        parameters = count_parameters(model)
        trainer = make_trainer(setup, model, recipe, seed, accelerator, self.writer.path)
        meter.note_cuda("load")  # which the trainer has moved the model to
        comparability = record.comparability(recipe, setup, model.base, start)
        conditions = conditions_known(recipe, seed, setup.policy, packages)
        conditions |= conditions_loaded(comparability)
        checkpointer = Checkpointer(
            trainer=trainer, writer=self.writer, event=self._event, conditions=conditions
        )
        checkpointer.begin(meter, setup.policy.notes, resume=self.resume, force=self.force)
        self.trackers = Trackers(accelerator, self.writer.path, checkpointer.warn)
        self.trackers.start(recipe, seed)
        self._train(trainer, meter, checkpointer)
        tested = None if self.trial else self._test(setup, trainer, meter, checkpointer)
        self.trackers.finish(trainer.step, tested.metrics if tested else {})
        memory = over_processes(gather_object([meter.record(checkpointer.pieces)]))
        trainer.gather_on_main(everything=METHODS[recipe.method.name].export_kind == "full")
        if not accelerator.is_main_process:
            return {}
        result = {
            **record.result_record(recipe, seed, setup, trainer, checkpointer.clock),
            "parameters": parameters,
            "memory": {**memory, **record.batches(trainer)},
            "comparability": comparability,
        }
        checkpointer.note_in(result)
        if tested is not None:
            self._export(setup, model, result, tested)
        return {**result, "time": checkpointer.times(time.monotonic() - started)}

    def _open_record(self) -> dict[str, Any]:
        """Notes what runs where; returns the versions of the libraries."""
        environment.quiet_transformers()
        several = (processes := this_process().num_processes) > 1
        shared = {"sharded": several and shards_weights(), "zero": zero_stage() if several else 0}
        shared |= {"processes": processes, "threads": torch.get_num_threads()}
        self.writer.update(state="running", phase="data", **shared)
        surroundings = environment.describe()
        self.writer.write("environment.json", surroundings)
        self.writer.say(environment.in_words(surroundings))
        if self._exports:
            self.loader.start()
        check_launch(self.recipe.training, processes)
        return dict(surroundings["packages"])

    @property
    def _exports(self) -> bool:
        """Whether this process writes an adapter and checks it with a plain load."""
        return this_process().is_main_process and not self.trial

    def _train(self, trainer: Trainer, meter: MemoryMeter, checkpointer: Checkpointer) -> None:
        """Consumes the training's events: logs them, measures, saves, and stops when asked to."""
        if self._exports:
            self.loader.wait()
        self._phase("train")
        meter.reset()
        for event in trainer.events():
            self._event(event.kind, **asdict(event))
            checkpointer.clock.add(event)
            if self.trackers is not None:
                self.trackers.event(event)
            if isinstance(event, MicroBatch):
                meter.reset()  # what did not fit is no part of the figures
            elif isinstance(event, Validation):
                meter.note_apart("validate")
                checkpointer.warn(trainer.eval_batch.notes)
                if trainer.step < trainer.steps:
                    checkpointer.save_if_worth_it()
            elif isinstance(event, Step):
                self._measure_first_steps(trainer, meter, checkpointer)
                self._progress(trainer, checkpointer.clock, event)
                if paused := checkpointer.pause(self.until):
                    raise Stopped(paused)
                self._save_or_stop(checkpointer)
                checkpointer.solo.after(event)
                if trainer.validation_due():
                    meter.note_apart("train")
        checkpointer.solo.end()
        checkpointer.save_if_worth_it()
        meter.note_cuda("train")  # the allocator's peak costs nothing, so it covers all

    def _measure_first_steps(
        self, trainer: Trainer, meter: MemoryMeter, checkpointer: Checkpointer
    ) -> None:
        if checkpointer.pieces:
            return
        meter.note("train")
        if checkpointer.clock.steps == min(record.WARMUP_STEPS, trainer.steps):
            pieces = breakdown(trainer.model, trainer.optimizer, trainer.weights.kept_bytes)
            checkpointer.pieces = pieces | trainer.gradients.extra_bytes()
            meter.keep_freed()
            own = {"peak_bytes": meter.phases["train"], "pieces": checkpointer.pieces}
            self._event("memory", of_process=gather_object([own]))

    def _save_or_stop(self, checkpointer: Checkpointer) -> None:
        """Saves when it is time, or when the run was asked to stop, which ends it here."""
        agree = checkpointer.trainer.agree
        due = agree(self._asked or checkpointer.save_is_due)
        if not due or not checkpointer.trainer.under_way.settled():
            return
        checkpointer.save()
        if agree(self._asked):
            raise Stopped

    def _progress(self, trainer: Trainer, clock: record.Clock, step: Step) -> None:
        progress, words = record.progress(trainer, clock, step)
        self.writer.progress(**progress)
        self.writer.say(words)
        self.observer("progress", progress)

    def _test(
        self, setup: RecipeSetup, trainer: Trainer, meter: MemoryMeter, checkpointer: Checkpointer
    ) -> Tested:
        """The test split, once, in the numbers and with the attention of a plain load."""
        model = trainer.finish()
        self._phase("test")
        set_attention(model)
        alone, task, test = self.recipe.model.reduced, setup.task, setup.splits["test"]
        size = 1 if alone else trainer.eval_batch
        started = time.perf_counter()
        with nullcontext() if alone else only_first_token(model):
            with meter.first_batch("evaluate") as after_batch:
                predicted = trainer.predict(test, alone=alone, on_progress=after_batch)
            with meter.first_batch("evaluate") as after_batch:
                split = model, task, test, trainer.tokenizer, trainer.accelerator
                generated = write_texts(*split, batch_size=size, on_progress=after_batch)
        checkpointer.clock.test = time.perf_counter() - started
        checkpointer.warn(trainer.eval_batch.notes)
        return Tested(predicted, generated, score_split(task, test, predicted, generated))

    def _export(
        self, setup: RecipeSetup, model: AdaptedModel, result: dict[str, Any], tested: Tested
    ) -> None:
        """Writes the adapter, checks it with a plain load, and completes the result with it."""
        recipe, run, test = self.recipe, read_run(self.writer.path), setup.splits["test"]
        result["metrics"] = {"test": tested.metrics, **result["metrics"]}
        answered = tested.predicted, tested.generated, setup.baselines.columns
        record.write_predictions(run.path, setup.task, test, *answered)
        self._phase("export")
        for left in (run.adapter, *run.path.glob(f".{run.adapter.name}.*")):
            shutil.rmtree(left, ignore_errors=True)  # of an attempt that ended right here
        size = setup.forecast["adapter_bytes"]
        told = explained(run.adapter, size, "the adapter", files=ADAPTER_FILES)
        with told, building(run.adapter) as folder:
            expected = write_expected(run.path, setup.task, test, tested.predicted)
            kind = write_weights(model, recipe.method.name, folder)
            about = describe(folder, model, setup.task, kind, recipe.model.max_length)
            allowed = tolerance(about, setup.policy.device)
            difference = check_folder(self.loader, folder, about, expected, allowed)
            weights = stored(folder)
            result["parameters"]["stored"] = weights["stored"]
            result["adapter_bytes"] = weights["bytes"]
            result["export"] = {"kind": kind, "checked": True, "max_logit_difference": difference}
            result["export"]["examples"] = len(expected["inputs"])
            card = model_card(result, about, dump_recipe(recipe))
            (folder / "README.md").write_text(card, encoding="utf-8")
        if recipe.evaluation.retention:
            result["retention"] = self._retention(model, about, result["comparability"])

    def _retention(
        self, model: AdaptedModel, about: dict[str, Any], comparability: dict[str, str]
    ) -> dict[str, Any]:
        """What is left of the base; a run that is asked to stop by now finishes without it."""
        if self._asked:
            return {"measure": None, "why": "the run was asked to stop before it was measured"}
        self._phase("retention")
        folder, size = read_run(self.writer.path).adapter, model.base.parameter_count
        return measure_retention(self.loader, folder, about, comparability, size)

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
        if self.trackers is not None:
            self.trackers.abandon()
        if self.accelerator is not None:
            self.accelerator.free_memory()
        gc.collect()
        AcceleratorState._reset_state()
