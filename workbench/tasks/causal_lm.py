"""Language modelling: the next token of raw text."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from workbench.data.batches import IGNORED
from workbench.data.encode import Columns, Encoded, Encoder
from workbench.data.examples import Examples
from workbench.recipe.tasks import CausalLM
from workbench.tasks.base import Predicted
from workbench.tasks.token_likelihood import (
    TokenLikelihoodTask,
    end_token_id,
    mean_log_probs,
    spelled,
    without_end,
)
from workbench.tasks.usage import About, appends_end, end_removed

ID, SCORED, WORDS, BYTES = range(4)
"""Columns of a text as an array: token id, whether it is to be predicted, and what it spells."""


class CausalLMTask(TokenLikelihoodTask[CausalLM]):
    """Every token but the first is predicted from those before it, the end token included.

    The first has nothing before it, unless there is a soft prompt: it is never scored, so that all
    methods are scored on the same tokens. Nor is a token that the tokenizer puts before every text.

    Packed, the texts of a split are joined into windows of ``max_length`` tokens, each text with
    its end token, the last window as long as it gets. What comes before in a window is seen, also
    where it is another text (as in Radford et al. 2019).
    """

    auto_class = "AutoModelForCausalLM"
    lead = 1

    @property
    def prompt_text(self) -> str:
        return "Continue the text."

    def encoder(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoder:
        """Texts with an end token, cut to ``max_length`` or packed into windows of that length.

        Raises:
            UsageError: when the tokenizer has no end token.
        """
        end = end_token_id(tokenizer)

        def features(columns: Columns) -> Columns:
            texts = _as_arrays(columns["text"], tokenizer, end)
            if self.spec.packing:
                found = list(_windows(texts, columns["example"], max_length))
                decoded = tokenizer.batch_decode([part[:, ID].tolist() for _, part, _ in found])
                return _features(found) | {"text": decoded}
            return _features(
                [
                    (example, text[:max_length], len(text) > max_length)
                    for example, text in zip(columns["example"], texts, strict=True)
                    if text[1:max_length, SCORED].any()
                ]
            )

        packed = "packed" if self.spec.packing else ""
        return Encoder(_columns, features, f"causal-lm {max_length} {end} {packed}")

    def reading(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        return {"appends_end": appends_end(tokenizer)}

    @staticmethod
    def usage(about: About, *, pairs: bool) -> Iterator[str]:
        yield 'inputs = tokenizer("a text to continue", return_tensors="pt")'
        yield from end_removed(about)
        yield "new = model.generate(**inputs, max_new_tokens=8, do_sample=False)"
        yield "print(tokenizer.decode(new[0], skip_special_tokens=True))"

    def answers(self, encoded: Encoded, predicted: Predicted) -> list[Any]:
        """None: the model is scored by the likelihood of the text."""
        return []

    def references(self, encoded: Encoded) -> list[Any]:
        return []

    def table_rows(self, encoded: Encoded) -> np.ndarray:
        return np.arange(len(encoded)) if self.spec.packing else encoded.owners

    def scores(self, encoded: Encoded, predicted: Predicted) -> list[float | None]:
        """The mean log-probability of the tokens of each text; packed, of each window."""
        if self.spec.packing:
            return [float(np.mean(row)) for row in predicted.values]
        return mean_log_probs(encoded, predicted)

    def table(
        self, encoded: Encoded, predicted: Predicted, answers: Sequence[Any]
    ) -> dict[str, list[Any]]:
        """One entry per text; packed, per window, under the id of the text that it begins in."""
        columns = super().table(encoded, predicted, answers)
        if self.spec.packing:
            columns |= {"id": [encoded.examples.ids[owner] for owner in encoded.owners]}
            columns |= {"text": encoded.column("text")}
            columns |= {name: [""] * len(encoded) for name in ("label", "prediction")}
        return columns


_Feature = tuple[int, np.ndarray, bool]
"""Position of the example, (tokens, 4), and whether something was cut off."""


def _columns(examples: Examples) -> Columns:
    return {"text": list(examples.texts)}


def _as_arrays(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, end: int
) -> Iterator[np.ndarray]:
    """Each text as (tokens, 4) integers, the end token last."""
    encoded = tokenizer(
        list(texts),
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=False,
        verbose=False,  # about texts longer than the model takes: they are cut or packed
    )
    for i, text in enumerate(texts):
        ids = without_end(encoded["input_ids"][i], tokenizer)
        added = encoded["special_tokens_mask"][i][: len(ids)]
        words, sizes = spelled(text, encoded["offset_mapping"][i][: len(ids)])
        array = np.array([ids, [not a for a in added], words, sizes], dtype=np.int64)
        yield np.concatenate([array.T, [[end, 1, 0, 0]]])


def _windows(texts: Iterator[np.ndarray], examples: Sequence[int], size: int) -> Iterator[_Feature]:
    parts = list(texts)
    stream = np.concatenate(parts)
    owners = np.repeat(examples, [len(part) for part in parts])
    for start in range(0, len(stream), size):
        window = stream[start : start + size]
        if window[1:, SCORED].any():
            yield int(owners[start]), window, False


def _features(found: Sequence[_Feature]) -> Columns:
    columns: Columns = {
        name: [] for name in ("input_ids", "labels", "words", "bytes", "example", "truncated")
    }
    for example, tokens, cut in found:
        scored = tokens[:, SCORED].astype(bool)
        scored[0] = False
        columns["input_ids"].append(tokens[:, ID].tolist())
        columns["labels"].append(np.where(scored, tokens[:, ID], IGNORED).tolist())
        columns["words"].append(int(tokens[scored, WORDS].sum()))
        columns["bytes"].append(int(tokens[scored, BYTES].sum()))
        columns["example"].append(example)
        columns["truncated"].append(cut)
    return columns
