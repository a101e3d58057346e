"""One run, straight through: data, base, method, training, test, export, record."""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import transformers
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from torch import Tensor

from workbench import environment
from workbench.data import load_data
from workbench.data.encode import Encoded, encode, tokenisation_fingerprint
from workbench.data.examples import Data
from workbench.devices import Policy, choose_policy, this_process
from workbench.errors import MethodError, UsageError
from workbench.export import VanillaLoader, building, check_folder, recorded_examples
from workbench.export.adapter import describe, write_weights
from workbench.export.card import model_card
from workbench.measure import record
from workbench.measure.memory import MemoryMeter, breakdown
from workbench.measure.parameters import count_parameters, stored
from workbench.measure.quality import score
from workbench.measure.references import cached_reference_scores
from workbench.methods import METHODS, Adapted, Setting
from workbench.models import PLAIN_ATTENTION, check_positions, load_base, set_attention
from workbench.recipe import Recipe, dump_recipe
from workbench.stopping import StopRequest
from workbench.store import RunWriter, SilentWriter, read_run
from workbench.tasks import TextClassificationTask, make_task
from workbench.training import checkpoints
from workbench.training.events import Step, Validation
from workbench.training.optimisation import total_steps
from workbench.training.prediction import predict
from workbench.training.session import Scorer, Session

Observer = Callable[[str, dict[str, Any]], None]
LAST = "last"
"""Name of the checkpoint that a stopped run goes on from."""


class Stopped(Exception):
    """The run was asked to stop and has saved its state."""


@dataclass
class Prepared:
    """All that stands ready before the first step."""

    data: Data
    task: TextClassificationTask
    score: Scorer
    policy: Policy
    meter: MemoryMeter
    adapted: Adapted
    splits: dict[str, Encoded]
    session: Session
    parameters: dict[str, int]


@dataclass
class Line:
    """One run from data to record."""

    recipe: Recipe
    seed: int
    writer: RunWriter | SilentWriter
    observer: Observer
    loader: VanillaLoader
    request: StopRequest
    resume: bool

    def run(self) -> dict[str, Any]:
        """Does the work; returns the content of result.json, empty on all processes but one.

        Raises:
            Stopped: when it was asked to stop; its state is saved.
            WorkbenchError: when data, model, method or training do not work out.
        """
        started = time.time()
        _quieten()
        self.writer.update(state="running", phase="data")
        self.writer.write("environment.json", environment.describe())
        ready = self._prepare()
        clock, pieces = self._train(ready)
        logits = self._test(ready, clock)
        if not self.accelerator.is_main_process:
            return {}
        result = self._result(ready, clock, pieces, logits)
        predictions = self.writer.path / "predictions.parquet"
        record.write_predictions(predictions, ready.splits["test"], ready.task, logits)
        self._export(ready, result)
        result["time"] = clock.record(time.time() - started)
        return result

    def _prepare(self) -> Prepared:
        """Reads the data, loads a fresh base, puts the method on it and tokenises."""
        recipe, spec = self.recipe, self.recipe.training
        data = self._first(lambda: load_data(recipe.data, recipe.task))
        task = make_task(recipe.task, data.label_names)
        scorer = partial(score, task.spec.score_names, task.spec.problem_type)
        self._phase("load")
        process = this_process()
        policy = choose_policy(spec, process.device, process.num_processes)
        self.accelerator = _make_accelerator(policy)
        meter = MemoryMeter(self.accelerator.device)
        meter.start()
        with meter.phase("load"):
            adapted, base_parameters = self._adapt(task, data, policy)
        tokenizer = adapted.base.tokenizer
        splits = {
            name: self._first(
                partial(encode, getattr(data, name), tokenizer, recipe.model.max_length)
            )
            for name in ("train", "validation", "test")
        }
        _try_metrics(scorer, data.train.labels, recipe.task.score_names)
        parameters = count_parameters(adapted, base_parameters)
        session = Session(
            self.accelerator,
            adapted,
            task,
            splits["train"],
            splits["validation"],
            spec,
            recipe.learning_rate,
            self.seed,
            scorer,
            self.writer.path / "checkpoints",
        )
        if meter.device.type == "cuda":  # the session has moved the model there
            meter.note("load")
        return Prepared(data, task, scorer, policy, meter, adapted, splits, session, parameters)

    def _adapt(
        self, task: TextClassificationTask, data: Data, policy: Policy
    ) -> tuple[Adapted, int]:
        """A fresh base, seeded, with the method on it; and the parameters that it had before."""
        recipe = self.recipe
        set_seed(self.seed)
        base = load_base(recipe.model, task, policy)
        check_positions(base, recipe.model.max_length, recipe.method.prompt_length)
        count = base.parameter_count
        if recipe.training.gradient_checkpointing:
            base.model.activation_checkpointing_enable({"use_reentrant": False})
            base.model.enable_input_require_grads()
        setting = setting_for(task, total_steps(recipe.training, len(data.train)))
        method = METHODS[recipe.method.name]
        adapted = method.apply(base, recipe.method, setting)
        if method.initialise:
            method.initialise(adapted, recipe.method, setting)
        return adapted, count

    def _train(self, ready: Prepared) -> tuple[record.Clock, dict[str, int]]:
        """Consumes the training's events: logs them, measures, and stops when asked to.

        Returns the times and the bytes of weights, gradients and optimizer.
        """
        session, meter = ready.session, ready.meter
        clock, pieces = record.Clock(), dict[str, int]()
        if self.resume:
            clock, pieces = self._go_on(session, meter)
        self._phase("train")
        meter.reset()
        for event in session.events():
            clock.add(event)
            if isinstance(event, Validation):
                self._event("validation", **asdict(event))
                if session.step < session.steps:
                    session.save(LAST)
                continue
            self._event("step", **asdict(event))
            if not pieces and clock.steps == min(record.WARMUP_STEPS, session.steps):
                pieces = breakdown(session.model, session.optimizer)
                meter.note("train")
                meter.stop_being_exact()
                self._event("memory", peak_bytes=meter.phases["train"], pieces=pieces)
            self._progress(session, clock, event)
            asked = self.request.signal_number is not None or self.writer.stop_requested
            if session.agree(asked):
                session.save(LAST)
                raise Stopped
        if meter.device.type == "cuda":  # the allocator's peak costs nothing, so it covers all
            meter.note("train")
        return clock, pieces

    def _progress(self, session: Session, clock: record.Clock, step: Step) -> None:
        pace = clock.train / clock.timed_steps if clock.timed_steps else None
        left = session.steps - session.step
        progress = {
            "phase": "train",
            "step": session.step,
            "steps": session.steps,
            "epoch": step.epoch,
            "eta_seconds": pace * left if pace is not None else None,
            "loss": step.loss,
        }
        self.writer.progress(**progress)
        self.observer("progress", progress)

    def _go_on(self, session: Session, meter: MemoryMeter) -> tuple[record.Clock, dict[str, int]]:
        """Goes back to the last checkpoint, and forgets what was logged after it."""
        if checkpoints.exists(session.folder / LAST):
            if session.adapted.after_step is not None:
                raise MethodError(
                    f"{self.recipe.method.name} cannot be resumed",
                    where=str(session.folder / LAST),
                    why="PEFT keeps a part of its state (AdaLoRA's ranks) outside the weights",
                    fix="`workbench run` starts the run from the beginning",
                )
            session.resume(LAST)
        clock, pieces = record.Clock(), dict[str, int]()
        kept = self.writer.forget_after(session.step)
        if kept:
            clock.earlier = kept[-1]["time"] - kept[0]["time"]
        for row in kept:
            if row["kind"] == "step":
                clock.add(Step.from_row(row))
            elif row["kind"] == "validation":
                clock.add(Validation.from_row(row))
            elif row["kind"] == "memory":
                meter.phases["train"], pieces = row["peak_bytes"], row["pieces"]
                meter.stop_being_exact()
        return clock, pieces

    def _test(self, ready: Prepared, clock: record.Clock) -> Tensor:
        """Logits of the test split, once, in fp32 and with the attention of a plain load."""
        model = ready.session.finish()
        self._phase("test")
        set_attention(model, PLAIN_ATTENTION)
        started = time.perf_counter()
        with ready.meter.phase("evaluate"):
            logits = predict(
                model,
                ready.task,
                ready.splits["test"],
                ready.adapted.base.tokenizer,
                self.accelerator,
                batch_size=self.recipe.training.evaluation_batch_size,
                virtual_tokens=ready.adapted.virtual_tokens,
            )
        clock.test = time.perf_counter() - started
        if self.accelerator.is_main_process:
            self.loader.start()  # imports while this process scores; sooner would slow the test
        return logits

    def _result(
        self, ready: Prepared, clock: record.Clock, pieces: dict[str, int], logits: Tensor
    ) -> dict[str, Any]:
        """What is known before the export: scores, costs, conditions."""
        recipe, task, data, base = self.recipe, ready.task, ready.data, ready.adapted.base
        validation, selected = record.validation_record(ready.session, clock)
        tokenisation = tokenisation_fingerprint(base.tokenizer, recipe.model.max_length)
        policy = ready.policy.record()
        return {
            "study": recipe.study,
            "recipe": recipe.name,
            "seed": self.seed,
            "fingerprint": recipe.fingerprint,
            "method": recipe.method.name,
            "task": recipe.task.name,
            "model": recipe.model.source,
            "description": recipe.description,
            "metrics": {
                "test": ready.score(task.predictions(logits), data.test.labels),
                "validation": validation,
            },
            "selected": selected,
            "parameters": ready.parameters,
            "memory": ready.meter.record(pieces),
            "policy": policy,
            "data": record.data_record(data, ready.splits),
            "comparability": record.comparability(
                recipe, data, base.fingerprint, tokenisation, policy
            ),
            "references": cached_reference_scores(data, recipe.task, ready.score),
            "warnings": [*base.notes, *data.notes, *_untrained(ready.session)],
        }

    def _export(self, ready: Prepared, result: dict[str, Any]) -> None:
        """Writes the adapter, checks it with a plain load, and completes the result with it."""
        self._phase("export")
        recipe, run = self.recipe, read_run(self.writer.path)
        shutil.rmtree(run.adapter, ignore_errors=True)  # of an attempt that ended right here
        with building(run.adapter) as folder:
            kind = write_weights(ready.adapted, recipe.method.name, folder)
            about = describe(folder, ready.adapted, ready.task, kind, recipe.model.max_length)
            examples = recorded_examples(run)
            difference = check_folder(self.loader, folder, about, examples)
            weights = stored(folder)
            result["parameters"]["stored"] = weights["stored"]
            result["adapter_bytes"] = weights["bytes"]
            result["export"] = {
                "kind": kind,
                "checked": True,
                "max_logit_difference": difference,
                "examples": len(examples),
            }
            card = model_card(result, about, dump_recipe(recipe))
            (folder / "README.md").write_text(card, encoding="utf-8")

    def _first(self, work: Callable[[], Any]) -> Any:
        """Does something cached on the main process before the others do it."""
        with this_process().main_process_first():
            return work()

    def _phase(self, phase: str) -> None:
        self.writer.update(phase=phase)
        self._event("phase", phase=phase)

    def _event(self, kind: str, **fields: Any) -> None:
        self.writer.event(kind, **fields)
        self.observer(kind, fields)

    def forget_progress(self) -> None:
        """Removes what only an unfinished run needs."""
        if this_process().is_main_process:
            shutil.rmtree(self.writer.path / "checkpoints" / LAST, ignore_errors=True)

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


def _try_metrics(scorer: Scorer, labels: Sequence[Any], names: Sequence[str]) -> None:
    """Scores right answers once, so that a metric that does not fit fails before the training."""
    try:
        scorer(labels, labels)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"the metrics {', '.join(names)} do not fit the labels: {str(error).splitlines()[0]}",
            where="task.metrics",
            fix="e.g. f1 needs exactly two classes; use f1_macro for more",
        ) from error


def _untrained(session: Session) -> list[str]:
    names = session.untrained
    if not names:
        return []
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return [f"{len(names)} of {len(session.parameters)} trained tensors got no gradient: {listed}"]


def setting_for(task: TextClassificationTask, steps: int) -> Setting:
    """What a method may know of this task and the length of its training."""
    names = ", ".join(task.label_names)
    text = f"Classify the text: {names}." if names else "Score the text."
    return Setting(task.peft_task_type, steps, text)


def _make_accelerator(policy: Policy) -> Accelerator:
    """A fresh accelerator; only trained gradients travel, and no search for unused ones is made."""
    AcceleratorState._reset_state()
    ddp = DistributedDataParallelKwargs(find_unused_parameters=False, gradient_as_bucket_view=True)
    return Accelerator(mixed_precision=policy.accelerate_precision, kwargs_handlers=[ddp])
