"""What the runs of one command share: data, tokens, baselines and the forecast, made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from transformers import PreTrainedTokenizerBase

from workbench.costs.adapter_size import adapter_size
from workbench.costs.calibration import Calibration
from workbench.costs.dry_run import RunSpec
from workbench.costs.forecast import forecast
from workbench.costs.warm_up import warm_up
from workbench.data import load_data
from workbench.data.encode import Encoded, encode, refuse_no_features
from workbench.data.examples import ROLES, Data
from workbench.data.vocabulary import refuse_tokens_without_rows, unknown_words
from workbench.distributed.accelerator import make_accelerator, this_process
from workbench.distributed.policy import Policy
from workbench.heavy_imports import one_arena
from workbench.inference.batch_size import EvaluationBatch
from workbench.methods import AdaptedModel
from workbench.methods.build import LoadBase, build_model
from workbench.metrics.baselines import Baselines, score_baselines
from workbench.metrics.evaluate import score_split
from workbench.metrics.fitting import check_units, fit_metrics
from workbench.models import embedding_rows, empty_base, load_base, load_tokenizer, policy_for
from workbench.recipe import Recipe
from workbench.store.disk import check_room
from workbench.tasks import AnyTask, make_task
from workbench.tasks.classes import set_class_weights
from workbench.training import sharding, zero
from workbench.training.checkpoint_folder import MOST
from workbench.training.optimizer import total_steps
from workbench.training.trainer import Trainer

T = TypeVar("T")

SMALL_FILES = 16 * 2**20
"""Bytes set aside for the log, the events and the predictions."""
MOST_FILES = 64
"""Of a run at once: three checkpoints of seven and their best states, the adapter, the records."""


CallState = tuple[dict[str, Any] | None, dict[str, Any] | None]
"""Truncation and padding of a fast tokenizer, which keeps those of its last call and writes them
into what is exported."""


class StudyCache:
    """Keeps the newest of each kind of thing that runs share, so that it does not grow.

    Without it a later seed of a recipe takes 0.2 s (MiniLM) to 1.5 s (SmolLM2-135M) of a core more
    (``python -m benchmarks.later_runs``, before and after): most of it is the forecast.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[object, Any]] = {}

    def get(self, kind: str, key: object, make: Callable[[], T]) -> T:
        """What was made with this key before, or what ``make`` returns now."""
        if kind not in self._kept or self._kept[kind][0] != key:
            self._kept.pop(kind, None)  # not held while the next one is made
            self._kept[kind] = key, make()
        value: T = self._kept[kind][1]
        return value

    def data(self, recipe: Recipe, seed: int = 0) -> Data:
        """The three splits of a recipe; all runs of a command see the data that the first saw.

        Args:
            seed: of the run, where it decides what it is trained on.

        Raises:
            DataError: the data cannot be trained or tested on.
        """
        key = recipe.data.model_dump_json(), recipe.task.model_dump_json(), _drawn_by(recipe, seed)
        return self.get("data", key, lambda: load_data(recipe.data, recipe.task, seed))

    def set_up(
        self, recipe: Recipe, seed: int, run: Path, phase: Callable[[str], None], *, trial: bool
    ) -> RecipeSetup:
        """What the seeds of a recipe share, once there is room on the disk for what a run writes.

        Args:
            run: the folder of the run.
            phase: told what is done next.
            trial: leave out the test split, and what ``set_up`` leaves out of a trial.

        Raises:
            WorkbenchError: when data, model, method or disk do not work out.
        """
        data = main_first(lambda: self.data(recipe, seed))
        data = data.without_test() if trial else data
        key = recipe.fingerprint, trial, _drawn_by(recipe, seed)
        written = self.get("bytes", key, lambda: count_bytes(recipe, data))
        if this_process().is_main_process:
            what = "the checkpoints and the adapter of this run"
            check_room(run, written["most"], what, files=MOST_FILES)
        phase("load")
        setup = self.get("setup", key, lambda: set_up(recipe, seed, data, trial=trial))
        return replace(setup, forecast={"adapter_bytes": written["adapter"], **setup.forecast})


def _drawn_by(recipe: Recipe, seed: int) -> int | None:
    """The seed of a run where it decides which rows the run trains on."""
    return seed if recipe.data.train_draw == "run" else None


@dataclass(frozen=True, kw_only=True)
class RecipeSetup:
    """What all seeds of a recipe have in common; no run changes any of it."""

    data: Data
    task: AnyTask
    policy: Policy
    tokenizer: PreTrainedTokenizerBase
    tokenizer_calls: CallState
    """How the tokenizer cuts and pads, as it was loaded."""
    splits: dict[str, Encoded]
    baselines: Baselines
    steps: int
    """Optimizer steps of a training."""
    evaluation: dict[str, int]
    """What an example of an evaluation takes, where that decides how many are taken at once."""
    forecast: dict[str, Any]
    """What is expected of a training before it begins, on the first process."""

    @property
    def load_base(self) -> LoadBase:
        """Loads a fresh base, with the tokenizer as it was loaded first: loading it again takes
        0.04 to 0.17 s, copying too."""
        (truncation, padding), backend = self.tokenizer_calls, self.tokenizer.backend_tokenizer
        backend.enable_truncation(**truncation) if truncation else backend.no_truncation()
        backend.enable_padding(**padding) if padding else backend.no_padding()
        return partial(load_base, policy=self.policy, tokenizer=self.tokenizer)


def count_bytes(recipe: Recipe, data: Data) -> dict[str, int]:
    """Bytes of the adapter, and at ``most`` of checkpoints and adapter at once, from shapes alone.

    A checkpoint holds the trained parameters and AdamW's two moments of each; the best state that
    it refers to, the parameters; the adapter holds them once more.
    """
    adapted = build_model(recipe, make_task(recipe.task, data.label_names), empty_base)
    trained = sum(parameter.nbytes for parameter in adapted.trainable().values())
    most = (3 + 1) * trained * MOST + trained + SMALL_FILES
    return {"adapter": adapter_size(adapted, recipe)["bytes"], "most": most}


def set_up(recipe: Recipe, seed: int, data: Data, *, trial: bool) -> RecipeSetup:
    """Features, baselines and forecast of a recipe on its data.

    Args:
        seed: of the first run, whose order of batches the forecast is made for.
        trial: leave the baselines out, which are scores on the test split, and the warm-up: nobody
            compares the memory of trials.

    Raises:
        WorkbenchError: when data, model or method do not work out.
    """
    process = this_process()
    task, notes = fit_metrics(make_task(recipe.task, data.label_names), data)
    set_class_weights(task, recipe.training.class_weights, data)
    on = process.device, process.num_processes
    policy = policy_for(recipe.model, task.auto_class, recipe.training, *on)
    if policy.sharded or policy.zero:
        check = sharding.check if policy.sharded else zero.check
        check(build_model(recipe, task, empty_base), recipe.method)
    one_arena()  # before the tokenizer starts threads
    tokenizer = load_tokenizer(recipe.model)
    data = replace(data, notes=(*data.notes, *notes, *task.notes(data, tokenizer)))
    backend = tokenizer.backend_tokenizer
    calls = backend.truncation, backend.padding
    splits = _encode(data, task, tokenizer, recipe.model.max_length)
    refuse_tokens_without_rows(splits.values(), tokenizer, embedding_rows(recipe.model))
    found = (*unknown_words(splits["train"], tokenizer), *check_units(task, splits))
    data = replace(data, notes=(*data.notes, *found))
    asked = (recipe, task, policy, data, splits["test"], tokenizer)
    baselines = Baselines({}, {}) if trial else _baselines(*asked)
    predicted: dict[str, Any] = {}
    train = splits["train"]
    run = RunSpec(recipe=recipe, task=task, policy=policy, tokenizer=tokenizer, train=train)
    if process.is_main_process:  # before the meter starts, and before the run's own accelerator
        calibration = Calibration.of(policy, process.device)
        predicted = forecast(run, process.device, seed, calibration)
    if not trial:
        warm_up(run, splits["validation"], splits["test"], process.device, seed)
    return RecipeSetup(
        data=data,
        task=task,
        policy=policy,
        tokenizer=tokenizer,
        tokenizer_calls=calls,
        splits=splits,
        baselines=baselines,
        steps=total_steps(recipe.training, len(train)),
        evaluation=_evaluation(policy, predicted),
        forecast=predicted,
    )


def _evaluation(policy: Policy, predicted: dict[str, Any]) -> dict[str, int]:
    """What an example of an evaluation takes, which the first process tells the others."""
    found = predicted.get("evaluation", {})
    if policy.asks_free_memory and policy.processes > 1:
        found = broadcast_object_list([found])[0]
    return dict(found)


def main_first(work: Callable[[], T]) -> T:
    """Does something that is kept on disk on the main process before the others do it."""
    with this_process().main_process_first():
        return work()


def _encode(
    data: Data, task: AnyTask, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[str, Encoded]:
    """Features of each split, from the cache where they were made before."""
    encoder = task.encoder(tokenizer, max_length)
    splits: dict[str, Encoded] = {
        name: main_first(partial(encode, getattr(data, name), encoder, tokenizer)) for name in ROLES
    }
    refuse_no_features(splits)
    return splits


def _baselines(
    recipe: Recipe,
    task: AnyTask,
    policy: Policy,
    data: Data,
    test: Encoded,
    tokenizer: PreTrainedTokenizerBase,
) -> Baselines:
    """What to judge the test scores by; a base too large for one process is shared by all."""
    together = make_accelerator(policy, recipe.training) if policy.sharded else None
    device = this_process().device
    look_up = partial(score_baselines, recipe, task, data, test, tokenizer, device, together)
    return look_up() if together else main_first(look_up)


def make_trainer(
    setup: RecipeSetup,
    model: AdaptedModel,
    recipe: Recipe,
    seed: int,
    accelerator: Accelerator,
    run: Path,
) -> Trainer:
    """The trainer of one seed, whose checkpoints go to the run's folder."""
    return Trainer(
        accelerator=accelerator,
        adapted=model,
        task=setup.task,
        train=setup.splits["train"],
        validation=setup.splits["validation"],
        spec=recipe.training,
        peak_learning_rate=recipe.learning_rate,
        seed=seed,
        score=partial(score_split, setup.task),
        folder=run / "checkpoints",
        sharded=setup.policy.sharded,
        zero=setup.policy.zero,
        reads_behind=setup.policy.reads_behind,
        eval_batch=EvaluationBatch(least=recipe.training.least_eval_batch, **setup.evaluation),
    )
