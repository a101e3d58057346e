"""One run, straight through: data, base, method, training, test, export, record."""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import transformers
from accelerate.state import AcceleratorState

from workbench import environment
from workbench.devices import this_process
from workbench.errors import MethodError
from workbench.export import VanillaLoader, building, check_folder, write_expected
from workbench.export.adapter import describe, write_weights
from workbench.export.card import model_card
from workbench.measure import record
from workbench.measure.evaluation import score_split, write_texts
from workbench.measure.memory import MemoryMeter, breakdown
from workbench.measure.parameters import stored
from workbench.models import PLAIN_ATTENTION, set_attention
from workbench.preparing import Prepared, prepare
from workbench.recipe import Recipe, dump_recipe
from workbench.stopping import StopRequest
from workbench.store import RunWriter, SilentWriter, read_run
from workbench.tasks import Predicted
from workbench.training import checkpoints
from workbench.training.events import Step, Validation
from workbench.training.prediction import predict
from workbench.training.session import Session

Observer = Callable[[str, dict[str, Any]], None]
LAST = "last"
"""Name of the checkpoint that a stopped run goes on from."""


class Stopped(Exception):
    """The run was asked to stop and has saved its state."""


@dataclass(frozen=True)
class Tested:
    """What came out of the test split."""

    predicted: Predicted
    generated: list[str] | None
    metrics: dict[str, float | None]


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
        ready = prepare(self.recipe, self.seed, self.writer.path / "checkpoints", self._phase)
        self.accelerator = ready.accelerator
        clock, pieces = self._train(ready)
        tested = self._test(ready, clock)
        if not self.accelerator.is_main_process:
            return {}
        result = self._result(ready, clock, pieces, tested)
        test = ready.splits["test"]
        record.write_predictions(
            self.writer.path, ready.task, test, tested.predicted, tested.generated
        )
        self._export(ready, result, tested.predicted)
        result["time"] = clock.record(time.time() - started)
        return result

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

    def _test(self, ready: Prepared, clock: record.Clock) -> Tested:
        """The test split, once, in fp32 and with the attention of a plain load."""
        model = ready.session.finish()
        self._phase("test")
        set_attention(model, PLAIN_ATTENTION)
        test, tokenizer = ready.splits["test"], ready.adapted.base.tokenizer
        size = self.recipe.training.evaluation_batch_size
        started = time.perf_counter()
        with ready.meter.phase("evaluate"):
            predicted = predict(
                model,
                ready.task,
                test,
                tokenizer,
                self.accelerator,
                batch_size=size,
                virtual_tokens=ready.adapted.virtual_tokens,
            )
            generated = write_texts(
                model, ready.task, test, tokenizer, self.accelerator, batch_size=size
            )
        clock.test = time.perf_counter() - started
        if self.accelerator.is_main_process:
            self.loader.start()  # imports while this process scores; sooner would slow the test
        return Tested(predicted, generated, score_split(ready.task, test, predicted, generated))

    def _result(
        self, ready: Prepared, clock: record.Clock, pieces: dict[str, int], tested: Tested
    ) -> dict[str, Any]:
        """What is known before the export: scores, costs, conditions."""
        recipe, data = self.recipe, ready.data
        validation, selected = record.validation_record(ready.session, clock)
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
            "metrics": {"test": tested.metrics, "validation": validation},
            "selected": selected,
            "parameters": ready.parameters,
            "memory": ready.meter.record(pieces),
            "policy": policy,
            "data": record.data_record(data, ready.splits),
            "comparability": record.comparability(
                recipe, data, ready.adapted.base, policy, ready.start
            ),
            "references": ready.references,
            "warnings": [*ready.adapted.base.notes, *data.notes, *_untrained(ready.session)],
        }

    def _export(self, ready: Prepared, result: dict[str, Any], predicted: Predicted) -> None:
        """Writes the adapter, checks it with a plain load, and completes the result with it."""
        self._phase("export")
        recipe, run = self.recipe, read_run(self.writer.path)
        shutil.rmtree(run.adapter, ignore_errors=True)  # of an attempt that ended right here
        expected = write_expected(run.path, ready.task, ready.splits["test"], predicted)
        with building(run.adapter) as folder:
            kind = write_weights(ready.adapted, recipe.method.name, folder)
            about = describe(folder, ready.adapted, ready.task, kind, recipe.model.max_length)
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


def _untrained(session: Session) -> list[str]:
    names = session.untrained
    if not names:
        return []
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return [f"{len(names)} of {len(session.parameters)} trained tensors got no gradient: {listed}"]
