"""The first two steps of a training, with shapes instead of numbers.

A run measures its memory over its first two steps, which hold the longest batches and, from the
second on, the optimizer's state. Here the same session takes the same two steps with fake tensors:
nothing in it is a formula of ours, so a new method or task is forecast without being known.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from transformers import PreTrainedTokenizerBase

from workbench.data.batches import PAD_TO_MULTIPLE, epoch_order
from workbench.data.encode import Encoded
from workbench.devices import Policy, as_if_alone, make_accelerator
from workbench.measure.memory import breakdown
from workbench.methods import METHODS
from workbench.models import build_fake
from workbench.planning.operations import Operations
from workbench.planning.pretending import World, pretending
from workbench.planning.shapes import setting_for
from workbench.recipe import Recipe
from workbench.recipe.schema import TrainingSpec
from workbench.tasks import AnyTask
from workbench.training.events import Step
from workbench.training.optimisation import total_steps
from workbench.training.session import Session

STEPS = 2
"""Steps that are rehearsed: as many as a run measures."""


@dataclass(frozen=True)
class Outline:
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
        """Examples per forward pass."""
        return min(self.recipe.training.micro_batch_size or self.share, self.share)


@dataclass
class Rehearsal:
    """A training without numbers that has taken its first steps and can be asked what-if."""

    outline: Outline
    world: World
    session: Session
    peak: int = 0
    """Most bytes that its tensors held at once."""
    pieces: dict[str, int] = dataclasses.field(default_factory=dict)
    """Bytes of weights, gradients and optimizer state, as ``measure.memory.breakdown``."""

    def peak_with(self, examples: int) -> int:
        """Most bytes at once in a further step of so many of the longest examples."""
        self._step(np.argsort(-self.outline.train.lengths, kind="stable"), examples)
        return self.world.peak

    def operations(self, width: int) -> Operations:
        """The operators of a further step whose longest example has about so many tokens."""
        lengths = self.outline.train.lengths
        heard = Operations()
        self.world.heard = heard.add
        try:
            self._step(np.argsort(np.abs(lengths - width), kind="stable"), self.outline.share)
        finally:
            self.world.heard = None
        return heard

    def _step(self, order: np.ndarray, examples: int) -> None:
        batch = np.resize(order[:examples], examples)
        self.world.full = _unpadded(self.outline.train.lengths[batch], self)
        self.world.reset()
        done = self.session.take_step(batch.tolist(), None)
        assert isinstance(done, Step)


@contextmanager
def rehearse(outline: Outline, seed: int) -> Iterator[Rehearsal]:
    """Takes a training's first steps without numbers; what comes out is valid inside the block."""
    spec = _as_one_process(outline)
    with as_if_alone():
        accelerator = make_accelerator(dataclasses.replace(outline.policy, processes=1), spec)
        with pretending() as world:
            session = _session(outline, spec, accelerator, seed)
            rehearsal = Rehearsal(outline, world, session)
            _take_steps(rehearsal, spec, seed)
            yield rehearsal
    accelerator.free_memory()


def _as_one_process(outline: Outline) -> TrainingSpec:
    """The training of one process: its share of each batch, nothing caught and nothing saved."""
    return outline.recipe.training.model_copy(
        update={"batch_size": outline.share, "auto_micro_batch": False}
    )


def _session(outline: Outline, spec: TrainingSpec, accelerator: Accelerator, seed: int) -> Session:
    recipe, task, train = outline.recipe, outline.task, outline.train
    base = build_fake(recipe.model, task, outline.policy, outline.tokenizer)
    if spec.gradient_checkpointing:
        base.model.activation_checkpointing_enable({"use_reentrant": False})
        base.model.enable_input_require_grads()
    setting = setting_for(task, total_steps(spec, len(train)))
    adapted = METHODS[recipe.method.name].apply(base, recipe.method, setting)
    nothing = np.zeros(0, dtype=np.int64)
    validation = dataclasses.replace(train, lengths=nothing, owners=nothing)
    return Session(
        accelerator,
        adapted,
        task,
        train,
        validation,
        spec,
        recipe.learning_rate,
        seed,
        lambda _encoded, _predicted: {},
        Path("nowhere"),
    )


def _take_steps(rehearsal: Rehearsal, spec: TrainingSpec, seed: int) -> None:
    world, session, train = rehearsal.world, rehearsal.session, rehearsal.outline.train
    order = epoch_order(train.lengths, spec.batch_size, seed=seed, epoch=0)
    batches = [order[i % len(order)] for i in range(STEPS)]
    world.reset()
    events = session.events()
    for batch in batches:
        world.full = _unpadded(train.lengths[batch], rehearsal)
        event = next(events, None)
        if not isinstance(event, Step):
            break
    rehearsal.peak = world.peak
    rehearsal.pieces = breakdown(session.model, session.optimizer, session.weights.kept_bytes)


def _unpadded(lengths: np.ndarray, rehearsal: Rehearsal) -> bool:
    """Whether texts of these lengths make a batch without padding."""
    widest = int(rehearsal.outline.train.lengths.max())
    width = min(-(-int(lengths.max()) // PAD_TO_MULTIPLE) * PAD_TO_MULTIPLE, widest)
    return bool((lengths == width).all())


def widths(train: Encoded, spec: TrainingSpec, seed: int, steps: int) -> Sequence[int]:
    """Tokens per row, padding included, of each of the first steps."""
    found: list[int] = []
    widest = int(train.lengths.max())
    epoch = 0
    while len(found) < steps:
        for batch in epoch_order(train.lengths, spec.batch_size, seed=seed, epoch=epoch):
            longest = int(train.lengths[batch].max())
            width = -(-longest // PAD_TO_MULTIPLE) * PAD_TO_MULTIPLE
            found.append(max(longest, min(width, widest)))
        epoch += 1
    return found[:steps]
