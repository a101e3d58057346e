"""Everything that stands ready before the first step: base, method and trainer of one seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import set_seed
from transformers import PreTrainedTokenizerBase

from workbench.adapters.init_from import start_from
from workbench.costs.memory_meter import MemoryMeter
from workbench.costs.parameters import count_parameters
from workbench.costs.shapes import setting_for
from workbench.data.examples import Data
from workbench.distributed.accelerator import make_accelerator, this_process
from workbench.distributed.launcher import check_launch
from workbench.distributed.policy import Policy
from workbench.errors import MethodError
from workbench.methods import METHODS, AdaptedModel
from workbench.metrics.evaluate import score_split
from workbench.models import check_positions, load_base
from workbench.pipeline.recipe_setup import RecipeSetup, StudyCache, disk_bytes, main_first, set_up
from workbench.recipe import Recipe
from workbench.store.disk import check_room
from workbench.tasks import AnyTask, make_task
from workbench.training.optimizer import total_steps
from workbench.training.trainer import Trainer


@dataclass(kw_only=True)
class RunSetup:
    """A run before its first step."""

    setup: RecipeSetup
    accelerator: Accelerator
    meter: MemoryMeter
    adapted: AdaptedModel
    trainer: Trainer
    parameters: dict[str, int]
    start: str | None
    """sha256 of the adapter that the run went on from."""
    forecast: dict[str, Any]
    """What was expected of the training before it began; empty on all processes but one."""


def prepare(
    recipe: Recipe,
    seed: int,
    checkpoints: Path,
    phase: Callable[[str], None],
    *,
    trial: bool = False,
    cache: StudyCache | None = None,
) -> RunSetup:
    """Reads the data, makes features, loads a fresh base and puts the method on it.

    Args:
        checkpoints: the folder that the trainer saves to.
        phase: told what is being done.
        trial: leave the test split out, and the references, which are scores on it.
        cache: of the runs of one command, which share what does not depend on the seed.

    Raises:
        WorkbenchError: when data, model or method do not work out.
    """
    process, cache = this_process(), cache or StudyCache()
    check_launch(recipe.training, process.num_processes)
    data: Data = main_first(lambda: cache.data(recipe))
    if trial:
        data = data.without_test()
    key = recipe.fingerprint, trial
    expected = {}
    if process.is_main_process:
        task = make_task(recipe.task, data.label_names)
        adapter, most = cache.get("bytes", key, lambda: disk_bytes(recipe, task))
        check_room(checkpoints.parent, most, "the checkpoints and the adapter of this run")
        expected = {"adapter_bytes": adapter}
    phase("load")
    setup = cache.get("setup", key, lambda: set_up(recipe, seed, data, trial=trial))
    accelerator = make_accelerator(setup.policy, recipe.training)
    meter = MemoryMeter(accelerator.device)
    meter.start()
    with meter.phase("load"):
        tokenizer, features = setup.fresh_tokenizer(), len(setup.splits["train"])
        adapted, base_parameters = _adapt(
            recipe, seed, setup.task, setup.policy, features, tokenizer
        )
        start = start_from(adapted, setup.task, recipe.init_from) if recipe.init_from else None
    trainer = Trainer(
        accelerator=accelerator,
        adapted=adapted,
        task=setup.task,
        train=setup.splits["train"],
        validation=setup.splits["validation"],
        spec=recipe.training,
        peak_learning_rate=recipe.learning_rate,
        seed=seed,
        score=partial(score_split, setup.task),
        folder=checkpoints,
        sharded=setup.policy.sharded,
        zero=setup.policy.zero,
    )
    if meter.device.type == "cuda":  # the trainer has moved the model there
        meter.note("load")
    return RunSetup(
        setup=setup,
        accelerator=accelerator,
        meter=meter,
        adapted=adapted,
        trainer=trainer,
        parameters=count_parameters(adapted, base_parameters),
        start=start,
        forecast={**expected, **setup.forecast},
    )


def _adapt(
    recipe: Recipe,
    seed: int,
    task: AnyTask,
    policy: Policy,
    features: int,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> tuple[AdaptedModel, int]:
    """A fresh base, seeded, with the method on it; and the parameters that it had before."""
    set_seed(seed)
    base = load_base(recipe.model, task, policy, tokenizer)
    check_positions(base, recipe.model.max_length, recipe.method.prompt_length)
    count = base.parameter_count
    if recipe.training.gradient_checkpointing:
        base.model.activation_checkpointing_enable({"use_reentrant": False})
        base.model.enable_input_require_grads()
    setting = setting_for(task, total_steps(recipe.training, features))
    method = METHODS[recipe.method.name]
    adapted = method.apply(base, recipe.method, setting)
    if not adapted.trainable():
        raise MethodError(
            f"{recipe.method.name} has nothing to train on {base.config.model_type}",
            where="method.name",
            why="the model has no parameters of that kind (many decoders have no biases)",
            fix="take lora, prefix or prompt",
        )
    if method.initialise:
        method.initialise(adapted, recipe.method, setting)
    return adapted, count
