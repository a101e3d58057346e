"""Text classification: one label, several labels or a number for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.recipe.catalogue import MULTI, REGRESSION, SINGLE
from workbench.recipe.schema import TextClassification

Label = int | float | tuple[int, ...]


class TextClassificationTask:
    """What the loop, the measuring and the export need to know of text classification."""

    auto_class = "AutoModelForSequenceClassification"
    peft_task_type = "SEQ_CLS"

    def __init__(self, spec: TextClassification, label_names: Sequence[str]) -> None:
        self.spec = spec
        self.label_names = tuple(label_names)

    def head_config(self) -> dict[str, Any]:
        """What the model's config has to say about the head and its labels."""
        names = self.label_names or ("score",)
        return {
            "num_labels": len(names),
            "id2label": dict(enumerate(names)),
            "label2id": {name: index for index, name in enumerate(names)},
            "problem_type": self.spec.problem_type,
        }

    def collate_labels(self, labels: Sequence[Label]) -> Tensor:
        """Labels as a tensor: (batch,) class indices or numbers, (batch, labels) for multi-label.

        Class indices are int64, everything else float32.
        """
        dtype = torch.long if self.spec.problem_type == SINGLE else torch.float
        return torch.tensor(list(labels), dtype=dtype)

    def logits(self, model: nn.Module, inputs: dict[str, Tensor], virtual_tokens: int) -> Tensor:
        """Scores of the head in fp32, (batch, labels), the same whatever the padding.

        A decoder's head scores every position and transformers then picks the last real token;
        with a soft prompt it is handed embeddings, cannot see the padding any more and takes the
        last position, whatever stands there. So the position is picked here: virtual tokens plus
        the length of the text, minus one. Without padding that is what a plain load picks.
        """
        score = _per_token_head(model)
        if score is None:
            logits: Tensor = model(**inputs).logits
            return logits.float()
        with _captured(score) as outputs:
            model(**inputs)
        last = virtual_tokens + inputs["attention_mask"].sum(dim=1) - 1
        rows = torch.arange(last.shape[0], device=last.device)
        return outputs[0][rows, last].float()

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each example, (batch,), from logits (batch, labels)."""
        if self.spec.problem_type == SINGLE:
            return F.cross_entropy(logits, labels, reduction="none")
        if self.spec.problem_type == MULTI:
            return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(dim=1)
        return F.mse_loss(logits.squeeze(1), labels, reduction="none")

    def predictions(self, logits: Tensor) -> list[Label]:
        """What the model answers for each row of (batch, labels): index, 0/1 vector or number."""
        if self.spec.problem_type == SINGLE:
            return [int(i) for i in logits.argmax(dim=1)]
        if self.spec.problem_type == MULTI:
            return [tuple(int(v) for v in row) for row in (logits > 0).int()]
        return [float(v) for v in logits.squeeze(1)]

    def confidences(self, logits: Tensor) -> list[float | None]:
        """Probability of the answer for each row; None for regression, mean for multi-label."""
        if self.spec.problem_type == REGRESSION:
            return [None] * logits.shape[0]
        if self.spec.problem_type == MULTI:
            p = logits.sigmoid()
            return [float(v) for v in torch.maximum(p, 1 - p).mean(dim=1)]
        return [float(v) for v in logits.softmax(dim=1).amax(dim=1)]

    def label_text(self, label: Label) -> str:
        """A label or prediction as people read it."""
        if isinstance(label, tuple):
            return ", ".join(n for n, on in zip(self.label_names, label, strict=True) if on)
        return self.label_names[label] if isinstance(label, int) else f"{label:g}"


def _per_token_head(model: nn.Module) -> nn.Module | None:
    """The head that scores every position (``score`` of transformers' decoders), if it is one."""
    named = model.named_modules()
    return next((module for name, module in named if name.rpartition(".")[2] == "score"), None)


@contextmanager
def _captured(module: nn.Module) -> Iterator[list[Tensor]]:
    outputs: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        yield outputs
    finally:
        handle.remove()
