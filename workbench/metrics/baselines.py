"""The baselines of a run: what its test split gives without fine-tuning.

For text classification the most frequent answer and a linear model on word counts, for pairs of
texts how alike an encoder finds them; for tags the most frequent tag of each word; for a language
model the base model itself (zero-shot). What each of them answers to every test text is kept, so
that a comparison can pair it with what a run answers.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
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
from workbench.metrics.per_example import example_columns
from workbench.metrics.scores import score
from workbench.metrics.scripts import USUAL
from workbench.models import load_base, weights_fingerprint
from workbench.models.quantized import allow_packing
from workbench.recipe import Recipe
from workbench.recipe.catalogue import OF_BASELINE, ZERO_SHOT, higher_is_better
from workbench.store.files import read_json, write_json
from workbench.tasks import AnyTask, Predicted
from workbench.tasks.baselines import WORD
from workbench.training.sharding import shard

Scores = dict[str, dict[str, float | None]]
"""The scores of each baseline, by its name."""


class Baselines(NamedTuple):
    """What a test split gives without fine-tuning."""

    scores: Scores
    columns: dict[str, list[Any]]
    """Of predictions.parquet: what each of them answers, and what that adds to each metric."""


def score_baselines(
    recipe: Recipe,
    task: AnyTask,
    data: Data,
    test: Encoded,
    tokenizer: PreTrainedTokenizerBase,
    where: device,
    together: Accelerator | None = None,
) -> Baselines:
    """Scores and answers by name of baseline, made once for all runs that share split and base.

    Args:
        where: the device that a base model is tested on.
        together: of processes that share the weights of a base that may fit on none of them; all
            of them have to call this at once.
    """
    names, written = task.spec.score_names, task.spec.model_dump_json()
    condition: tuple[Any, ...] = (
        "answers",
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
        found = [cached(condition, lambda: _judged(task, test, task.baselines(data)))]
        if not together and similarity.applies(recipe, data):
            condition += ("similarity", *_base_condition(recipe, task, tokenizer))
            found.append(cached(condition, lambda: _by_similarity(recipe, task, data, test, where)))
    else:
        condition += _base_condition(recipe, task, tokenizer)
        found = [
            cached(
                condition,
                lambda: _zero_shot(recipe, task, test, where, together),
                lambda known: broadcast_object_list([known])[0] if together else known,
            )
        ]
    whole = found[0]
    for each in found[1:]:
        whole = {field: whole[field] | each[field] for field in whole}
    return Baselines(**whole)


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


def _judged(task: AnyTask, test: Encoded, answers: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The fields of `Baselines`, of answers in the form that the metrics take."""
    spec, right, no_model = (
        task.spec,
        task.references(test),
        Predicted(np.zeros(0), np.zeros(0), []),
    )
    found: dict[str, Any] = Baselines({}, {})._asdict()
    for name, given in answers.items():
        found["scores"][name] = score(spec.score_names, spec.kind, given, right)
        columns = example_columns(task, test, no_model, given, len(right))
        found["columns"] |= _named(name, list(map(task.answer_text, given)), columns)
    return found


def _named(name: str, answers: list[str], columns: Mapping[str, list[float]]) -> dict[str, Any]:
    """Columns under the name of a baseline; answers where there are any, no metric that is not
    defined."""
    numbers = {column: list(map(float, values)) for column, values in columns.items()}
    numbers = {column: each for column, each in numbers.items() if np.isfinite(each).all()}
    found = ({"prediction": answers} if any(answers) else {}) | numbers
    return {OF_BASELINE.format(name, column): values for column, values in found.items()}


def _by_similarity(
    recipe: Recipe, task: AnyTask, data: Data, test: Encoded, where: device
) -> dict[str, Any]:
    """Errors are left out: a cosine is not on the scale of the numbers."""
    found = _judged(task, test, similarity.similarity_answers(recipe, task, data, where))
    for scores in found["scores"].values():
        scores.update({name: None for name in scores if not higher_is_better(name)})
    return found


def _zero_shot(
    recipe: Recipe, task: AnyTask, test: Encoded, where: device, together: Accelerator | None
) -> dict[str, Any]:
    base = load_base(recipe.model, task, choose_policy(recipe.training, where))
    if together:
        shard(base.model, base.model, where)
    else:
        base.model.to(where)
    allow_packing(base.model, True)
    model, tokenizer, alone = base.model.eval(), base.tokenizer, recipe.model.reduced
    size = 1 if alone else recipe.training.least_eval_batch
    asked = model, task, test, tokenizer, together
    predicted = predict(*asked, batch_size=size, virtual_tokens=0, alone=alone)
    texts = write_texts(model, task, test, tokenizer, together, batch_size=size)
    answers = task.answers(test, predicted) if texts is None else texts
    given = task.table(test, predicted, answers)["prediction"]
    columns = example_columns(task, test, predicted, answers, len(given))
    scores = {ZERO_SHOT: score_split(task, test, predicted, texts)}
    return Baselines(scores, _named(ZERO_SHOT, given, columns))._asdict()
