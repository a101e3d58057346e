"""The one number that an explanation is about: how sure a model is of a certain answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from workbench.adapters.loaded import LoadedAdapter
from workbench.data.batches import IGNORED, Batch
from workbench.data.encode import Encoded
from workbench.errors import UsageError
from workbench.explaining.encode_text import Reading, encode_text, read_text, tokens_of, window_of
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
    measure: Measure
    position: int
    """Token that the model reads the answer from (of a word, its first)."""
    unit: str = "log-probability"
    """What is measured: log-probability in nats, or the score of a regression."""


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
    _checked(choice, len(names))

    def measure(model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        logits: Tensor = task.outputs(model, batch, virtual_tokens)
        if kind == REGRESSION:
            return logits[:, 0]
        if kind == MULTI:
            return nn.functional.logsigmoid(logits[:, choice])
        return logits.log_softmax(dim=1)[:, choice]

    # An encoder's head reads its first token, a decoder's, which is called `score`, the last.
    modules = {name.rpartition(".")[2] for name, _ in adapter.model.named_modules()}
    last = len(reading.ids) - 1 if "score" in modules else 0
    unit = "score" if kind == REGRESSION else "log-probability"
    about = names[choice]
    return Decision(reading=reading, about=about, measure=measure, position=last, unit=unit)


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
    word = words[_checked(choice, len(words))]
    if choice not in first:
        what = f"the model has not seen the word {word!r}"
        raise UsageError(what, why="it was cut off", fix="give a shorter text")
    at, tag = first[choice], tags[choice]

    def measure(model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        return task.outputs(model, batch, virtual_tokens)[:, at].log_softmax(dim=1)[:, tag]

    about = f"{task.label_names[tag]} for “{word}”"
    return Decision(reading=reading, about=about, measure=measure, position=at)


def _span(adapter: LoadedAdapter, encoded: Encoded) -> Decision:
    task: Any = adapter.task  # of a class with this view
    predicted = adapter.run(encoded)
    (span,) = task.spans(encoded, predicted)
    start, end = span.tokens

    def measure(model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        log_probs: Tensor = task.outputs(model, batch, virtual_tokens).log_softmax(dim=2)
        return log_probs[:, 0, start] + log_probs[:, 1, end]

    about, reading = span.text or "no answer", window_of(adapter, encoded, span.window)
    return Decision(reading=reading, about=about, measure=measure, position=start)


def _masked(adapter: LoadedAdapter, reading: Reading, choice: int | None) -> Decision:
    places = labelled(reading.row)
    at = places[_checked(choice or 0, len(places))]
    with torch.inference_mode():
        logits = logits_at(adapter.model, reading.batch.inputs, [(0, adapter.virtual_tokens + at)])
    return _token(adapter, reading, int(logits[0].argmax()), at, lead=0)


def _written(adapter: LoadedAdapter, text: str, answer: list[int], choice: int | None) -> Decision:
    if not answer:
        raise UsageError("nothing was written", why="the answer ended at once", fix="ask again")
    choice = _checked(choice or 0, len(answer))
    reading = read_text(adapter, text, answer=answer[:choice])
    return _token(adapter, reading, answer[choice], len(reading.ids), lead=1)


def _token(adapter: LoadedAdapter, reading: Reading, token: int, at: int, *, lead: int) -> Decision:
    """How probable a token is at a place of the text, of which the logits stand ``lead`` before."""
    (told,) = tokens_of([token], adapter.tokenizer)

    def measure(model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        places = [(row, virtual_tokens + at - lead) for row in range(len(batch.rows))]
        return logits_at(model, batch.inputs, places).log_softmax(dim=1)[:, token]

    about = told.text.strip() or repr(told.text)
    return Decision(reading=reading, about=about, measure=measure, position=at - lead)


def text_words(encoded: Encoded) -> tuple[str, ...]:
    assert encoded.examples.parts is not None  # `question` of the task splits it
    return tuple(encoded.examples.parts[0])


def _checked(choice: int, count: int) -> int:
    if not 0 <= choice < count:
        raise UsageError(
            f"there is no number {choice} here",
            why=f"{count} can be explained, counted from 0",
            fix="choose one of them",
        )
    return choice
