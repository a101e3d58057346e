"""What an adapter answers to one text, with all that a person wants to see of it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from workbench.adapters.loaded import LoadedAdapter
from workbench.data.batches import IGNORED
from workbench.data.encode import Encoded
from workbench.explaining.decisions import text_words
from workbench.explaining.encode_text import Reading, encode_text, read_text, tokens_of
from workbench.inference.generate import generate
from workbench.recipe.catalogue import MULTI, REGRESSION
from workbench.recipe.tasks import Decoding
from workbench.tasks.base import Predicted, WritingTask
from workbench.tasks.token_likelihood import labelled, logits_at

CONTINUATION = Decoding(max_new_tokens=40, no_repeat_ngram_size=3)
"""How a text is continued: greedily, without the loops that small models fall into."""
CANDIDATES = 5
"""Words shown for each mask."""

Answer = dict[str, Any]
"""Plain JSON values: ``kind`` says which others there are."""
Told = Callable[[str, float], None]
"""Called with each new piece of a text and its probability, while it is written."""


def answer_text(
    adapter: LoadedAdapter, text: str, pair: str | None = None, *, on_token: Told | None = None
) -> Answer:
    """The answer of an adapter to one text.

    Returns:
        ``kind`` (labels, tags, span, masked, text), ``prediction``, ``score`` (the probability of
        the answer where there is one), ``tokens`` read, whether something was ``cut``, and by kind:

        - labels: ``labels``, each with ``label`` and ``probability`` (null for a regression)
        - tags: ``words``, each with ``word``, ``tag`` and ``probability`` (null if cut off)
        - span: ``start`` and ``end`` in characters of the text, and ``windows`` read
        - masked: ``masks``, each with its ``candidates``, and whether they were ``drawn``
        - text: ``ids`` of the tokens written, and ``pieces`` with their ``probability``

    Raises:
        UsageError, DataError: as `encode_text` does.
    """
    task, view = adapter.task, adapter.task.spec.view
    if view == "text":
        return _written(adapter, text, on_token)
    if view == "masked":
        return _masked(adapter, read_text(adapter, text))
    encoded = encode_text(adapter, text, pair)
    predicted = adapter.run(encoded)
    told: Answer = {"tokens": int(encoded.lengths.sum()), "cut": bool(encoded.truncated)}
    return told | {"kind": view} | _BY_VIEW[view](task, encoded, predicted)


# The tasks are Any below: of those that have the view, whatever their class.


def _labels(task: Any, encoded: Encoded, predicted: Predicted) -> Answer:
    logits = torch.from_numpy(predicted.values[0]).double()
    kind = task.spec.problem_type
    (score,) = task.scores(encoded, predicted)
    if kind == REGRESSION:
        value = float(logits[0])
        rows: list[dict[str, Any]] = [{"label": "score", "probability": None, "value": value}]
        return {"prediction": f"{value:g}", "score": None, "labels": rows}
    probabilities = logits.sigmoid() if kind == MULTI else logits.softmax(dim=0)
    pairs = zip(task.label_names, probabilities.tolist(), strict=True)
    rows = [{"label": label, "probability": p} for label, p in pairs]
    chosen = tuple(int(v > 0) for v in logits) if kind == MULTI else int(logits.argmax())
    return {"prediction": task.label_text(chosen), "score": score, "labels": rows}


def _tags(task: Any, encoded: Encoded, predicted: Predicted) -> Answer:
    (tags,) = task.answers(encoded, predicted)
    words = text_words(encoded)
    probabilities: list[float | None] = [None] * len(words)
    for at, word in enumerate(encoded.column("words")[0]):
        if word != IGNORED:
            logits = torch.from_numpy(predicted.values[0][at]).double()
            probabilities[word] = float(logits.softmax(dim=0).max())
    rows = [
        {"word": word, "tag": tag, "probability": p}
        for word, tag, p in zip(words, tags, probabilities, strict=True)
    ]
    seen = [p for p in probabilities if p is not None]
    score = float(np.mean(seen)) if seen else None
    return {"prediction": " ".join(tags), "score": score, "words": rows}


def _span(task: Any, encoded: Encoded, predicted: Predicted) -> Answer:
    (span,) = task.spans(encoded, predicted)
    start, end = span.characters
    answer = {"prediction": span.text, "score": span.probability}
    return {**answer, "start": start, "end": end, "windows": len(encoded)}


_BY_VIEW: dict[str, Callable[[Any, Encoded, Predicted], Answer]] = {
    "labels": _labels,
    "tags": _tags,
    "span": _span,
}


def _masked(adapter: LoadedAdapter, reading: Reading) -> Answer:
    with torch.inference_mode():
        places = [(0, adapter.virtual_tokens + place) for place in labelled(reading.row)]
        logits = logits_at(adapter.model, reading.batch.inputs, places)
    best = logits.softmax(dim=1).topk(min(CANDIDATES, logits.shape[1]), dim=1)
    found = [
        [
            {"word": token.text.strip(), "probability": p}
            for token, p in zip(tokens_of(ids, adapter.tokenizer), values, strict=True)
        ]
        for values, ids in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    chosen = [candidates[0] for candidates in found]
    return {
        "kind": "masked",
        "prediction": " ".join(candidate["word"] for candidate in chosen),
        "score": float(np.mean([candidate["probability"] for candidate in chosen])),
        "masks": [{"candidates": candidates} for candidates in found],
        "drawn": not reading.row["asked"],
        "tokens": len(reading.ids),
        "cut": reading.cut,
    }


def _written(adapter: LoadedAdapter, text: str, on_token: Told | None) -> Answer:
    task, tokenizer = adapter.task, adapter.tokenizer
    reading = read_text(adapter, text)
    plain = decode = partial(tokenizer.decode, skip_special_tokens=True)
    if isinstance(task, WritingTask):
        decoding, stops = task.spec.decoding, task.stop_ids(tokenizer)
        decode = partial(task.decode, tokenizer)
    else:
        decoding, stops = CONTINUATION, [i for i in [tokenizer.eos_token_id] if i is not None]
    ids: list[int] = []
    probabilities: list[float] = []

    def tell(_row: int, token: int, probability: float) -> None:
        before = plain(ids)
        ids.append(token)
        probabilities.append(probability)
        if on_token:
            on_token(plain(ids)[len(before) :], probability)

    (written,) = generate(
        adapter.model, [reading.ids], decoding, eos_token_ids=stops, batch_size=1, on_token=tell
    )
    pieces = tokens_of(written, tokenizer)
    known = probabilities if len(probabilities) == len(written) else [None] * len(written)
    rows = [{"text": piece.text, "probability": p} for piece, p in zip(pieces, known, strict=True)]
    return {
        "kind": "text",
        "prediction": decode(written),
        "score": float(np.mean(probabilities)) if probabilities else None,
        "ids": written,
        "pieces": rows,
        "tokens": len(reading.ids),
        "cut": reading.cut,
    }
