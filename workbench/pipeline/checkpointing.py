"""A training over all its attempts: what is saved of it, and how it resumes."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from accelerate.utils import broadcast_object_list

from workbench.costs.memory_meter import MemoryMeter
from workbench.distributed.policy import runs_beside
from workbench.pipeline import record
from workbench.pipeline.resume_check import Conditions, differences, refusal
from workbench.pipeline.solo_pace import SoloPace
from workbench.store import RunWriter, SilentWriter, read_run
from workbench.store.turns import turns_of_this_run
from workbench.training import checkpoints
from workbench.training.events import EVENTS
from workbench.training.trainer import Trainer

SMALL_BYTES = 16 * 2**20
"""Checkpoints up to this size cost nothing that anybody would notice."""
WORTH_BYTES_PER_SECOND = 8e6
"""Training that a byte of a larger one has to secure. Writing, hashing and reading back run at
about 170 MB/s on a plain disk, so that they stay below a twentieth of the training."""


@dataclass(kw_only=True)
class Checkpointer:
    """A training so far, over all its attempts."""

    trainer: Trainer
    writer: RunWriter | SilentWriter
    event: Callable[..., None]
    """Logs an event and shows it."""
    conditions: Conditions
    """What an attempt has to share with the one that it resumes."""
    clock: record.Clock = field(default_factory=record.Clock)
    pieces: dict[str, int] = field(default_factory=dict)
    """Bytes of weights, gradients and optimizer."""
    forced: list[str] = field(default_factory=list)
    """What had changed where an attempt was resumed by force."""
    warnings: list[str] = field(default_factory=list)
    beside: int = 0
    """Other runs on the same device at most, in any attempt."""
    solo: SoloPace = field(default_factory=SoloPace)

    def __post_init__(self) -> None:
        self._saved_at, self._saved_step = time.monotonic(), 0
        # AdamW keeps two moments for each parameter.
        self._bytes = 3 * sum(p.nbytes for p in self.trainer.parameters.values())

    @property
    def save_is_due(self) -> bool:
        """True on the main process once it is time; a validation saves by itself."""
        minutes = self.trainer.spec.checkpoint_minutes
        if minutes is None or not self.trainer.accelerator.is_main_process:
            return False
        return self._waited >= minutes * 60 and not self.trainer.validation_due()

    @property
    def _waited(self) -> float:
        """Seconds of training that a kill would cost now."""
        return time.monotonic() - self._saved_at

    def pause(self, until: float) -> str:
        """Scores and saves a training that was to go this far, and says so; else empty.

        The score is beside the run's validations and keeps no state: a training that is resumed
        from here is one that never paused.
        """
        trainer = self.trainer
        step, steps, validation = trainer.step, trainer.steps, trainer.validation
        if step != math.ceil(until * steps) or step == steps or not trainer.under_way.settled():
            return ""
        started = time.perf_counter()
        predicted = trainer.predict(validation)
        found = {"loss": predicted.loss, "metrics": trainer.score(validation, predicted)}
        seconds = time.perf_counter() - started
        self.event("paused", step=step, steps=steps, **found, seconds=seconds)
        self.save()
        return f"paused at step {step} of {steps}"

    def save_if_worth_it(self) -> None:
        """Saves at a good moment, unless that takes long for the little that it would secure."""
        small = self._bytes <= SMALL_BYTES
        if self.trainer.agree(small or self._waited >= self._bytes / WORTH_BYTES_PER_SECOND):
            self.save()

    def save(self) -> None:
        """Saves the training unless it is saved as it is; every process has to call it."""
        if self.trainer.step == self._saved_step:
            return
        saved = checkpoints.save(self.trainer, self.conditions, self.writer.mark())
        self.clock.add(saved)
        self.event(saved.kind, **asdict(saved))
        self._saved_at, self._saved_step = time.monotonic(), self.trainer.step

    def warn(self, messages: Iterable[str]) -> None:
        """Logs what an earlier attempt has not logged yet, and keeps it for the result."""
        for message in messages:
            if message not in self.warnings:
                self.event("warning", message=message)
                self.warnings.append(message)

    def _note_others(self) -> None:
        """Logs with how many other runs this attempt shares its device, if with any."""
        if others := runs_beside():
            self.event("beside", runs=others)
            self.beside = max(self.beside, others)
            steps, turns = self.trainer.steps, turns_of_this_run()
            self.solo = SoloPace(turns=turns, others=others, steps=steps)

    def note_in(self, result: dict[str, Any]) -> None:
        result["warnings"] += self.warnings
        if self.forced:
            result["forced"] = self.forced

    def times(self, total_seconds: float) -> dict[str, Any]:
        """Times for result.json, beside how many other runs they were measured, and those of steps
        that were taken alone."""
        beside = {"measured_beside": self.beside, **self.solo.record()} if self.beside else {}
        return self.clock.record(total_seconds) | beside

    def begin(self, meter: MemoryMeter, notes: Iterable[str], *, resume: bool, force: bool) -> None:
        """Begins an attempt: after the newest checkpoint or at the start, with notes to log.

        Raises:
            RunRefused: when the conditions have changed, unless ``force``.
            TrainingError: when the checkpoint is not of this training.
        """
        if resume:
            self._load_latest(meter, force=force)
        self._note_others()
        self.warn(notes)

    def _load_latest(self, meter: MemoryMeter, *, force: bool) -> None:
        """Goes back to the newest whole checkpoint, and forgets what was logged after it.

        Raises:
            RunRefused: when something is not what it was and nobody insists.
            TrainingError: when the checkpoint is not of this training.
        """
        loaded, damages = checkpoints.load_latest(self.trainer)
        changed: list[str] = []
        if loaded is not None:
            changed = differences(loaded.state["conditions"], self.conditions)
            if changed and not force:
                raise refusal(changed, read_run(self.writer.path).id)
            checkpoints.restore(self.trainer, loaded)
            self._saved_step = self.trainer.step
        kept = self.writer.forget_after(loaded.state["mark"] if loaded else 0)
        self._replay(broadcast_object_list([kept])[0], meter)  # only the first process reads them
        self.event("resumed", step=self.trainer.step)
        warnings = [f"a corrupt checkpoint was set aside: {damage}" for damage in damages]
        if loaded is None:
            warnings.append("no checkpoint to resume from: the run starts from the beginning")
        self.warn(warnings)
        if changed:
            self.event("forced", changed=changed)
        self.forced += changed

    def _replay(self, rows: list[dict[str, Any]], meter: MemoryMeter) -> None:
        """Counts what earlier attempts have logged; the time between them is nobody's.

        Where the clock was set back between two rows, what lay between them is not known.
        """
        self.clock.earlier = sum(
            max(0.0, after["time"] - before["time"])
            for before, after in pairwise(rows)
            if after["kind"] != "resumed"
        )
        for row in rows:
            kind = row["kind"]
            if kind in EVENTS:
                self.clock.add(EVENTS[kind].from_row(row))
            elif kind == "memory":
                every = row.get("of_process", [row])  # earlier versions noted the first one alone
                own = every[min(self.trainer.accelerator.process_index, len(every) - 1)]
                meter.phases["train"], self.pieces = own["peak_bytes"], own["pieces"]
                meter.keep_freed()
            elif kind == "beside":
                self.beside = max(self.beside, row["runs"])
            elif kind == "warning":
                self.warnings.append(row["message"])
            elif kind == "forced":
                self.forced += row["changed"]
