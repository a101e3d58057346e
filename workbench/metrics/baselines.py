"""The references of a run: what its test split gives without fine-tuning."""

from __future__ import annotations

from functools import partial

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import device
from transformers import PreTrainedTokenizerBase

from workbench.data.encode import Encoded, tokenisation_fingerprint
from workbench.data.examples import Data
from workbench.distributed.policy import choose_policy
from workbench.inference.predict import predict
from workbench.metrics.baseline_models import (
    cached,
    most_frequent_tags,
    reference_scores,
    split_condition,
)
from workbench.metrics.evaluate import score_split, write_texts
from workbench.metrics.scores import score
from workbench.models import load_base, weights_fingerprint
from workbench.recipe import Recipe
from workbench.recipe.tasks import TextClassification, TokenClassification
from workbench.tasks import AnyTask
from workbench.training.sharding import shard

References = dict[str, dict[str, float | None]]


def references_of(
    recipe: Recipe,
    task: AnyTask,
    data: Data,
    test: Encoded,
    tokenizer: PreTrainedTokenizerBase,
    where: device,
    together: Accelerator | None = None,
) -> References:
    """Scores by name of reference, computed once for all runs that share split and base.

    Args:
        where: the device that an untouched base is tested on.
        together: of processes that share the weights of a base that may fit on none of them; all
            of them have to call this at once.
    """
    condition = split_condition(data, recipe.task)
    scorer = partial(score, task.spec.score_names, task.spec.kind)
    if isinstance(recipe.task, TextClassification):
        spec = recipe.task
        return cached(condition, lambda: reference_scores(data, spec, scorer))
    if isinstance(recipe.task, TokenClassification):
        return cached(condition, lambda: most_frequent_tags(data, scorer))
    if recipe.task.new_head:  # an untrained head answers at random
        return {}
    condition += (
        weights_fingerprint(recipe.model, task),
        tokenisation_fingerprint(tokenizer, recipe.model.max_length),
        torch.__version__,
    )
    return cached(
        condition,
        lambda: _untouched(recipe, task, test, where, together),
        (lambda known: broadcast_object_list([known])[0]) if together else (lambda known: known),
    )


def _untouched(
    recipe: Recipe, task: AnyTask, test: Encoded, where: device, together: Accelerator | None
) -> References:
    base = load_base(recipe.model, task, choose_policy(recipe.training, where))
    if together:
        shard(base.model, base.model, where)
    else:
        base.model.to(where)
    model, tokenizer = base.model.eval(), base.tokenizer
    size = recipe.training.eval_batch_size
    predicted = predict(model, task, test, tokenizer, together, batch_size=size, virtual_tokens=0)
    texts = write_texts(model, task, test, tokenizer, together, batch_size=size)
    return {"untouched base": score_split(task, test, predicted, texts)}
