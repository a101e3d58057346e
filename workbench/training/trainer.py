"""The training loop: one for every method, on one or several processes, as a generator.

It yields what happened and leaves logging, saving and stopping to the caller.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.optim import Optimizer

from workbench.data.encode import Encoded
from workbench.distributed.tensors import gather, shapes_only
from workbench.inference.batch_size import EvaluationBatch
from workbench.inference.predict import predict
from workbench.methods import AdaptedModel
from workbench.models import only_first_token
from workbench.recipe.catalogue import deciding_score, higher_is_better
from workbench.recipe.schema import TrainingSpec
from workbench.tasks import AnyTask, Predicted
from workbench.training import checkpoint_files, state_dicts
from workbench.training.accumulation import Accumulation
from workbench.training.checkpoint_folder import CheckpointFolder
from workbench.training.events import (
    BestCheckpoint,
    Checkpoint,
    Event,
    MicroBatch,
    Step,
    Validation,
)
from workbench.training.frozen_weights import FrozenWeights
from workbench.training.gradients import GradientSync
from workbench.training.guards import MovementGuard
from workbench.training.launched import Launched, UnderWay
from workbench.training.optimizer import make_optimizer, total_steps
from workbench.training.sharding import ShardedWeights
from workbench.training.stepping import Stepping
from workbench.training.zero import ZeroSync

Scorer = Callable[[Encoded, Predicted], dict[str, float | None]]
"""Metrics of a split from what the model makes of it."""


@dataclass(kw_only=True)
class Trainer:
    """Everything that one training needs; ``events`` runs it."""

    accelerator: Accelerator
    adapted: AdaptedModel
    task: AnyTask
    train: Encoded
    validation: Encoded
    spec: TrainingSpec
    peak_learning_rate: float
    seed: int
    score: Scorer
    eval_batch: EvaluationBatch
    folder: Path
    """Where checkpoints go."""
    sharded: bool = False
    """Whether the processes share the weights, instead of each having them all."""
    zero: int = 0
    """Stage of DeepSpeed's ZeRO that shares the optimizer state; 0 where each has it all."""
    reads_behind: bool = False
    """Whether a step is read, and comes out, after the next one has been launched."""
    step: int = 0
    validated_at: int = 0
    best: BestCheckpoint = field(default_factory=BestCheckpoint)
    untrained: list[str] = field(default_factory=list)
    """Trained tensors that got no gradient in the first steps, though their group did."""

    def __post_init__(self) -> None:
        precision = self.accelerator.mixed_precision
        self.weights: FrozenWeights | ShardedWeights = (
            ShardedWeights(self.adapted, precision, self.accelerator.device)
            if self.sharded
            else FrozenWeights(self.adapted.model, precision)
        )
        self.parameters = self.adapted.trainable()
        self.tokenizer = self.adapted.base.tokenizer
        self.steps = total_steps(self.spec, len(self.train))
        self.checkpoints = CheckpointFolder(self.folder)
        self.steps_per_epoch = math.ceil(len(self.train) / self.spec.batch_size)
        optimizer = make_optimizer(self.parameters, self.spec, self.peak_learning_rate)
        # What a method does after a step it would do after a skipped one, too.
        self.reads_behind = self.reads_behind and self.adapted.after_step is None
        self.under_way = UnderWay()
        self._training_only = ExitStack()
        self._training_only.enter_context(only_first_token(self.adapted.model))
        self.gradients = self._sync(optimizer)
        self.model, self.optimizer = self.gradients.model, self.gradients.optimizer
        self.accumulation = Accumulation(
            accelerator=self.accelerator,
            gradients=self.gradients,
            adapted=self.adapted,
            task=self.task,
            train=self.train,
            spec=self.spec,
            agree=self.agree,
        )
        self.stepping = Stepping(
            accumulation=self.accumulation,
            peak_learning_rate=self.peak_learning_rate,
            seed=self.seed,
            steps=self.steps,
            steps_per_epoch=self.steps_per_epoch,
            adamw=optimizer,
            reads_behind=self.reads_behind,
        )

    def _sync(self, optimizer: Optimizer) -> GradientSync:
        parts = (self.accelerator, self.adapted.model, optimizer, self.parameters)
        if not self.zero:
            return GradientSync(*parts)
        return ZeroSync(*parts, training=self.spec)

    # --- the loop ---------------------------------------------------------------------------

    def events(self) -> Iterator[Event]:
        """Trains from the present step to the last, yielding each step and validation, the best
        states that were saved, and each reduction of what is tried at once.

        With ``reads_behind`` a step comes out when the one after it has been launched, and
        ``step`` is one further until ``under_way`` is settled.

        Raises:
            TrainingError: on a non-finite loss or gradient (before the optimizer steps), and
                when the method or the head turns out not to be trained.
        """
        self.model.train()
        first = self.step == 0
        guard = MovementGuard(self.adapted, self.gradients.gradient) if first else None
        if self.validation_due():  # stopped between a step and its validation
            yield from self._validate()
        while self.step < self.steps and not self._out_of_patience():
            launched = self._launch(self.stepping.batch(self.step), guard)
            if isinstance(launched, MicroBatch):
                yield launched
                continue
            yield from self.under_way.follow(launched)
            if guard and guard.done:
                self.untrained, guard = guard.silent, None
            if self._has_to_settle:
                yield from self.under_way.settle()
            if self.validation_due():
                yield from self._validate()

    @property
    def _has_to_settle(self) -> bool:
        """Whether the step that was launched last is read before anything else happens."""
        if not self.accumulation.stays_on_device or self.under_way.to_settle:
            return True
        return self.step >= self.steps or self.validation_due()

    def take_step(self, batch: list[int], guard: MovementGuard | None) -> Step | MicroBatch:
        """One optimizer step; or nothing but the smaller micro-batch to try it with."""
        launched = self._launch(batch, guard)
        return launched if isinstance(launched, MicroBatch) else launched.read()

    def _launch(self, batch: list[int], guard: MovementGuard | None) -> Launched | MicroBatch:
        launched = self.stepping.launch(self.step, batch, guard)
        if isinstance(launched, Launched):
            self.step = launched.step
        return launched

    @property
    def epoch(self) -> float:
        """Passes over the training split so far."""
        return self.stepping.epoch(self.step)

    # --- validation -------------------------------------------------------------------------

    def validation_due(self) -> bool:
        """True where the present step is to be validated and has not been."""
        if len(self.validation) == 0 or self.step == self.validated_at:
            return False
        every = self.spec.validate_every
        interval = self.steps_per_epoch if every == "epoch" else every
        return self.step % interval == 0 or self.step == self.steps

    def _validate(self) -> Iterator[Checkpoint | Validation]:
        """Scores the validation split. A better state is saved before anything refers to it."""
        started = time.perf_counter()
        self.validated_at = self.step
        predicted = self.predict(self.validation)
        loss, metrics = predicted.loss, self.score(self.validation, predicted)
        name = self.task.spec.score_names[0]
        value = deciding_score(metrics, name)
        better = self.best.is_improved_by(value, loss, higher=higher_is_better(name))
        seconds = time.perf_counter() - started
        if better:
            self.best = BestCheckpoint(self.step, value, loss)
            yield self._save_best()
        elif value is not None:  # one that is not defined says nothing about improvement
            self.best.epochs_without_improvement += 1
        yield Validation(
            step=self.step,
            epoch=self.epoch,
            loss=loss,
            metrics=metrics,
            best=better,
            seconds=seconds,
        )

    def _save_best(self) -> Checkpoint:
        started, written = time.perf_counter(), 0
        trainable = gather(dict(self.parameters))
        if self.accelerator.is_main_process:
            tensors: checkpoint_files.Tensors = {
                "trainable": trainable,
                "method": self.method_state(),
            }
            written = self.checkpoints.save_best(self.step, tensors, vars(self.best))
        return Checkpoint(self.step, "best", written, time.perf_counter() - started)

    def _out_of_patience(self) -> bool:
        patience = self.spec.early_stopping_patience
        return patience is not None and self.best.epochs_without_improvement >= patience

    def predict(
        self,
        encoded: Encoded,
        *,
        alone: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Predicted:
        """What the model makes of a split: in the training's precision until ``finish``."""
        return predict(
            self.model,
            self.task,
            encoded,
            self.tokenizer,
            self.accelerator,
            batch_size=self.eval_batch,
            virtual_tokens=self.adapted.virtual_tokens,
            alone=alone,
            on_progress=on_progress,
        )

    def agree(self, flag: bool) -> bool:
        """True on every process when it is true on any."""
        if self.accelerator.num_processes == 1:
            return flag
        votes = torch.tensor(float(flag), device=self.accelerator.device)
        return bool(self.accelerator.reduce(votes, "sum") > 0)

    def finish(self) -> nn.Module:
        """Ends the training: the kept state in the bare model, the same on every process."""
        self.gradients.finish()
        self._training_only.close()
        if self.spec.keep == "best" and self.best.step is not None:
            self._restore_best(self.checkpoints.best(self.best.step))
        self.weights.restore()
        self.model = self.adapted.model
        return self.adapted.model

    def _restore_best(self, kept: Path) -> None:
        """Only the first process reads: the others may be on a machine without the folder."""
        main = self.accelerator.is_main_process
        tensors = checkpoint_files.load(kept)[0] if main else {}
        if main or self.sharded:
            saved = tensors.get("trainable") or shapes_only(self.parameters)
            state_dicts.restore_parameters(self.parameters, saved, kept)
        if main:
            self.restore_method_state(tensors["method"])
        if self.accelerator.num_processes > 1 and not self.sharded:
            for parameter in self.parameters.values():
                broadcast(parameter.data)

    def gather_on_main(self, *, everything: bool) -> None:
        """Lets the first process have all that is exported, in a plain model."""
        if isinstance(self.weights, ShardedWeights):
            self.weights.gather_on_main(everything=everything)

    def method_state(self) -> dict[str, Tensor]:
        """What the method keeps outside the weights; empty for most."""
        return self.adapted.own_state.read() if self.adapted.own_state else {}

    def restore_method_state(self, saved: dict[str, Tensor]) -> None:
        """Gives the method back what it keeps outside the weights."""
        if self.adapted.own_state:
            self.adapted.own_state.write(saved)
