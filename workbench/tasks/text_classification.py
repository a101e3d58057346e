"""Text classification: one label, several labels or a number for a text or a pair of texts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from workbench.data.batches import Batch, tensor_on
from workbench.data.encode import Columns, Encoded, Encoder, Row
from workbench.data.examples import ROLES, Data, Examples, Label
from workbench.data.rows import Column
from workbench.recipe.catalogue import MULTI, REGRESSION, SINGLE
from workbench.recipe.tasks import Family, TextClassification
from workbench.tasks.auxiliary_lm import (
    check_output_layer,
    next_token_logits,
    next_token_losses,
)
from workbench.tasks.base import Losses, Predicted, Task, Values, pretrained
from workbench.tasks.baselines import class_baselines
from workbench.tasks.classes import label_config
from workbench.tasks.usage import About, truncation

LARGEST_NUMBER = 1e15
"""Of a regression: a batch of squares of it is 1e30 times some hundreds, and fp32 ends at 3e38."""


class TextClassificationTask(Task[TextClassification]):
    """Scores of the head, one row per text; the values kept are these logits, (labels,)."""

    auto_class = "AutoModelForSequenceClassification"
    per_position = False

    @property
    def prompt_text(self) -> str:
        names = ", ".join(self.label_names)
        return f"Classify the text: {names}." if names else "Score the text."

    def head_config(self) -> dict[str, Any]:
        names = self.label_names or ("score",)
        return label_config(names) | {"problem_type": self.spec.problem_type}

    def check_base(self, config: Any, family: Family, source: str) -> None:
        if self.spec.lm_weight:
            check_output_layer(config, family, source)

    def encoder(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoder:
        """Texts (or the longer part of a pair) cut to ``max_length``, special tokens included."""

        def features(columns: Columns) -> Columns:
            pairs = columns.get("pair")
            encoded = tokenizer(
                columns["text"],
                pairs,
                truncation=True,
                max_length=max_length,
                return_attention_mask=False,
            )
            wanted = ("input_ids", "token_type_ids") if pairs else ("input_ids",)
            return {
                **{name: encoded[name] for name in wanted if name in encoded},
                "example": columns["example"],
                "truncated": [bool(e.overflowing) for e in encoded.encodings],
            }

        return Encoder(_columns, features, f"text-classification {max_length}")

    def rows(self, encoded: Encoded, indices: Sequence[int], seed: Sequence[int]) -> list[Row]:
        rows = encoded.rows(list(indices))
        labels = encoded.examples.labels
        return [
            {**row, "label": labels[encoded.owners[i]]}
            for row, i in zip(rows, indices, strict=True)
        ]

    def notes(self, data: Data, tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
        """Also refuses numbers whose squared error is beyond fp32."""
        for role in ROLES if self.spec.problem_type == REGRESSION else ():
            examples: Examples = getattr(data, role)
            Column(where=role, ids=examples.ids, values=examples.labels).refuse(
                lambda number: abs(number) > LARGEST_NUMBER,
                f"a number beyond {LARGEST_NUMBER:g}",
                why="its squared error is too large for the 32 bits of a loss",
                fix="scale the numbers, e.g. to a mean of 0 and a standard deviation of 1",
            )
        yield from super().notes(data, tokenizer)

    def training_weight(self, row: Row) -> float:
        return self.class_weights[row["label"]] if self.class_weights else 1.0

    def label_text(self, label: Label) -> str:
        if isinstance(label, tuple):
            return ", ".join(n for n, on in zip(self.label_names, label, strict=True) if on)
        return self.label_names[label] if isinstance(label, int) else f"{label:g}"

    def label_counts(self, labels: Sequence[Any]) -> Counter[int] | None:
        if self.spec.problem_type == MULTI:
            labels = [index for row in labels for index, on in enumerate(row) if on]
        return None if self.spec.problem_type == REGRESSION else Counter(labels)

    def longest_example(self, word: str, words: int, *, paired: bool) -> Examples:
        blank: dict[str, Label] = {SINGLE: 0, MULTI: (0,) * len(self.label_names), REGRESSION: 0.0}
        examples = super().longest_example(word, words, paired=paired)
        return replace(examples, labels=(blank[self.spec.problem_type],))

    def outputs(self, model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        """Scores of the head in fp32, (batch, labels), the same whatever the padding.

        A decoder's head scores every position and transformers then picks the last real token;
        with a soft prompt it is handed embeddings, cannot see the padding any more and takes the
        last position, whatever stands there. So the position is picked here, the one that a plain
        load picks for the text alone.
        """
        score = _per_token_head(model)
        if score is None:
            if _reads_last_position(model):
                return _by_length(model, batch).float()
            logits: Tensor = model(**batch.inputs).logits
            return logits.float()
        with _captured(score) as outputs:
            model(**batch.inputs)
        last = _last_tokens(model, batch, virtual_tokens)
        rows = torch.arange(last.shape[0], device=last.device)
        return outputs[0][rows, virtual_tokens + last].float()

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        dtype = torch.long if self.spec.problem_type == SINGLE else torch.float
        labels = tensor_on([row["label"] for row in batch.rows], outputs.device, dtype)
        if self.spec.problem_type == SINGLE:
            return F.cross_entropy(outputs, labels, reduction="none")
        if self.spec.problem_type == MULTI:
            return F.binary_cross_entropy_with_logits(outputs, labels, reduction="none").mean(dim=1)
        return F.mse_loss(outputs.squeeze(1), labels, reduction="none")

    def training_losses(self, model: nn.Module, batch: Batch, virtual_tokens: int) -> Losses:
        """The label's loss by the weight of its class; or with that of the text's next tokens."""
        if self.class_weights:
            losses = self.losses(self.outputs(model, batch, virtual_tokens), batch)
            weights = [self.training_weight(row) for row in batch.rows]
            return Losses(losses * tensor_on(weights, losses.device))
        if not self.spec.lm_weight:
            return super().training_losses(model, batch, virtual_tokens)
        with next_token_logits(model, _per_token_head(model), batch, virtual_tokens) as logits:
            outputs = self.outputs(model, batch, virtual_tokens)
        label, text = self.losses(outputs, batch), next_token_losses(logits[0], batch)
        parts = {"classification": label, "language_modelling": text}
        return Losses(label + self.spec.lm_weight * text, parts)

    def values(self, outputs: Tensor, batch: Batch) -> list[Values]:
        return list(outputs.detach().cpu().numpy())

    def answers(self, encoded: Encoded, predicted: Predicted) -> list[Label]:
        """What the model answers for each text: index, 0/1 vector or number."""
        if self.spec.problem_type == SINGLE:
            return [int(row.argmax()) for row in predicted.values]
        if self.spec.problem_type == MULTI:
            return [tuple(int(v > 0) for v in row) for row in predicted.values]
        return [float(row[0]) for row in predicted.values]

    def references(self, encoded: Encoded) -> list[Label]:
        return self.labels_as_answers(encoded.examples.labels)

    def labels_as_answers(self, labels: Sequence[Any]) -> list[Label]:
        return list(labels)

    def scores(self, encoded: Encoded, predicted: Predicted) -> list[float | None]:
        """Probability of the answer; None for regression, mean for multi-label."""
        if self.spec.problem_type == REGRESSION or not predicted.values:
            return [None] * len(predicted.values)
        logits = torch.from_numpy(np.stack(predicted.values))
        if self.spec.problem_type == MULTI:
            p = logits.sigmoid()
            return [float(v) for v in torch.maximum(p, 1 - p).mean(dim=1)]
        return [float(v) for v in logits.softmax(dim=1).amax(dim=1)]

    def answer_text(self, answer: Label) -> str:
        return self.label_text(answer)

    def table(
        self, encoded: Encoded, predicted: Predicted, answers: Sequence[Any]
    ) -> dict[str, list[Any]]:
        logits = [row.tolist() for row in predicted.values]
        return super().table(encoded, predicted, answers) | {"logits": logits}

    def baselines(self, data: Data) -> dict[str, list[Any]]:
        return class_baselines(data, self.spec.problem_type)

    @staticmethod
    def usage(about: About, *, pairs: bool) -> Iterator[str]:
        texts = '"a text", "its second text"' if pairs else '"a text"'
        yield f'inputs = tokenizer({texts}, return_tensors="pt", {truncation(about)})'
        yield "logits = model(**inputs).logits[0]"
        yield {
            SINGLE: "print(model.config.id2label[int(logits.argmax())])",
            MULTI: "print([model.config.id2label[i] for i, x in enumerate(logits) if x > 0])",
            REGRESSION: "print(float(logits[0]))",
        }[about["task"]["problem_type"]]

    def plain_request(self, encoded: Encoded, index: int) -> dict[str, Any]:
        owner, examples = int(encoded.owners[index]), encoded.examples
        pair = None if examples.pairs is None else examples.pairs[owner]
        return {"text": examples.texts[owner], "text_pair": pair}


def _columns(examples: Examples) -> Columns:
    columns: Columns = {"text": list(examples.texts)}
    return columns if examples.pairs is None else columns | {"pair": list(examples.pairs)}


def _per_token_head(model: nn.Module) -> nn.Module | None:
    """The head that scores every position (``score`` of transformers' decoders), if it is one."""
    named = model.named_modules()
    return next((module for name, module in named if name.rpartition(".")[2] == "score"), None)


def _last_tokens(model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
    """The position in each text that a plain load takes the scores of, (batch,).

    transformers (5.23) takes the last token that is not the padding token, also where a text
    itself ends in that token (GPT-2's end token pads); of embeddings, as behind a soft prompt, it
    takes the last one.
    """
    counted = batch.inputs["attention_mask"]
    pad = pretrained(model).config.get_text_config().pad_token_id
    if not virtual_tokens and pad is not None:
        counted = counted * (batch.inputs["input_ids"] != pad)
    places = torch.arange(counted.shape[1], device=counted.device)
    return (places * counted).argmax(dim=1)


def _reads_last_position(model: nn.Module) -> bool:
    """Whether a head reads the last position, padding or not, as XLNet's summary does."""
    return any(getattr(module, "summary_type", None) == "last" for module in model.modules())


def _by_length(model: nn.Module, batch: Batch) -> Tensor:
    """Logits of texts of one length at a time, so that none is padded, (batch, labels)."""
    lengths = batch.inputs["attention_mask"].sum(dim=1)
    found: dict[int, Tensor] = {}
    for length in lengths.unique().tolist():
        at = (lengths == length).nonzero().squeeze(1)
        logits = model(**{name: rows[at, :length] for name, rows in batch.inputs.items()}).logits
        found |= dict(zip(at.tolist(), logits, strict=True))
    return torch.stack([found[row] for row in range(len(lengths))])


@contextmanager
def _captured(module: nn.Module) -> Iterator[list[Tensor]]:
    outputs: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        yield outputs
    finally:
        handle.remove()
