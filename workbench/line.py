"""One run, straight through: data, base, method, training, test, export, record."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import transformers
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed

from workbench import environment
from workbench.data import load_data
from workbench.data.encode import encode, tokenisation_fingerprint
from workbench.data.examples import Data
from workbench.devices import Policy, choose_policy, this_process
from workbench.export import CHECKED_TEXTS, VanillaLoader, building, check_folder, recorded_examples
from workbench.export.adapter import describe, write_weights
from workbench.export.card import model_card
from workbench.measure import record
from workbench.measure.memory import MemoryMeter, breakdown
from workbench.measure.parameters import count_parameters, stored
from workbench.measure.quality import score
from workbench.measure.references import reference_scores
from workbench.methods import METHODS, Adapted, Setting
from workbench.models import PLAIN_ATTENTION, Base, check_positions, load_base, set_attention
from workbench.recipe import Recipe, dump_recipe
from workbench.stopping import StopRequest
from workbench.store import RunWriter, SilentWriter, read_run
from workbench.tasks import TextClassificationTask, make_task
from workbench.training.events import Step
from workbench.training.optimisation import total_steps
from workbench.training.prediction import predict
from workbench.training.session import Session

Observer = Callable[[str, dict[str, Any]], None]
LAST = "last"
"""Name of the checkpoint that a stopped run goes on from."""


class Stopped(Exception):
    """The run was asked to stop and has saved its state."""


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
        """Does the work; returns the content of result.json."""
        started = time.time()
        self._quieten()
        self.writer.update(state="running", phase="data")
        self.writer.write("environment.json", environment.describe())
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
            base, adapted, base_parameters = self._adapt(task, data, policy)
        splits = {
            name: self._first(partial(encode, part, base.tokenizer, recipe.model.max_length))
            for name, part in (
                ("train", data.train),
                ("validation", data.validation),
                ("test", data.test),
            )
        }
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
        parameters = count_parameters(adapted, base_parameters)
        if self.resume and (session.folder / LAST).is_dir():
            session.resume(LAST)
        if self.accelerator.is_main_process:
            self.loader.start()

        clock, pieces = self._train(session, meter)
        model = session.finish()

        self._phase("test")
        set_attention(model, PLAIN_ATTENTION)
        tested = time.perf_counter()
        with meter.phase("evaluate"):
            logits = predict(
                model,
                task,
                splits["test"],
                base.tokenizer,
                self.accelerator,
                batch_size=spec.evaluation_batch_size,
                virtual_tokens=adapted.virtual_tokens,
            )
        clock.test = time.perf_counter() - tested
        if not self.accelerator.is_main_process:
            return {}
        labels = data.test.labels
        validation, selected = record.validation_record(session, clock)
        result = {
            "study": recipe.study,
            "recipe": recipe.name,
            "seed": self.seed,
            "fingerprint": recipe.fingerprint,
            "method": recipe.method.name,
            "task": recipe.task.name,
            "model": recipe.model.source,
            "description": recipe.description,
            "metrics": {"test": scorer(task.predictions(logits), labels), "validation": validation},
            "selected": selected,
            "parameters": parameters,
            "memory": meter.record(pieces),
            "policy": policy.record(),
            "data": record.data_record(data, splits),
            "comparability": record.comparability(
                recipe,
                data,
                base.fingerprint,
                tokenisation_fingerprint(base.tokenizer, recipe.model.max_length),
                policy.record(),
            ),
            "references": reference_scores(data, recipe.task, scorer),
            "warnings": [*base.notes, *data.notes],
        }
        record.write_predictions(
            self.writer.path / "predictions.parquet", splits["test"], task, logits
        )
        self._export(adapted, task, result)
        result["time"] = clock.record(time.time() - started)
        return result

    def _adapt(
        self, task: TextClassificationTask, data: Data, policy: Policy
    ) -> tuple[Base, Adapted, int]:
        """A fresh base, seeded, with the method on it."""
        recipe = self.recipe
        set_seed(self.seed)
        base = load_base(recipe.model, task, policy)
        check_positions(base, recipe.model.max_length, recipe.method.prompt_length)
        count = base.parameter_count
        if recipe.training.gradient_checkpointing:
            base.model.activation_checkpointing_enable({"use_reentrant": False})
            base.model.enable_input_require_grads()
        steps = total_steps(recipe.training, len(data.train))
        setting = setting_for(task, steps)
        method = METHODS[recipe.method.name]
        adapted = method.apply(base, recipe.method, setting)
        if method.initialise:
            method.initialise(adapted, recipe.method, setting)
        return base, adapted, count

    def _train(self, session: Session, meter: MemoryMeter) -> tuple[record.Clock, dict[str, int]]:
        """Consumes the training's events: logs them, measures, and stops when asked to."""
        self._phase("train")
        clock = record.Clock()
        pieces: dict[str, int] = {}
        meter.reset()
        for event in session.events():
            clock.add(event)
            fields = asdict(event)
            kind = "step" if isinstance(event, Step) else "validation"
            self._event(kind, **fields)
            if isinstance(event, Step):
                if clock.steps == record.WARMUP_STEPS or session.step == session.steps:
                    if clock.steps <= record.WARMUP_STEPS or meter.device.type == "cuda":
                        meter.note("train")
                    pieces = pieces or breakdown(session.model, session.optimizer)
                    meter.stop_being_exact()
                self._progress(session, clock, event)
                if session.agree(
                    self.request.signal_number is not None or self.writer.stop_requested
                ):
                    session.save(LAST)
                    raise Stopped
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

    def _export(
        self, adapted: Adapted, task: TextClassificationTask, result: dict[str, Any]
    ) -> None:
        """Writes the adapter, checks it with a plain load, and completes the result with it."""
        self._phase("export")
        recipe, run = self.recipe, read_run(self.writer.path)
        with building(run.adapter) as folder:
            kind = write_weights(adapted, recipe.method.name, folder)
            describe(folder, adapted, task, kind, recipe.model.max_length)
            about = {
                "base": adapted.base.public_name,
                "auto_class": task.auto_class,
                "kind": kind,
                "max_length": recipe.model.max_length,
            }
            examples = recorded_examples(run)
            difference = check_folder(self.loader, folder, about, examples)
            weights = stored(folder)
            result["parameters"]["stored"] = weights["stored"]
            result["adapter_bytes"] = weights["bytes"]
            result["export"] = {
                "kind": kind,
                "checked": True,
                "max_logit_difference": difference,
                "examples": min(CHECKED_TEXTS, len(examples)),
            }
            card = model_card(
                result,
                kind=kind,
                auto_class=task.auto_class,
                base=adapted.base.public_name,
                revision=adapted.base.revision,
                recipe_text=dump_recipe(recipe),
                max_length=recipe.model.max_length,
            )
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

    def _quieten(self) -> None:
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()

    def release(self) -> None:
        """Frees the model, so that the next run in this process starts from nothing."""
        accelerator = getattr(self, "accelerator", None)
        if accelerator is not None:
            accelerator.free_memory()
        gc.collect()
        AcceleratorState._reset_state()


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
