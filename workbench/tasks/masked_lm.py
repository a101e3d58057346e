"""Masked-word prediction: an encoder learns the language of a domain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from workbench.data.batches import IGNORED, Batch
from workbench.data.encode import Columns, Encoded, Encoder, Row
from workbench.data.examples import Examples
from workbench.errors import UsageError
from workbench.recipe.tasks import MaskedLM
from workbench.tasks.base import EVALUATION_SEED, Likelihood, Predicted, Values
from workbench.tasks.token_likelihood import TokenLikelihoodTask, labelled
from workbench.tasks.usage import About, prompt_note, truncation

MASKED, RANDOM = 0.8, 0.1
"""Shares of the hidden tokens that are shown as the mask and as a random token; the others are
shown as they are (Devlin et al. 2019, arXiv:1810.04805, section 3.1)."""

RIGHT, ANSWER, CONFIDENCE = range(3)
"""Rows of the values: log-probability of the right token, the answer, its log-probability."""


@dataclass(frozen=True)
class _Vocabulary:
    tokenizer: PreTrainedTokenizerBase
    mask: int
    ordinary: np.ndarray
    """Ids of the tokens that are not special."""


class MaskedLMTask(TokenLikelihoodTask[MaskedLM]):
    """Hidden words are predicted from all around them, other words in every epoch.

    The values kept are (3, hidden tokens); see `RIGHT`, `ANSWER` and `CONFIDENCE`. A text from
    outside that has mask tokens of its own is asked about these.
    """

    auto_class = "AutoModelForMaskedLM"
    lead = 0
    _vocabulary: _Vocabulary

    @property
    def prompt_text(self) -> str:
        return "Fill in the missing words of the text."

    # --- examples to features ---------------------------------------------------------------

    def encoder(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoder:
        """Texts cut to ``max_length``, with the word that each token is of; to be called first.

        Raises:
            UsageError: when the tokenizer has no mask token.
        """
        special = set(tokenizer.all_special_ids)
        self._vocabulary = _Vocabulary(
            tokenizer,
            _mask_id(tokenizer),
            np.array([i for i in range(len(tokenizer)) if i not in special], dtype=np.int64),
        )

        def features(columns: Columns) -> Columns:
            encoded = tokenizer(
                columns["text"], truncation=True, max_length=max_length, return_attention_mask=False
            )
            rows = []
            for i, encoding in enumerate(encoded.encodings):
                words = [
                    -1 if word is None or token in special else word
                    for word, token in zip(encoding.word_ids, encoding.ids, strict=True)
                ]
                asked = [
                    t
                    for t, token in enumerate(encoding.ids)
                    if columns["from_outside"][i] and token == self._vocabulary.mask
                ]
                if asked or max(words, default=-1) >= 0:
                    cut = bool(encoding.overflowing)
                    rows.append((encoding.ids, words, asked, columns["example"][i], cut))
            names = ("input_ids", "word_ids", "asked", "example", "truncated")
            return {name: [row[k] for row in rows] for k, name in enumerate(names)}

        return Encoder(_columns, features, f"masked-lm {max_length} {self._vocabulary.mask}")

    def question(self, text: str, pair: str | None) -> Examples:
        return Examples(ids=("",), texts=(text,), labels=("",), parts=((text,),))

    def rows(self, encoded: Encoded, indices: Sequence[int], seed: Sequence[int]) -> list[Row]:
        """The features with words hidden; seed and position alone decide which."""
        return [
            self._hidden(row, np.random.default_rng([*seed, int(index)]))
            for row, index in zip(encoded.rows(list(indices)), indices, strict=True)
        ]

    def _hidden(self, row: Row, rng: np.random.Generator) -> Row:
        ids, words = np.array(row["input_ids"]), np.array(row["word_ids"])
        if row["asked"]:
            labels = np.full(len(ids), IGNORED)
            labels[row["asked"]] = ids[row["asked"]]
            return {**row, "labels": labels.tolist()}
        if not self.spec.whole_words:
            words = np.where(words >= 0, np.arange(len(words)), -1)
        candidates = np.unique(words[words >= 0])
        count = max(1, round(self.spec.mask_fraction * len(candidates)))
        hidden = np.isin(words, rng.choice(candidates, count, replace=False))
        share = rng.random(len(ids))
        others = rng.choice(self._vocabulary.ordinary, len(ids))
        shown = np.where(hidden & (share < MASKED), self._vocabulary.mask, ids)
        shown = np.where(hidden & (share >= 1 - RANDOM), others, shown)
        labels = np.where(hidden, ids, IGNORED)
        return {**row, "input_ids": shown.tolist(), "labels": labels.tolist()}

    def _evaluation_rows(self, encoded: Encoded) -> list[Row]:
        return self.rows(encoded, range(len(encoded)), EVALUATION_SEED) if len(encoded) else []

    # --- model to answers -------------------------------------------------------------------

    def values(self, outputs: Tensor, batch: Batch) -> list[Values]:
        log_probs = outputs.detach().log_softmax(dim=1)
        counts = [len(labelled(row)) for row in batch.rows]
        right = torch.tensor([token for row in batch.rows for token in _right(row)])
        scores = log_probs.gather(1, right.to(log_probs.device).unsqueeze(1)).squeeze(1)
        best = log_probs.max(dim=1)
        kept = torch.stack([scores, best.indices.to(scores.dtype), best.values]).cpu()
        return [part.numpy() for part in kept.split(counts, dim=1)]

    def checked(self, values: Values) -> Values:
        """What of the values a plain load has to repeat: those of the right tokens, (tokens,)."""
        right: Values = values[RIGHT]
        return right

    def answers(self, encoded: Encoded, predicted: Predicted) -> list[list[int]]:
        """The most probable token at each hidden position, per text."""
        return [row[ANSWER].astype(int).tolist() for row in predicted.values]

    def references(self, encoded: Encoded) -> list[list[int]]:
        """The tokens hidden in an evaluation, per text."""
        return [_right(row) for row in self._evaluation_rows(encoded)]

    def likelihood(self, encoded: Encoded, predicted: Predicted) -> Likelihood | None:
        """Of the hidden tokens, each given all that is not hidden."""
        texts = self.likelihoods(encoded, predicted)
        if not texts:
            return None
        return Likelihood(
            nll=float(predicted.losses.sum()),
            tokens=int(predicted.weights.sum()),
            words=sum(text.words for text in texts),
            bytes=sum(text.bytes for text in texts),
        )

    def likelihoods(self, encoded: Encoded, predicted: Predicted) -> list[Likelihood]:
        rows = self._evaluation_rows(encoded)
        return [
            Likelihood(
                nll=float(nll),
                tokens=int(tokens),
                words=len({row["word_ids"][t] for t in labelled(row)}),
                bytes=len(self._pieces(_right(row)).encode("utf-8")),
            )
            for row, nll, tokens in zip(rows, predicted.losses, predicted.weights, strict=True)
        ]

    def scores(self, encoded: Encoded, predicted: Predicted) -> list[float | None]:
        """The mean probability that the model gives to its predictions."""
        found: list[float | None] = [None] * len(encoded.examples)
        for owner, values in zip(encoded.owners.tolist(), predicted.values, strict=True):
            found[owner] = float(np.exp(values[CONFIDENCE]).mean())
        return found

    def table(
        self, encoded: Encoded, predicted: Predicted, answers: Sequence[Any]
    ) -> dict[str, list[Any]]:
        """One entry per text: the pieces of words that were hidden, and those predicted."""
        columns = super().table(encoded, predicted, ())
        rows, owners = self._evaluation_rows(encoded), encoded.owners.tolist()
        for owner, row, answer in zip(owners, rows, answers, strict=True):
            columns["label"][owner] = "" if row["asked"] else self._pieces(_right(row))
            columns["prediction"][owner] = self._pieces(answer)
        return columns

    @staticmethod
    def usage(about: About, *, pairs: bool) -> Iterator[str]:
        before = f"{about['virtual_tokens']} + " if about["virtual_tokens"] else ""
        yield 'text = f"a {tokenizer.mask_token} of words"'
        yield f'inputs = tokenizer(text, return_tensors="pt", {truncation(about)})'
        yield 'place = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)'
        yield from prompt_note(about)
        yield f"print(tokenizer.decode(model(**inputs).logits[0, {before}place].argmax()))"

    def plain_request(self, encoded: Encoded, index: int) -> dict[str, Any]:
        return self.request(self.rows(encoded, [index], EVALUATION_SEED)[0])

    def _pieces(self, ids: Sequence[int]) -> str:
        """Tokens as text, each by itself: hidden pieces stand at different places of the text."""
        decode = self._vocabulary.tokenizer.decode
        return " ".join(decode([token]).strip() for token in ids)


def _columns(examples: Examples) -> Columns:
    # Only `question` gives an example parts.
    outside = examples.parts is not None
    return {"text": list(examples.texts), "from_outside": [outside] * len(examples)}


def _right(row: Row) -> list[int]:
    return [label for label in row["labels"] if label != IGNORED]


def _mask_id(tokenizer: PreTrainedTokenizerBase) -> int:
    if tokenizer.mask_token_id is not None:
        return int(tokenizer.mask_token_id)
    raise UsageError(
        "the tokenizer has no mask token",
        where="model.source",
        why="masked-lm hides words behind it",
        fix="take a BERT-style model, or the task causal-lm for a decoder",
    )
