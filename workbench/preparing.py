"""Everything that stands ready before the first step: data, base, method, features, session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import set_seed
from transformers import PreTrainedTokenizerBase

from workbench.data import load_data
from workbench.data.encode import Encoded, encode
from workbench.data.examples import ROLES, Data
from workbench.devices import Policy, choose_policy, make_accelerator, this_process
from workbench.errors import MethodError, UsageError
from workbench.launched import check_launch
from workbench.measure.evaluation import score_split, try_metrics
from workbench.measure.memory import MemoryMeter
from workbench.measure.parameters import count_parameters
from workbench.measure.untouched import References, references_of
from workbench.methods import METHODS, Adapted
from workbench.models import check_positions, load_base, load_tokenizer
from workbench.planning import (
    Calibration,
    Outline,
    adapt_empty,
    adapter_size,
    forecast,
    setting_for,
)
from workbench.recipe import Recipe
from workbench.starting import start_from
from workbench.store.disk import check_room
from workbench.tasks import AnyTask, make_task
from workbench.training import sharding, zero
from workbench.training.optimisation import total_steps
from workbench.training.rotation import MOST
from workbench.training.session import Session

SMALL_FILES = 16 * 2**20
"""Bytes set aside for the log, the events and the predictions."""


@dataclass
class Prepared:
    """A run before its first step."""

    data: Data
    task: AnyTask
    policy: Policy
    accelerator: Accelerator
    meter: MemoryMeter
    adapted: Adapted
    splits: dict[str, Encoded]
    session: Session
    parameters: dict[str, int]
    references: References
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
) -> Prepared:
    """Reads the data, makes features, loads a fresh base and puts the method on it.

    Args:
        checkpoints: the folder that the session saves to.
        phase: told what is being done.
        trial: leave the test split out, and the references, which are scores on it.

    Raises:
        WorkbenchError: when data, model or method do not work out.
    """
    process = this_process()
    check_launch(recipe.training, process.num_processes)
    data: Data = _first(lambda: load_data(recipe.data, recipe.task))
    if trial:
        data = data.without_test()
    task = make_task(recipe.task, data.label_names)
    expected = _check_room(recipe, task, checkpoints) if process.is_main_process else {}
    policy = choose_policy(recipe.training, process.device, process.num_processes)
    _check_sharing(recipe, task, policy)
    phase("load")
    tokenizer = load_tokenizer(recipe.model)
    splits = _encode(data, task, tokenizer, recipe.model.max_length)
    test = splits["test"]
    references = {} if trial else _references(recipe, task, policy, data, test, tokenizer)
    if process.is_main_process:  # before the meter starts, and before the run's own accelerator
        outline = Outline(recipe, task, policy, tokenizer, splits["train"])
        known = Calibration.of(policy, process.device)
        again = MemoryMeter.has_trained
        expected |= forecast(outline, process.device, seed, known, again=again)
    accelerator = make_accelerator(policy, recipe.training)
    meter = MemoryMeter(accelerator.device)
    meter.start()
    with meter.phase("load"):
        adapted, base_parameters = _adapt(recipe, seed, task, policy, len(splits["train"]))
        start = start_from(adapted, task, recipe.init_from) if recipe.init_from else None
    session = Session(
        accelerator,
        adapted,
        task,
        splits["train"],
        splits["validation"],
        recipe.training,
        recipe.learning_rate,
        seed,
        partial(score_split, task),
        checkpoints,
        policy.sharded,
        policy.zero,
    )
    if meter.device.type == "cuda":  # the session has moved the model there
        meter.note("load")
    parameters = count_parameters(adapted, base_parameters)
    return Prepared(
        data,
        task,
        policy,
        accelerator,
        meter,
        adapted,
        splits,
        session,
        parameters,
        references,
        start,
        expected,
    )


def _check_sharing(recipe: Recipe, task: AnyTask, policy: Policy) -> None:
    """Refuses, from shapes alone, a method that cannot be shared the way the processes share."""
    if policy.sharded:
        sharding.check(adapt_empty(recipe, task)[0], recipe.method)
    if policy.zero:
        zero.check(adapt_empty(recipe, task)[0], recipe.method)


def _encode(
    data: Data, task: AnyTask, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[str, Encoded]:
    """Features of each split, from the cache where they were made before."""
    encoder = task.encoder(tokenizer, max_length)
    splits: dict[str, Encoded] = {
        name: _first(partial(encode, getattr(data, name), encoder, tokenizer)) for name in ROLES
    }
    _refuse_empty(splits["train"])
    try_metrics(task, data.train.labels)
    return splits


def _references(
    recipe: Recipe,
    task: AnyTask,
    policy: Policy,
    data: Data,
    test: Encoded,
    tokenizer: PreTrainedTokenizerBase,
) -> References:
    """Scores to judge the test scores by; a base too large for one process is shared by all."""
    together = make_accelerator(policy, recipe.training) if policy.sharded else None
    device = this_process().device
    look_up = partial(references_of, recipe, task, data, test, tokenizer, device, together)
    references: References = look_up() if together else _first(look_up)
    return references


def _adapt(
    recipe: Recipe, seed: int, task: AnyTask, policy: Policy, features: int
) -> tuple[Adapted, int]:
    """A fresh base, seeded, with the method on it; and the parameters that it had before."""
    set_seed(seed)
    base = load_base(recipe.model, task, policy)
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


def _check_room(recipe: Recipe, task: AnyTask, checkpoints: Path) -> dict[str, Any]:
    """Refuses a run whose checkpoints and adapter may not fit on the disk, from shapes alone.

    A checkpoint holds the trained parameters and AdamW's two moments of each; the best state
    that it refers to, the parameters; the adapter holds them once more. Returns its size.
    """
    adapted, _ = adapt_empty(recipe, task)
    trained = sum(parameter.nbytes for parameter in adapted.trainable().values())
    needed = (3 + 1) * trained * MOST + trained + SMALL_FILES
    check_room(checkpoints.parent, needed, "the checkpoints and the adapter of this run")
    return {"adapter_bytes": adapter_size(adapted, recipe)["bytes"]}


def _first(work: Callable[[], Any]) -> Any:
    """Does something cached on the main process before the others do it."""
    with this_process().main_process_first():
        return work()


def _refuse_empty(train: Encoded) -> None:
    if not len(train):
        raise UsageError(
            "the training split gives not one feature",
            where="data",
            fix="check data.text and model.max_length",
        )
