"""The baselines of a run: what its test split gives without fine-tuning.

For text classification the most frequent answer and a linear model on word counts, for pairs of
texts how alike an encoder finds them; for tags the most frequent tag of each word; for a language
model the base model itself (zero-shot).
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from sklearn import __version__ as sklearn_version
from torch import device
from transformers import PreTrainedTokenizerBase

from workbench.assets import cache_dir, keep
from workbench.data.encode import Encoded, tokenisation_fingerprint
from workbench.data.examples import Data
from workbench.distributed.policy import choose_policy
from workbench.inference.predict import predict
from workbench.metrics import similarity
from workbench.metrics.evaluate import score_split, write_texts
from workbench.metrics.fitting import counted
from workbench.metrics.scores import score
from workbench.metrics.scripts import USUAL
from workbench.models import load_base, weights_fingerprint
from workbench.models.quantized import allow_packing
from workbench.recipe import Recipe
from workbench.recipe.catalogue import ZERO_SHOT, higher_is_better
from workbench.store.files import read_json, write_json
from workbench.tasks import AnyTask
from workbench.tasks.baselines import WORD
from workbench.training.sharding import shard

Scores = dict[str, dict[str, float | None]]
"""The scores of each baseline, by its name."""


def score_baselines(
    recipe: Recipe,
    task: AnyTask,
    data: Data,
    test: Encoded,
    tokenizer: PreTrainedTokenizerBase,
    where: device,
    together: Accelerator | None = None,
) -> Scores:
    """Scores by name of baseline, computed once for all runs that share split and base.

    Args:
        where: the device that a base model is tested on.
        together: of processes that share the weights of a base that may fit on none of them; all
            of them have to call this at once.
    """
    names, written = task.spec.score_names, task.spec.model_dump_json()
    condition: tuple[Any, ...] = (
        data.content_hash,
        data.split_hash,
        names,
        written,
        sklearn_version,
    )
    if (cut := counted(task, data)) != USUAL:
        condition += (cut,)
    if recipe.task.new_head:  # whose answers are random
        condition += (WORD,)
        found = cached(condition, lambda: _without_model(task, data, test))
        if together or not similarity.applies(recipe, data):
            return found
        condition += ("similarity", *_base_condition(recipe, task, tokenizer))
        return found | cached(condition, lambda: _by_similarity(recipe, task, data, test, where))
    condition += _base_condition(recipe, task, tokenizer)
    return cached(
        condition,
        lambda: {ZERO_SHOT: _zero_shot(recipe, task, test, where, together)},
        (lambda known: broadcast_object_list([known])[0]) if together else (lambda known: known),
    )


def _base_condition(
    recipe: Recipe, task: AnyTask, tokenizer: PreTrainedTokenizerBase
) -> tuple[str, ...]:
    known = (
        weights_fingerprint(recipe.model, task),
        tokenisation_fingerprint(tokenizer, recipe.model.max_length),
        torch.__version__,
    )
    return (*known, recipe.model.weight_format) if recipe.model.reduced else known


def cached(
    condition: Sequence[Any],
    compute: Callable[[], dict[str, Any]],
    agree: Callable[[Any], Any] = lambda known: known,
) -> dict[str, Any]:
    """Scores (or other values of JSON) computed once for all runs under the same condition.

    Args:
        condition: whatever decides the scores: split, metrics, base model, versions.
        agree: lets processes that can only compute together go by what the first one knows.
    """
    key = hashlib.sha256(repr(condition).encode()).hexdigest()[:32]
    path = cache_dir() / "baselines" / f"{key}.json"
    known: dict[str, Any] | None = agree(read_json(path))
    if known is not None:
        return known
    scores = compute()
    keep(path, lambda file: write_json(file, scores))
    return scores


def _without_model(task: AnyTask, data: Data, test: Encoded) -> Scores:
    spec, right = task.spec, task.references(test)
    found = task.baselines(data)
    return {name: score(spec.score_names, spec.kind, given, right) for name, given in found.items()}


def _by_similarity(
    recipe: Recipe, task: AnyTask, data: Data, test: Encoded, where: device
) -> Scores:
    """Errors are left out: a cosine is not on the scale of the numbers."""
    spec, right = task.spec, task.references(test)
    answers = similarity.similarity_answers(recipe, task, data, where)
    found = {
        name: score(spec.score_names, spec.kind, given, right) for name, given in answers.items()
    }
    return {
        name: {n: v if higher_is_better(n) else None for n, v in scores.items()}
        for name, scores in found.items()
    }


def _zero_shot(
    recipe: Recipe, task: AnyTask, test: Encoded, where: device, together: Accelerator | None
) -> dict[str, float | None]:
    base = load_base(recipe.model, task, choose_policy(recipe.training, where))
    if together:
        shard(base.model, base.model, where)
    else:
        base.model.to(where)
    allow_packing(base.model, True)
    model, tokenizer, alone = base.model.eval(), base.tokenizer, recipe.model.reduced
    size = 1 if alone else recipe.training.eval_batch_size
    asked = model, task, test, tokenizer, together
    predicted = predict(*asked, batch_size=size, virtual_tokens=0, alone=alone)
    texts = write_texts(model, task, test, tokenizer, together, batch_size=size)
    return score_split(task, test, predicted, texts)
