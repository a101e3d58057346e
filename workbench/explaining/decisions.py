"""The one number that an explanation is about: how sure a model is of a certain answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from workbench.adapters.loaded import LoadedAdapter
from workbench.data.batches import IGNORED, Batch
from workbench.data.encode import Encoded
from workbench.errors import UsageError
from workbench.explaining.encode_text import (
    Reading,
    encode_text,
    read_text,
    tokens_of,
    window_of,
)
from workbench.recipe.catalogue import MULTI, REGRESSION
from workbench.recipe.tasks import View
from workbench.tasks.token_classification import OUTSIDE
from workbench.tasks.token_likelihood import labelled, logits_at

Measure = Callable[[nn.Module, Batch, int], Tensor]
"""How sure a model (with so many virtual tokens in its outputs) is of the answer, for each row."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """An answer to a text, and how to ask a model how sure it is of it."""

    reading: Reading
    about: str
    """The answer in words: a label, a tag, a span, a token."""
    unit: str
    """What is measured: log-probability in nats, or the score of a regression."""
    measure: Measure
    position: int
    """Token that the model reads the answer from (of a word, its first)."""
    choice: int
    """Which of the things that could be explained this is: a label, a word, a mask, a token."""
    choices: tuple[str, ...]
    """All of them, in words."""


def decide(
    adapter: LoadedAdapter,
    text: str,
    pair: str | None = None,
    *,
    choice: int | None = None,
    answer: Sequence[int] = (),
) -> Decision:
    """The decision of an adapter on a text.

    Args:
        choice: which label, word, mask or token of the answer is meant; by default what the
            adapter answers, its first entity, the first mask, the first token.
        answer: token ids that the adapter has written, for tasks that write.

    Raises:
        UsageError: when there is no such choice, or the task needs what is not there.
    """
    view: View = adapter.task.spec.view
    match view:
        case "labels":
            return _label(adapter, read_text(adapter, text, pair), choice)
        case "tags":
            return _tag(adapter, encode_text(adapter, text), choice)
        case "span":
            return _span(adapter, encode_text(adapter, text, pair))
        case "masked":
            return _masked(adapter, read_text(adapter, text), choice)
        case "text":
            return _written(adapter, text, list(answer), choice)


def _label(adapter: LoadedAdapter, reading: Reading, choice: int | None) -> Decision:
    task: Any = adapter.task  # of a class with this view
    kind, names = task.spec.problem_type, task.label_names or ("score",)
    if choice is None:
        with torch.inference_mode():
            outputs = task.outputs(adapter.model, reading.batch, adapter.virtual_tokens)
        choice = int(outputs[0].argmax())
    _check(choice, names)

    def measure(model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        logits: Tensor = task.outputs(model, batch, virtual_tokens)
        if kind == REGRESSION:
            return logits[:, 0]
        if kind == MULTI:
            return nn.functional.logsigmoid(logits[:, choice])
        return logits.log_softmax(dim=1)[:, choice]

    # An encoder's head reads its first token, a decoder's the last.
    last = len(reading.ids) - 1 if _is_decoder(adapter) else 0
    unit = "score" if kind == REGRESSION else "log-probability"
    return Decision(
        reading=reading,
        about=names[choice],
        unit=unit,
        measure=measure,
        position=last,
        choice=choice,
        choices=tuple(names),
    )


def _tag(adapter: LoadedAdapter, encoded: Encoded, choice: int | None) -> Decision:
    task = adapter.task
    reading = window_of(adapter, encoded, 0)
    first = {word: at for at, word in enumerate(reading.row["words"]) if word != IGNORED}
    if not first:
        raise UsageError("no word of the text is left for the model", fix="give a text with words")
    words = text_words(encoded)
    with torch.inference_mode():
        logits = task.outputs(adapter.model, reading.batch, adapter.virtual_tokens)[0]
    tags = {word: int(logits[at].argmax()) for word, at in first.items()}
    if choice is None:
        named = [word for word, tag in tags.items() if task.label_names[tag] != OUTSIDE]
        choice = (named or list(first))[0]
    _check(choice, words)
    if choice not in first:
        raise UsageError(
            f"the model has not seen the word {words[choice]!r}", why="it was cut off",
            fix="give a shorter text",
        )  # fmt: skip
    at, tag = first[choice], tags[choice]

    def measure(model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        return task.outputs(model, batch, virtual_tokens)[:, at].log_softmax(dim=1)[:, tag]

    about = f"{task.label_names[tag]} for “{words[choice]}”"
    return Decision(
        reading=reading,
        about=about,
        unit="log-probability",
        measure=measure,
        position=at,
        choice=choice,
        choices=words,
    )


def _span(adapter: LoadedAdapter, encoded: Encoded) -> Decision:
    task: Any = adapter.task  # of a class with this view
    predicted = adapter.run(encoded)
    (span,) = task.spans(encoded, predicted)
    start, end = span.tokens

    def measure(model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        log_probs: Tensor = task.outputs(model, batch, virtual_tokens).log_softmax(dim=2)
        return log_probs[:, 0, start] + log_probs[:, 1, end]

    about = span.text or "no answer"
    reading = window_of(adapter, encoded, span.window)
    return Decision(
        reading=reading,
        about=about,
        unit="log-probability",
        measure=measure,
        position=start,
        choice=0,
        choices=(about,),
    )


def _masked(adapter: LoadedAdapter, reading: Reading, choice: int | None) -> Decision:
    places = labelled(reading.row)
    choices = tuple(f"blank {number}" for number in range(1, len(places) + 1))
    choice = 0 if choice is None else choice
    _check(choice, choices)
    at = places[choice]
    with torch.inference_mode():
        logits = logits_at(adapter.model, reading.batch.inputs, [(0, adapter.virtual_tokens + at)])
    token = int(logits[0].argmax())
    return _token(adapter, reading, token, at, 0, choice, choices)


def _written(adapter: LoadedAdapter, text: str, answer: list[int], choice: int | None) -> Decision:
    tokens = tuple(token.text for token in tokens_of(answer, adapter.tokenizer))
    if not tokens:
        raise UsageError("nothing was written", why="the answer ended at once", fix="ask again")
    choice = 0 if choice is None else choice
    _check(choice, tokens)
    reading = read_text(adapter, text, answer=answer[:choice])
    return _token(adapter, reading, answer[choice], len(reading.ids), 1, choice, tokens)


def _token(
    adapter: LoadedAdapter,
    reading: Reading,
    token: int,
    at: int,
    lead: int,
    choice: int,
    choices: tuple[str, ...],
) -> Decision:
    """How probable a token is at a place of the text, of which the logits stand ``lead`` before."""
    (told,) = tokens_of([token], adapter.tokenizer)

    def measure(model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        places = [(row, virtual_tokens + at - lead) for row in range(len(batch.rows))]
        return logits_at(model, batch.inputs, places).log_softmax(dim=1)[:, token]

    about = told.text.strip() or repr(told.text)
    return Decision(
        reading=reading,
        about=about,
        unit="log-probability",
        measure=measure,
        position=at - lead,
        choice=choice,
        choices=choices,
    )


def text_words(encoded: Encoded) -> tuple[str, ...]:
    """The words of the one text that a tagger was asked about."""
    assert encoded.examples.parts is not None  # `question` of the task splits it
    return tuple(encoded.examples.parts[0])


def _is_decoder(adapter: LoadedAdapter) -> bool:
    names = (name.rpartition(".")[2] for name, _ in adapter.model.named_modules())
    return "score" in names


def _check(choice: int, names: Sequence[str]) -> None:
    if not 0 <= choice < len(names):
        raise UsageError(
            f"there is no number {choice} here",
            why=f"{len(names)} can be explained, counted from 0",
            fix="choose one of them",
        )
