"""Adapters on their bases, ready to answer: one, or several that share what is equal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from workbench.data.encode import encode
from workbench.data.examples import Examples
from workbench.inference.exported import find_export, in_words, load_exported, not_an_export
from workbench.measure.evaluation import write_texts
from workbench.recipe.tasks import TASK_SPECS
from workbench.tasks import AnyTask, make_task
from workbench.tasks.base import pretrained
from workbench.training.prediction import predict

_WRAPPING = {"base_layer", "original_module"}
"""Names that PEFT puts between a module and its weights."""


@dataclass
class LoadedAdapter:
    """A trained adapter on its base, ready to answer texts."""

    folder: Path
    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    task: AnyTask
    max_length: int
    virtual_tokens: int

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, batch_size: int = 32
    ) -> list[dict[str, Any]]:
        """Answers texts (or pairs of texts: for question-answering, contexts and questions).

        Returns a dict per text: ``text``, ``prediction`` (a label, tags, a span, a written text),
        ``score`` (the probability of the answer where there is one) and what else the task
        tells, such as ``logits``.
        """
        seconds: Sequence[str | None] = pairs or [None] * len(texts)
        asked = [self.task.question(t, second) for t, second in zip(texts, seconds, strict=True)]
        if not asked:
            return []
        encoder = self.task.encoder(self.tokenizer, self.max_length)
        encoded = encode(_joined(asked), encoder, self.tokenizer, cached=False)
        predicted = predict(
            self.model,
            self.task,
            encoded,
            self.tokenizer,
            None,
            batch_size=batch_size,
            virtual_tokens=self.virtual_tokens,
            labelled=False,
        )
        written = write_texts(
            self.model, self.task, encoded, self.tokenizer, None, batch_size=batch_size
        )
        answers = self.task.answers(encoded, predicted) if written is None else written
        columns = self.task.table(encoded, predicted, answers)
        told = [name for name in columns if name not in ("id", "label")]
        rows = zip(*(columns[name] for name in told), strict=True)
        return [dict(zip(told, row, strict=True)) for row in rows]


def _joined(parts: Sequence[Examples]) -> Examples:
    first = parts[0]
    return Examples(
        ids=tuple(str(index) for index in range(len(parts))),
        texts=tuple(part.texts[0] for part in parts),
        pairs=None if first.pairs is None else tuple((p.pairs or ("",))[0] for p in parts),
        labels=tuple(part.labels[0] for part in parts),
        parts=None if first.parts is None else tuple((p.parts or ((),))[0] for p in parts),
    )


def load_adapter(folder: str | Path, *, base: str | None = None) -> LoadedAdapter:
    """Loads an exported folder, or the adapter of a run folder.

    Args:
        folder: what `workbench export` wrote, or a finished run's folder.
        base: another place of the base model; by default the one that the folder names.

    Raises:
        ExportError: when the folder is not an export, or its base cannot be loaded.
    """
    path, about = find_export(folder)
    try:
        spec = TASK_SPECS[about["task"]["name"]].model_validate(about["task"])
    except ValidationError as error:
        raise not_an_export(path) from error
    task = make_task(spec, about["labels"])
    model = load_exported(path, about, base)
    tokenizer = in_words(
        lambda: AutoTokenizer.from_pretrained(path, trust_remote_code=False),
        path,
        "its tokenizer cannot be loaded",
    )
    return LoadedAdapter(path, model, tokenizer, task, about["max_length"], about["virtual_tokens"])


def load_adapters(folders: Iterable[str | Path], *, base: str | None = None) -> list[LoadedAdapter]:
    """Loads several exports of one base model, whose frozen weights are then in memory once.

    Tasks and methods may be mixed. A tensor is shared only where it is bit for bit the same.

    Raises:
        ExportError: as `load_adapter` does.
    """
    loaded: list[LoadedAdapter] = []
    known: dict[str, list[Tensor]] = {}
    for folder in folders:
        adapter = load_adapter(folder, base=base)
        _share(adapter.model, known)
        loaded.append(adapter)
    return loaded


def resident_bytes(adapters: Sequence[LoadedAdapter]) -> int:
    """Memory that the weights of some adapters and their bases take up together."""
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for adapter in adapters
        for tensor in [*adapter.model.parameters(), *adapter.model.buffers()]
    }
    return sum(storages.values())


def _share(model: nn.Module, known: dict[str, list[Tensor]]) -> None:
    """Puts tensors that are loaded already in the place of equal ones, and adds the others.

    Several may bear one name: those of the base, and those of a fully fine-tuned model.
    """
    for name, parameter in pretrained(model).named_parameters():
        plain = ".".join(p for p in name.split(".") if p not in _WRAPPING)
        twins = known.setdefault(plain, [])
        twin = next((tensor for tensor in twins if _equal(tensor, parameter.data)), None)
        if twin is None:
            twins.append(parameter.data)
        else:
            parameter.data = twin


def _equal(one: Tensor, other: Tensor) -> bool:
    same_form = one.shape == other.shape and one.dtype == other.dtype
    return same_form and torch.equal(one, other)
