"""Token classification: a tag for every word, such as named entities or parts of speech."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from workbench.data.batches import IGNORED, Batch, padded, tensor_on
from workbench.data.encode import Columns, Encoded, Encoder, Row
from workbench.data.examples import Data, Examples
from workbench.errors import DataError
from workbench.recipe.tasks import TokenClassification
from workbench.tasks.base import Losses, Predicted, Task, Values
from workbench.tasks.baselines import tag_baseline
from workbench.tasks.classes import label_config
from workbench.tasks.usage import About, prompt_note, text_only, truncation
from workbench.tasks.word_spacing import before_word

OUTSIDE = "O"
"""Tag of a word that belongs to no entity, in every scheme (IOB1, IOB2, BILOU, ...)."""


class TokenClassificationTask(Task[TokenClassification]):
    """Scores of the tags at every token; the values kept are these logits, (tokens, tags).

    A word's tag is that of its first piece, in training and in answers; its other pieces and the
    special tokens have no label (Devlin et al. 2019, section 5.3).
    """

    auto_class = "AutoModelForTokenClassification"

    @property
    def prompt_text(self) -> str:
        return f"Tag the words: {', '.join(self.label_names)}."

    def head_config(self) -> dict[str, Any]:
        return label_config(self.label_names)

    def encoder(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoder:
        """Sentences cut to ``max_length`` tokens; words cut off have no label.

        Features have ``labels``, and in ``words`` which word each token is the first piece of;
        both are `IGNORED` elsewhere.
        """
        space = before_word(tokenizer)

        def features(columns: Columns) -> Columns:
            encoded = tokenizer(
                [[space + word for word in words] for words in columns["words"]],
                is_split_into_words=True,
                truncation=True,
                max_length=max_length,
                return_attention_mask=False,
            )
            firsts = [_first_pieces(e.word_ids) for e in encoded.encodings]
            for words, ids in zip(columns["words"], encoded["input_ids"], strict=True):
                _refuse_no_tokens(words, ids)
            return {
                **{k: encoded[k] for k in ("input_ids", "token_type_ids") if k in encoded},
                "words": firsts,
                "labels": [
                    [IGNORED if word == IGNORED or not tags else tags[word] for word in first]
                    for first, tags in zip(firsts, columns["tags"], strict=True)
                ],
                "example": columns["example"],
                "truncated": [bool(e.overflowing) for e in encoded.encodings],
            }

        return Encoder(_columns, features, f"token-classification {max_length} {space!r}")

    def weight(self, row: Row) -> float:
        return float(sum(label != IGNORED for label in row["labels"]))

    def training_weight(self, row: Row) -> float:
        weights = self.class_weights or (1.0,) * len(self.label_names)
        return sum((weights[label] for label in row["labels"] if label != IGNORED), 0.0)

    def label_text(self, label: Sequence[int]) -> str:
        return " ".join(self.label_names[tag] for tag in label)

    def label_counts(self, labels: Sequence[Any]) -> Counter[int]:
        return Counter(tag for tags in labels for tag in tags)

    def longest_example(self, word: str, words: int, *, paired: bool) -> Examples:
        examples = super().longest_example(word, words, paired=False)
        return replace(examples, labels=((0,) * words,), parts=((word,) * words,))

    def outputs(self, model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        """Scores of the tags in fp32, (batch, seq, tags), of the text's own positions.

        The model is given no labels: with a soft prompt PEFT (0.21) does not lengthen them by the
        virtual tokens, and the loss fails on sequences of two lengths.
        """
        logits: Tensor = model(**batch.inputs).logits
        return logits[:, virtual_tokens:].float()

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        return _cross_entropies(outputs, batch, None)

    def training_losses(self, model: nn.Module, batch: Batch, virtual_tokens: int) -> Losses:
        """The loss with each word's by the weight of its tag."""
        outputs = self.outputs(model, batch, virtual_tokens)
        return Losses(_cross_entropies(outputs, batch, self.class_weights))

    def values(self, outputs: Tensor, batch: Batch) -> list[Values]:
        rows = outputs.detach().cpu().numpy()
        return [v[: len(row["input_ids"])] for v, row in zip(rows, batch.rows, strict=True)]

    def answers(self, encoded: Encoded, predicted: Predicted) -> list[list[str]]:
        """A tag for every word of every example.

        Words that the model has not seen, because they were cut off or the tokenizer leaves
        nothing of them, get "O"; without such a tag, the one that the other words of the example
        have most often.
        """
        return [
            self._tags(len(words), seen)
            for words, seen in zip(_words(encoded), _seen(encoded, predicted), strict=True)
        ]

    def _tags(self, words: int, seen: _Seen) -> list[str]:
        names = [self.label_names[int(tag)] for tag in seen.logits.argmax(axis=1)]
        if OUTSIDE in self.label_names or not names:
            unseen = OUTSIDE if OUTSIDE in self.label_names else self.label_names[0]
        else:
            unseen = Counter(names).most_common(1)[0][0]
        tags = dict(zip(seen.words, names, strict=True))
        return [tags.get(word, unseen) for word in range(words)]

    def references(self, encoded: Encoded) -> list[list[str]]:
        return self.labels_as_answers(encoded.examples.labels)

    def labels_as_answers(self, labels: Sequence[Any]) -> list[list[str]]:
        return [[self.label_names[tag] for tag in tags] for tags in labels]

    def answer_text(self, answer: Sequence[str]) -> str:
        return " ".join(answer)

    def scores(self, encoded: Encoded, predicted: Predicted) -> list[float | None]:
        """The mean probability of the tags predicted."""
        return [seen.mean_probability for seen in _seen(encoded, predicted)]

    def baselines(self, data: Data) -> dict[str, list[Any]]:
        return tag_baseline(data)

    def reading(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        return {"before_word": before_word(tokenizer)}

    @staticmethod
    def usage(about: About, *, pairs: bool) -> Iterator[str]:
        space = about["reading"]["before_word"]
        given = f"[{space!r} + word for word in words]" if space else "words"
        yield 'words = "a text as words".split()'
        yield "inputs = tokenizer("
        yield f'    {given}, is_split_into_words=True, return_tensors="pt", {truncation(about)}'
        yield ")"
        yield from prompt_note(about)
        yield f"tags = model(**inputs).logits[0{text_only(about)}].argmax(-1)"
        yield "# A word's tag is that of its first piece."
        yield "first = {word: i for i, word in reversed(list(enumerate(inputs.word_ids())))}"
        yield "names = model.config.id2label"
        yield "print(*(names[int(tags[first[i]])] for i in range(len(words)) if i in first))"

    def plain_request(self, encoded: Encoded, index: int) -> dict[str, Any]:
        row = encoded.rows([index])[0]
        return {name: row[name] for name in ("input_ids", "token_type_ids") if name in row}

    def question(self, text: str, pair: str | None) -> Examples:
        """One text from outside; white space separates its words.

        Raises:
            DataError: when there is no word in it.
        """
        words = tuple(text.split())
        _refuse_no_tokens(words, words)
        return Examples(ids=("",), texts=(text,), labels=("",), parts=(words,))


@dataclass(frozen=True)
class _Seen:
    """The words of an example that the model has seen, and what it says of them."""

    words: list[int]
    """Their positions among the words."""
    logits: np.ndarray
    """(words, tags)."""

    @property
    def mean_probability(self) -> float | None:
        """Of the most likely tags; None when no word was seen."""
        if not self.words:
            return None
        return float(torch.from_numpy(self.logits).softmax(dim=1).amax(dim=1).mean())


def _seen(encoded: Encoded, predicted: Predicted) -> Iterator[_Seen]:
    for first, logits in zip(encoded.column("words"), predicted.values, strict=True):
        at = [position for position, word in enumerate(first) if word != IGNORED]
        yield _Seen([first[position] for position in at], logits[at])


def _cross_entropies(outputs: Tensor, batch: Batch, weights: Sequence[float] | None) -> Tensor:
    """Those of the words' tags, by the weight of the tag, summed for each row; (batch,)."""
    labels = padded([row["labels"] for row in batch.rows], outputs.shape[1], IGNORED)
    each = F.cross_entropy(
        outputs.transpose(1, 2),
        labels.to(outputs.device, non_blocking=outputs.is_cuda),
        weight=None if weights is None else tensor_on(weights, outputs.device),
        ignore_index=IGNORED,
        reduction="none",
    )
    return each.sum(dim=1)


def _words(encoded: Encoded) -> tuple[tuple[str, ...], ...]:
    assert encoded.examples.parts is not None  # every source of this task splits into words
    return encoded.examples.parts


def _columns(examples: Examples) -> Columns:
    assert examples.parts is not None
    return {
        "words": [list(words) for words in examples.parts],
        "tags": [list(tags) for tags in examples.labels],
    }


def _first_pieces(word_ids: Sequence[int | None]) -> list[int]:
    """The word that each token is the first piece of, else `IGNORED`."""
    return [
        IGNORED if word is None or (position and word == word_ids[position - 1]) else word
        for position, word in enumerate(word_ids)
    ]


def _refuse_no_tokens(words: Sequence[str], tokens: Sequence[Any]) -> None:
    if not tokens:
        raise DataError(
            f"no words to tag in {' '.join(words)!r}",
            why="the tokenizer leaves nothing of it",
            fix="give a text with words, or remove the row",
        )
