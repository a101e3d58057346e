"""The training loop: one for every method, on one or several processes, as a generator.

It yields what happened and leaves logging, saving and stopping to the caller.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn

from workbench.data.batches import epoch_order, own_share, pad
from workbench.data.encode import Encoded, Row
from workbench.errors import TrainingError
from workbench.methods import Adapted
from workbench.recipe.catalogue import higher_is_better
from workbench.recipe.schema import TrainingSpec
from workbench.tasks import AnyTask, Predicted
from workbench.training import checkpoints, snapshots
from workbench.training.events import Best, Step, Validation
from workbench.training.frozen import FrozenWeights
from workbench.training.guards import MovementGuard, check_finite
from workbench.training.optimisation import (
    learning_rate,
    make_optimizer,
    norm_of,
    set_learning_rate,
    total_steps,
)
from workbench.training.prediction import on_device, predict

Scorer = Callable[[Encoded, Predicted], dict[str, float | None]]
"""Metrics of a split from what the model makes of it."""


@dataclass
class Session:
    """Everything that one training needs; ``events`` runs it."""

    accelerator: Accelerator
    adapted: Adapted
    task: AnyTask
    train: Encoded
    validation: Encoded
    spec: TrainingSpec
    peak_learning_rate: float
    seed: int
    score: Scorer
    folder: Path
    """Where checkpoints go."""
    step: int = 0
    validated_at: int = 0
    best: Best = field(default_factory=Best)
    untrained: list[str] = field(default_factory=list)
    """Trained tensors that got no gradient in the first steps, though their group did."""

    def __post_init__(self) -> None:
        self.parameters = self.adapted.trainable()
        self.tokenizer = self.adapted.base.tokenizer
        self.steps = total_steps(self.spec, len(self.train))
        self.steps_per_epoch = math.ceil(len(self.train) / self.spec.batch_size)
        optimizer = make_optimizer(self.parameters, self.spec, self.peak_learning_rate)
        self.frozen = FrozenWeights(self.adapted.model, self.accelerator.mixed_precision)
        self.model, self.optimizer = self.accelerator.prepare(self.adapted.model, optimizer)

    # --- the loop ---------------------------------------------------------------------------

    def events(self) -> Iterator[Step | Validation]:
        """Trains from the present step to the last, yielding each step and validation.

        Raises:
            TrainingError: on a non-finite loss or gradient (before the optimizer steps), and
                when the method or the head turns out not to be trained.
        """
        self.model.train()
        guard = MovementGuard(self.adapted) if self.step == 0 else None
        if self._validation_due():  # stopped between a step and its validation
            yield self._validate()
        while self.step < self.steps and not self._out_of_patience():
            epoch, position = divmod(self.step, self.steps_per_epoch)
            order = epoch_order(
                self.train.lengths, self.spec.batch_size, seed=self.seed, epoch=epoch
            )
            for batch in order[position:]:
                yield self._take_step(batch, guard)
                if guard and guard.done:
                    self.untrained, guard = guard.silent, None
                if self._validation_due():
                    yield self._validate()
                if self.step >= self.steps or self._out_of_patience():
                    break

    def _take_step(self, batch: list[int], guard: MovementGuard | None) -> Step:
        started = time.perf_counter()
        rate = learning_rate(self.step, self.steps, self.spec, self.peak_learning_rate)
        set_learning_rate(self.optimizer, rate)
        loss, tokens = self._accumulate(batch)
        if self.spec.max_grad_norm is not None:
            norm = float(
                self.accelerator.clip_grad_norm_(
                    list(self.parameters.values()), self.spec.max_grad_norm
                )
            )
        else:
            norm = norm_of(self.parameters)
        check_finite(loss, norm, self.step + 1, rate)
        if guard:
            guard.see_gradients()
        self.optimizer.step()
        self.step += 1
        if self.adapted.after_step:
            self.adapted.after_step(self.step)
        self.optimizer.zero_grad()
        if guard:
            guard.check()
        return Step(
            self.step,
            self.epoch,
            loss,
            rate,
            norm,
            time.perf_counter() - started,
            tokens,
            len(batch),
        )

    def _accumulate(self, batch: list[int]) -> tuple[float, int]:
        """Gradients of the mean loss over a whole batch: micro-batches, then processes.

        Each loss is divided by the weight of the whole batch (its examples, or its positions with
        a label) wherever it is computed. DistributedDataParallel averages over processes, so
        their number is multiplied back in. Returns the loss and the tokens.
        """
        processes = self.accelerator.num_processes
        rows = self.task.rows(self.train, batch, (self.seed, self.step // self.steps_per_epoch))
        total = sum(self.task.weight(row) for row in rows) or 1.0
        share = own_share(rows, self.accelerator.process_index, processes)
        largest_share = math.ceil(len(batch) / processes)
        size = self.spec.micro_batch_size or largest_share
        rounds = math.ceil(largest_share / size)
        summed, tokens_seen = 0.0, 0
        for number in range(rounds):
            # A process without examples left still takes part in the exchange, with weight 0.
            part = share[number * size : (number + 1) * size]
            last = number == rounds - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                losses, tokens = self._losses(part or rows[:1])
                loss = losses.sum() * (1.0 if part else 0.0)
                self.accelerator.backward(loss * processes / total)
            if part:
                summed, tokens_seen = summed + float(loss.detach()), tokens_seen + tokens
        if processes > 1:
            own = torch.tensor([summed, tokens_seen], device=self.accelerator.device)
            summed, tokens_seen = self.accelerator.reduce(own, "sum").tolist()
        return summed / total, int(tokens_seen)

    def _losses(self, rows: list[Row]) -> tuple[Tensor, int]:
        batch = pad(rows, self.tokenizer, int(self.train.lengths.max()))
        batch = on_device(batch, self.accelerator.device)
        outputs = self.task.outputs(self.model, batch, self.adapted.virtual_tokens)
        return self.task.losses(outputs, batch), batch.tokens

    @property
    def epoch(self) -> float:
        """Passes over the training split so far."""
        return round(self.step / self.steps_per_epoch, 4)

    # --- validation -------------------------------------------------------------------------

    def _validation_due(self) -> bool:
        if len(self.validation) == 0 or self.step == self.validated_at:
            return False
        every = self.spec.validate_every
        interval = self.steps_per_epoch if every == "epoch" else every
        return self.step % interval == 0 or self.step == self.steps

    def _validate(self) -> Validation:
        started = time.perf_counter()
        self.validated_at = self.step
        predicted = self.predict(self.validation)
        loss, metrics = predicted.loss, self.score(self.validation, predicted)
        name = self.task.spec.score_names[0]
        value = next(iter(metrics.values())) if name not in metrics else metrics[name]
        better = self.best.beaten_by(value, loss, higher=higher_is_better(name))
        if better:
            self.best = Best(self.step, value, loss)
            self.save("best", optimizer=False)
        else:
            self.best.misses += 1
        return Validation(
            self.step, self.epoch, loss, metrics, better, time.perf_counter() - started
        )

    def _out_of_patience(self) -> bool:
        patience = self.spec.early_stopping_patience
        return patience is not None and self.best.misses >= patience

    def predict(self, encoded: Encoded) -> Predicted:
        """What the model makes of a split in the training's precision."""
        return predict(
            self.model,
            self.task,
            encoded,
            self.tokenizer,
            self.accelerator,
            batch_size=self.spec.evaluation_batch_size,
            virtual_tokens=self.adapted.virtual_tokens,
        )

    def agree(self, flag: bool) -> bool:
        """True on every process when it is true on any."""
        if self.accelerator.num_processes == 1:
            return flag
        votes = torch.tensor(float(flag), device=self.accelerator.device)
        return bool(self.accelerator.reduce(votes, "sum") > 0)

    def finish(self) -> nn.Module:
        """Ends the training: the kept state in the bare fp32 model, the same on every process."""
        model = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        self.frozen.restore()
        if self.spec.keep == "best" and self.best.step is not None:
            if self.accelerator.is_main_process:
                tensors, _ = checkpoints.load(self.folder / "best")
                kept = self.folder / "best"
                snapshots.restore_parameters(self.parameters, tensors["trainable"], kept)
            if self.accelerator.num_processes > 1:
                for parameter in self.parameters.values():
                    broadcast(parameter.data)
        return model  # type: ignore[no-any-return]

    # --- saving and resuming ----------------------------------------------------------------

    def save(self, name: str, *, optimizer: bool = True) -> None:
        """Writes a checkpoint from the main process; with the optimizer it can be resumed."""
        if not self.accelerator.is_main_process:
            return
        tensors: snapshots.Tensors = {"trainable": dict(self.parameters)}
        if optimizer:
            tensors["optimizer"] = snapshots.optimizer_tensors(self.optimizer, self.parameters)
            tensors["random"] = snapshots.random_state(self.accelerator.device)
        state = {
            "step": self.step,
            "steps": self.steps,
            "validated_at": self.validated_at,
            "examples": self.train.examples_hash,
            "best": vars(self.best),
        }
        checkpoints.save(self.folder / name, tensors, state)

    def resume(self, name: str) -> None:
        """Goes back to a checkpoint that was written with its optimizer.

        Raises:
            TrainingError: when it is damaged, absent or belongs to another run.
        """
        tensors, state = checkpoints.load(self.folder / name)
        same_data = state["examples"] == self.train.examples_hash
        if state["steps"] != self.steps or not same_data or "optimizer" not in tensors:
            raise TrainingError(
                "the checkpoint is of other training examples"
                if not same_data
                else f"the checkpoint is of a run of {state['steps']} steps, this has {self.steps}",
                where=str(self.folder / name),
                fix="`workbench run` starts the run from the beginning",
            )
        snapshots.restore_parameters(self.parameters, tensors["trainable"], self.folder / name)
        snapshots.restore_optimizer(self.optimizer, self.parameters, tensors["optimizer"])
        snapshots.restore_random_state(tensors["random"], self.accelerator.device)
        self.step, self.validated_at = state["step"], state["validated_at"]
        self.best = Best(**state["best"])
