"""The gradients of one optimizer step: micro-batches, then processes, as large as memory allows."""

import gc
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
import torch.distributed
from accelerate import Accelerator

from workbench.data.batches import own_share, pad
from workbench.data.encode import Encoded, Row
from workbench.distributed.accelerator import is_out_of_memory
from workbench.errors import TrainingError
from workbench.inference.predict import on_device
from workbench.methods import AdaptedModel
from workbench.recipe.schema import TrainingSpec
from workbench.tasks import AnyTask
from workbench.tasks.base import Losses
from workbench.training import state_dicts
from workbench.training.events import MicroBatch
from workbench.training.gradients import GradientSync


@dataclass(frozen=True)
class Accumulated:
    """What a whole batch came to; its gradients lie in the parameters."""

    loss: float
    """Mean loss per example (or labelled position) of the batch, over all processes."""
    parts: dict[str, float]
    """The means that the loss was weighed from; empty where it is one loss."""
    tokens: int


@dataclass(kw_only=True)
class Accumulation:
    """Adds up the gradients of a whole batch from what fits into memory at once.

    Each loss is divided by the weight of the whole batch (its examples, or its positions with a
    label) wherever it is computed, so the effective batch is the recipe's whatever the number of
    processes and the size of the micro-batches.
    """

    accelerator: Accelerator
    gradients: GradientSync
    adapted: AdaptedModel
    task: AnyTask
    train: Encoded
    spec: TrainingSpec
    agree: Callable[[bool], bool]
    """True on every process when it is true on any."""
    size: int | None = field(init=False)
    """Examples per forward pass and process; None for all of the process's share."""

    def __post_init__(self) -> None:
        self.size = self.spec.micro_batch_size

    @property
    def largest(self) -> int:
        """Examples of the largest forward pass that a whole batch is made of."""
        share: int = math.ceil(self.spec.batch_size / self.accelerator.num_processes)
        return min(self.size or share, share)

    def accumulate(self, rows: Sequence[Row], step: int) -> Accumulated | MicroBatch:
        """Gradients of the mean loss over the rows of a batch, the same on every process.

        With ``auto_micro_batch`` a batch that does not fit leaves no trace but a smaller ``size``,
        agreed between the processes: the gradients are empty again and the random numbers as they
        were, so the next try is what it would have been with that size in the recipe.

        Raises:
            TrainingError: when not even one example fits.
        """
        if not self.spec.auto_micro_batch:
            return self._whole(self._pass(rows, exchanging=True), rows)
        device = self.accelerator.device
        random = state_dicts.random_state(device)
        sums: dict[str, float] | None = None
        try:
            sums = self._pass(rows, exchanging=False)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Gradients travel only once all processes have theirs: one that ran out of memory in the
        # middle of its backward pass would leave the others waiting.
        if self.agree(sums is None) or sums is None:
            self._forget()
            state_dicts.restore_random_state(random, device)
            return self._halve(len(rows), step)
        self.gradients.all_reduce()
        return self._whole(sums, rows)

    def _pass(self, rows: Sequence[Row], *, exchanging: bool) -> dict[str, float]:
        """Forward and backward over this process's share; its sums of losses and tokens.

        DistributedDataParallel averages over processes while it exchanges, so their number is
        multiplied back in.
        """
        processes = self.accelerator.num_processes
        total, factor = self._weight(rows), processes if exchanging else 1
        share = own_share(rows, self.accelerator.process_index, processes)
        largest_share = math.ceil(len(rows) / processes)
        size = self.size or largest_share
        rounds = math.ceil(largest_share / size)
        sums: dict[str, float] = defaultdict(float)
        for number in range(rounds):
            # A process without examples left still takes part in the exchange, with weight 0.
            part = share[number * size : (number + 1) * size]
            syncing = exchanging and number == rounds - 1
            with nullcontext() if syncing else self.gradients.no_sync():
                losses, tokens = self._losses(part or rows[:1])
                loss = losses.total.sum() * (1.0 if part else 0.0)
                self.gradients.backward(loss * factor / total)
            named = {name: each.sum() for name, each in losses.parts.items()}
            for name, value in {"loss": loss, **named}.items():
                sums[name] += float(value.detach()) if part else 0.0
            sums["tokens"] += tokens if part else 0
        return sums

    def _losses(self, rows: Sequence[Row]) -> tuple[Losses, int]:
        batch = pad(rows, self.adapted.base.tokenizer, int(self.train.lengths.max()))
        batch = on_device(batch, self.accelerator.device)
        losses = self.task.training_losses(self.gradients.model, batch, self.adapted.virtual_tokens)
        return losses, batch.tokens

    def _weight(self, rows: Sequence[Row]) -> float:
        return sum(self.task.training_weight(row) for row in rows) or 1.0

    def _whole(self, sums: dict[str, float], rows: Sequence[Row]) -> Accumulated:
        """The losses of all processes together."""
        if self.accelerator.num_processes > 1:
            own = torch.tensor(list(sums.values()), device=self.accelerator.device)
            sums = dict(zip(sums, self.accelerator.reduce(own, "sum").tolist(), strict=True))
        total = self._weight(rows)
        loss, tokens = sums.pop("loss"), int(sums.pop("tokens"))
        parts = {name: each / total for name, each in sums.items()}
        return Accumulated(loss / total, parts, tokens)

    def _forget(self) -> None:
        """Frees what the failed try has left behind."""
        for parameter in self.adapted.trainable().values():
            parameter.grad = None
        gc.collect()
        if self.accelerator.device.type == "cuda":
            torch.cuda.empty_cache()

    def _halve(self, examples: int, step: int) -> MicroBatch:
        share = math.ceil(examples / self.accelerator.num_processes)
        tried = min(self.size or share, share)
        if tried == 1:
            raise TrainingError(
                "out of memory with one example per forward pass",
                where=f"step {step}",
                why="training.auto_micro_batch has nothing left to halve",
                fix="lower model.max_length, switch training.gradient_checkpointing on, or take "
                "a smaller model",
            )
        self.size = tried // 2
        return MicroBatch(step, tried, self.size)
