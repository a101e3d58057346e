"""Saving a training so that it resumes exactly, and going back to what was saved."""

import time
from dataclasses import replace
from typing import Any

from accelerate.utils import broadcast_object_list, gather_object

from workbench.distributed.tensors import gather, shapes_only
from workbench.errors import TrainingError
from workbench.recipe.renamed import best_as_today
from workbench.training import state_dicts
from workbench.training.checkpoint_files import Tensors
from workbench.training.checkpoint_folder import Loaded
from workbench.training.events import BestCheckpoint, Checkpoint
from workbench.training.trainer import Trainer

VERSION = 1
"""Version of what a checkpoint holds."""


def save(trainer: Trainer, conditions: dict[str, Any], mark: int) -> Checkpoint:
    """Writes everything that the training resumes from; every process has to call it.

    The order of the examples and the learning rate are functions of seed and step, so the step is
    all there is to say of them. Each process contributes its random numbers; the first one writes.

    Args:
        conditions: what a training has to share with this one to resume from it.
        mark: bytes of the event log that belong to it.

    Raises:
        StorageError: when it cannot be written; what was saved before is still there.
    """
    started, written = time.perf_counter(), 0
    random = gather_object([state_dicts.random_state(trainer.accelerator.device)])
    trainable = gather(dict(trainer.parameters))
    optimizer = trainer.gradients.optimizer_tensors()
    if trainer.accelerator.is_main_process:
        tensors: Tensors = {
            "trainable": trainable,
            "optimizer": optimizer,
            "random": state_dicts.of_all_processes(random),
            "method": trainer.method_state(),
        }
        state = {
            "version": VERSION,
            "step": trainer.step,
            "steps": trainer.steps,
            "validated_at": trainer.validated_at,
            "best": vars(trainer.best),
            "micro_batch_size": trainer.accumulation.size,
            "untrained": trainer.untrained,
            "processes": trainer.accelerator.num_processes,
            "conditions": conditions,
            "mark": mark,
        }
        written = trainer.checkpoints.save_step(trainer.step, tensors, state, trainer.best.step)
    return Checkpoint(trainer.step, "step", written, time.perf_counter() - started)


def load_latest(trainer: Trainer) -> tuple[Loaded | None, list[str]]:
    """The newest checkpoint that is whole, on every process, and what is wrong with newer ones.

    The first process reads it for all: the others may be on a machine without the run's folder.
    """
    found: list[Any] = [None, []]
    if trainer.accelerator.is_main_process:
        trainer.checkpoints.remove_leftovers()
        keeps_best = trainer.spec.keep == "best"
        loaded, damages = trainer.checkpoints.latest_valid(with_best=keeps_best)
        trainer.checkpoints.drop_unneeded(loaded.state["best"]["step"] if loaded else None)
        found = [loaded, damages]
    own = found[0]
    if trainer.sharded and own is not None:  # the others get their parts of it later
        cut = {stem: shapes_only(own.tensors[stem]) for stem in ("trainable", "optimizer")}
        found[0] = replace(own, tensors={**own.tensors, **cut})
    loaded, damages = broadcast_object_list(found)
    return own or loaded, damages


def restore(trainer: Trainer, loaded: Loaded) -> None:
    """Takes the training back to a checkpoint.

    Raises:
        TrainingError: when it holds other parameters, another number of steps or no random state.
    """
    tensors, state = loaded.tensors, loaded.state
    if state["steps"] != trainer.steps:
        raise TrainingError(
            f"the checkpoint is of a run of {state['steps']} steps, this has {trainer.steps}",
            where=str(loaded.path),
            why="the learning rate of a step depends on how many there will be",
            fix="`workbench run` starts the run from the beginning",
        )
    state_dicts.restore_parameters(trainer.parameters, tensors["trainable"], loaded.path)
    trainer.gradients.restore_optimizer(tensors["optimizer"])
    trainer.restore_method_state(tensors["method"])
    # A run that was forced onto more processes has no numbers of their own for the new ones.
    process = trainer.accelerator.process_index % state["processes"]
    own = state_dicts.of_process(tensors["random"], process)
    state_dicts.restore_random_state(own, trainer.accelerator.device)
    trainer.step, trainer.validated_at = state["step"], state["validated_at"]
    trainer.best = BestCheckpoint(**best_as_today(state["best"]))
    trainer.untrained = state["untrained"]
    trainer.accumulation.size = state["micro_batch_size"]
