"""The first two steps of a training, with shapes instead of numbers.

They hold the longest batches and, from the second on, the optimizer's state; a run measures its
memory over them. Nothing here is a formula of ours: the same trainer takes them with fake tensors,
so a new method or task is forecast without being known.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedTokenizerBase

from workbench.costs.fake_tensors import MemoryTracker, fake_mode
from workbench.costs.memory_meter import breakdown
from workbench.costs.operations import OpCounts
from workbench.data.batches import PAD_TO_MULTIPLE, epoch_order, pad
from workbench.data.encode import Encoded
from workbench.distributed.accelerator import make_accelerator, single_process
from workbench.distributed.policy import Policy
from workbench.inference.batch_size import EvaluationBatch
from workbench.inference.predict import on_device
from workbench.methods.build import LoadBase, build_model
from workbench.models import fake_base
from workbench.recipe import Recipe
from workbench.recipe.schema import TrainingSpec
from workbench.tasks import AnyTask
from workbench.tasks.base import EVALUATION_SEED
from workbench.training.events import Step
from workbench.training.optimizer import total_steps
from workbench.training.trainer import Trainer

EVALUATED = 8
"""Texts of the evaluation that a dry run ends with: enough for what does not grow with them."""
STEPS = 2
"""Steps of a dry run: as many as a run measures."""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What a training is made of, but for the weights."""

    recipe: Recipe
    task: AnyTask
    policy: Policy
    tokenizer: PreTrainedTokenizerBase
    train: Encoded
    examples: int | None = None
    """Training examples, where ``train`` does not hold all of them."""
    upper_bound: bool = False
    """Whether ``train`` is made up of the longest texts that the recipe allows."""

    @property
    def share(self) -> int:
        """Examples of a step that fall to one process."""
        return math.ceil(self.recipe.training.batch_size / self.policy.processes)

    @property
    def at_once(self) -> int:
        return min(self.recipe.training.micro_batch_size or self.share, self.share)


@dataclass(frozen=True)
class StepProfile:
    """What a step of the dry run took."""

    examples: int  # of a forward pass
    width: int
    """Tokens per row of the widest of them, padding included."""
    live_bytes: np.ndarray
    """Bytes of all tensors, after each that came or went."""
    operations: OpCounts

    @property
    def peak(self) -> int:
        return int(self.live_bytes.max())


@dataclass(kw_only=True)
class DryRun:
    """A training without numbers that has taken its first steps and can be asked what-if."""

    run: RunSpec
    tracker: MemoryTracker
    trainer: Trainer
    taken: list[StepProfile] = field(default_factory=list)
    pieces: dict[str, int] = field(default_factory=dict)
    """Bytes of weights, gradients and optimizer state, as ``measure.memory.breakdown``."""

    @property
    def peak(self) -> int:
        """Most bytes that the tensors held at once in the first steps."""
        return max(step.peak for step in self.taken)

    def with_width(self, width: int) -> StepProfile:
        """A step whose longest example has about so many tokens, with its operators."""
        if self.taken[-1].width == width:
            return self.taken[-1]
        lengths, run = self.run.train.lengths, self.run
        order = np.argsort(np.abs(lengths - width), kind="stable")
        return self._further(order[: run.share], run.at_once, listening=True)

    def with_examples(self, examples: int) -> StepProfile:
        """A step with so many of the longest examples in a forward pass; as many passes as the
        recipe makes, but for those that only repeat the second."""
        run = self.run
        passes = 2 if run.at_once < run.share else 1
        last = self.taken[-1]
        if (examples, self.widest, 1) == (last.examples, last.width, passes):
            return last
        return self._further(np.resize(self._longest(examples), passes * examples), examples)

    def unpadded(self, examples: int) -> bool:
        """Whether so many of the longest examples make a forward pass without padding."""
        lengths = self.run.train.lengths[self._longest(examples)]
        return bool((lengths == self.widest).all())

    def evaluate(self) -> dict[str, int]:
        """What the test of one of the longest examples takes beside the weights, in bytes, and its
        tokens with virtual ones. It ends the training, so it is asked last."""
        model, run, tracker = self.trainer.finish().eval(), self.run, self.tracker
        rows = run.task.rows(run.train, self._longest(EVALUATED).tolist(), EVALUATION_SEED)
        batch = pad(rows, self.trainer.tokenizer, int(run.train.lengths.max()))
        batch = on_device(batch, self.trainer.accelerator.device)
        virtual_tokens = self.trainer.adapted.virtual_tokens
        tracker.full = self.unpadded(EVALUATED)
        tracker.reset()
        before = tracker.live
        with torch.no_grad():
            run.task.losses(run.task.outputs(model, batch, virtual_tokens), batch)
        row_bytes = (tracker.peak - before) // EVALUATED
        return {"row_bytes": row_bytes, "row_tokens": self.widest + virtual_tokens}

    @property
    def widest(self) -> int:
        """Tokens per row of a batch with the longest example."""
        return _width(self.run.train.lengths, self.run.train)

    def _longest(self, examples: int) -> np.ndarray:
        order = np.argsort(-self.run.train.lengths, kind="stable")
        return np.resize(order[:examples], examples)

    def _further(self, batch: np.ndarray, at_once: int, *, listening: bool = False) -> StepProfile:
        accumulation, indices = self.trainer.accumulation, batch.tolist()
        kept, accumulation.size = accumulation.size, at_once
        try:
            take = partial(self.trainer.take_step, indices, None)
            return self.take(indices, take, listening=listening)
        finally:
            accumulation.size = kept

    def take(self, batch: list[int], step: Callable[[], object], *, listening: bool) -> StepProfile:
        """Has a step taken and keeps what it did; of its operators only if ``listening``."""
        lengths = self.run.train.lengths[batch]
        operations = OpCounts()
        width = _width(lengths, self.run.train)
        self.tracker.full = bool((lengths == width).all())
        self.tracker.on_op = operations.add if listening else None
        self.tracker.reset()
        try:
            done = step()
        finally:
            self.tracker.on_op = None
        if not isinstance(done, Step):
            raise RuntimeError(f"a step of the dry run ended with {done}")
        at_once = min(self.trainer.accumulation.size or len(lengths), len(lengths))
        return StepProfile(at_once, width, np.array(self.tracker.live_bytes), operations)


@contextmanager
def dry_run(run: RunSpec, seed: int) -> Iterator[DryRun]:
    """Takes a training's first steps without numbers; what comes out is valid inside the block."""
    load = partial(fake_base, policy=run.policy, tokenizer=run.tokenizer)
    with single_process():
        accelerator = make_accelerator(replace(run.policy, processes=1), run.recipe.training)
        with fake_mode() as tracker:
            trainer = trial_trainer(run, load, accelerator, seed)
            dry = DryRun(run=run, tracker=tracker, trainer=trainer)
            order = epoch_order(run.train.lengths, trainer.spec.batch_size, seed=seed, epoch=0)
            events, steps = trainer.events(), min(STEPS, trainer.steps)
            for number in range(steps):
                # The guard watches the first step and has seen all it wants; in the last one there
                # is nothing but training.
                batch, last = order[number % len(order)], number == steps - 1
                dry.taken.append(dry.take(batch, lambda: next(events), listening=last))
            dry.pieces = breakdown(trainer.model, trainer.optimizer, trainer.weights.kept_bytes)
            yield dry


def trial_trainer(run: RunSpec, load: LoadBase, accelerator: Accelerator, seed: int) -> Trainer:
    """A trainer of one process: its share of each batch, nothing caught, validated or saved; to be
    used inside of ``single_process``."""
    changes = {"batch_size": run.share, "auto_micro_batch": False}
    training = run.recipe.training.model_copy(update=changes)
    recipe = run.recipe.model_copy(update={"training": training})
    train, nothing = run.train, np.zeros(0, dtype=np.int64)
    return Trainer(
        accelerator=accelerator,
        adapted=build_model(recipe, run.task, load, steps=total_steps(training, len(train))),
        task=run.task,
        train=train,
        validation=replace(train, lengths=nothing, owners=nothing),
        spec=training,
        peak_learning_rate=recipe.learning_rate,
        seed=seed,
        score=lambda _encoded, _predicted: {},
        eval_batch=EvaluationBatch(least=training.least_eval_batch),
        folder=Path("nowhere"),
    )


def _width(lengths: np.ndarray, train: Encoded) -> int:
    """Tokens per row of a batch of texts of these lengths, padding included."""
    padded = -(-int(lengths.max()) // PAD_TO_MULTIPLE) * PAD_TO_MULTIPLE
    return min(padded, int(train.lengths.max()))


def widths(train: Encoded, spec: TrainingSpec, seed: int, steps: int) -> Sequence[int]:
    """Tokens per row, padding included, of each of the first steps."""
    found: list[int] = []
    epoch = 0
    while len(found) < steps:
        order = epoch_order(train.lengths, spec.batch_size, seed=seed, epoch=epoch)
        found += [_width(train.lengths[batch], train) for batch in order]
        epoch += 1
    return found[:steps]
