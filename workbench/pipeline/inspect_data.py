"""What the data of a recipe looks like to a run of it, before one is started."""

from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from workbench.data import load_data
from workbench.data.encode import Encoded, encode, refuse_no_features
from workbench.data.examples import ROLES, Data, Examples
from workbench.data.vocabulary import refuse_tokens_without_rows, unknown_words
from workbench.metrics.fitting import check_units, fit_metrics
from workbench.models import embedding_rows, load_tokenizer
from workbench.recipe import Recipe
from workbench.tasks import AnyTask, make_task
from workbench.tasks.classes import set_class_weights

SHOWN_ROWS = 20
MEASURED_ROWS = 5000
"""Texts whose length is taken; of more, this many at equal distances (2 s for the tokenizer)."""
BINS = 30
UNCUT = 10**6
"""A maximal length that no text reaches: lengths are those before anything is cut."""


def inspect_data(recipe: Recipe) -> dict[str, Any]:
    """Rows, balance of the labels, lengths in tokens and duplicates, as a run would meet them.

    Returns ``splits`` (examples of each), ``rows`` (the first of train), ``labels`` (count of each
    in each split; None where the task has no set of labels), ``lengths`` (in tokens, before
    anything is cut), ``duplicates_removed`` and ``notes``.

    Raises:
        WorkbenchError: when the data or the tokenizer cannot be used, as the run would say it.
    """
    data = load_data(recipe.data, recipe.task, recipe.seeds[0])
    tokenizer = load_tokenizer(recipe.model)
    task, notes = fit_metrics(make_task(recipe.task, data.label_names), data)
    set_class_weights(task, recipe.training.class_weights, data)
    notes = (*data.notes, *notes, *task.notes(data, tokenizer))
    lengths, unknown = _lengths(recipe, data, tokenizer)
    return {
        "study": recipe.study,
        "recipe": recipe.name,
        "splits": {role: len(getattr(data, role)) for role in ROLES},
        "rows": _rows(data.train, task),
        "labels": _balance(data, task),
        "lengths": lengths,
        "duplicates_removed": data.duplicates_removed,
        "notes": [*notes, *unknown],
    }


def _rows(examples: Examples, task: AnyTask) -> list[dict[str, Any]]:
    rows = []
    for index in range(min(SHOWN_ROWS, len(examples))):
        row = {"id": examples.ids[index], "text": examples.texts[index]}
        if examples.pairs is not None:
            row["text_pair"] = examples.pairs[index]
        row["label"] = task.label_text(examples.labels[index])
        rows.append(row)
    return rows


def _balance(data: Data, task: AnyTask) -> list[dict[str, Any]] | None:
    """How often each label is in each split; each tag, for words."""
    found = ((role, task.label_counts(getattr(data, role).labels)) for role in ROLES)
    counts = {role: count for role, count in found if count is not None}
    return [
        {"label": name, **{role: count[index] for role, count in counts.items()}}
        for index, name in enumerate(data.label_names if counts else ())
    ] or None


def _sample(examples: Examples) -> Examples:
    step = max(1, -(-len(examples) // MEASURED_ROWS))
    return examples.select(range(0, len(examples), step))


def _lengths(
    recipe: Recipe, data: Data, tokenizer: PreTrainedTokenizerBase
) -> tuple[dict[str, Any], list[str]]:
    """Tokens of the training texts, with what the task puts around them, and notes on
    unknown ones and on metrics that have nothing to count."""
    spec = recipe.task
    if "packing" in type(spec).model_fields:  # texts one by one, not joined into windows
        spec = spec.model_copy(update={"packing": False})
    task = make_task(spec, data.label_names)
    encoder = task.encoder(tokenizer, UNCUT)
    # Those of the other splits may be refused too.
    samples = {role: _sample(getattr(data, role)) for role in ROLES}
    splits: dict[str, Encoded] = {
        n: encode(each, encoder, tokenizer, cached=False) for n, each in samples.items()
    }
    refuse_no_features(splits)
    refuse_tokens_without_rows(splits.values(), tokenizer, embedding_rows(recipe.model))
    measured, encoded = samples["train"], splits["train"]
    lengths = np.zeros(len(measured), dtype=np.int64)
    np.maximum.at(lengths, encoded.owners, encoded.lengths)
    limit = recipe.model.max_length
    # Few texts are many times longer than the rest: they go into the last bin.
    shown = np.minimum(lengths, max(1.25 * limit, np.percentile(lengths, 99)))
    counts, edges = np.histogram(shown, bins=BINS)
    longer, packed = int((lengths > limit).sum()), bool(getattr(recipe.task, "packing", False))
    windows = "stride" in type(spec).model_fields
    truncated = 0 if packed else longer
    if windows:  # of a long text nothing is left out, of what stands before it there may be
        as_read = task.encoder(tokenizer, limit)
        truncated = encode(measured, as_read, tokenizer, cached=False).truncated
    found = {
        "measured": len(measured),
        "max_length": limit,
        "longer": longer,
        "truncated": truncated,
        "windows": windows,
        "packed": packed,
        "median": float(np.median(lengths)),
        "longest": int(lengths.max()),
        "histogram": [
            {"low": float(low), "high": float(high), "texts": int(count)}
            for low, high, count in zip(edges, edges[1:], counts, strict=False)
        ],
    }
    # Windows of several texts have words to predict where each text alone may have none.
    units = () if found["packed"] else check_units(task, splits)
    return found, [*unknown_words(encoded, tokenizer), *units]
