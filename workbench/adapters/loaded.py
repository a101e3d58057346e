"""Adapters on their bases, ready to answer: one, or several that share what is equal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from workbench.adapters.folder import (
    find_export,
    in_words,
    load_base_of,
    load_exported,
    not_an_export,
)
from workbench.data.encode import Encoded, encode
from workbench.data.examples import Examples
from workbench.inference.predict import predict
from workbench.metrics.evaluate import write_texts
from workbench.recipe.tasks import TASK_SPECS
from workbench.tasks import AnyTask, make_task
from workbench.tasks.base import Predicted, pretrained

_WRAPPING = {"base_layer", "original_module"}
"""Names that PEFT puts between a module and its weights."""


@dataclass(kw_only=True)
class LoadedAdapter:
    """A trained adapter on its base, ready to answer texts."""

    folder: Path
    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    task: AnyTask
    max_length: int
    virtual_tokens: int
    alone: bool = False
    """Whether each text is answered by itself, as in the test of a base in fewer bits."""

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
        predicted = self.run(encoded, batch_size)
        written = write_texts(
            self.model,
            self.task,
            encoded,
            self.tokenizer,
            None,
            batch_size=1 if self.alone else batch_size,
        )
        answers = self.task.answers(encoded, predicted) if written is None else written
        columns = self.task.table(encoded, predicted, answers)
        told = [name for name in columns if name not in ("id", "label")]
        rows = zip(*(columns[name] for name in told), strict=True)
        return [dict(zip(told, row, strict=True)) for row in rows]

    def run(self, encoded: Encoded, batch_size: int = 8) -> Predicted:
        """What the model makes of texts without labels."""
        return predict(
            self.model,
            self.task,
            encoded,
            self.tokenizer,
            None,
            batch_size=batch_size,
            virtual_tokens=self.virtual_tokens,
            labelled=False,
            alone=self.alone,
        )


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
    task = _task_of(path, about)
    return _ready(path, about, task, load_exported(path, about, base), about["virtual_tokens"])


@dataclass(frozen=True)
class ZeroShotModel:
    """The base of an adapter without what was trained on it."""

    adapter: LoadedAdapter
    """The base with the task's head, asked as an adapter is."""
    at_random: tuple[str, ...]
    """Names of weights that the base does not have: what they decide is noise."""

    @property
    def answers(self) -> bool:
        """Whether what it answers means anything; what it attends to does in any case."""
        return not (self.at_random or self.adapter.task.spec.new_head)


def load_zero_shot(folder: str | Path, *, base: str | None = None) -> ZeroShotModel:
    """Loads the base of an exported folder as it was before the fine-tuning.

    Args:
        folder: what `workbench export` wrote, or a finished run's folder.
        base: another place of the base model; by default the one that the folder names.

    Raises:
        ExportError: as `load_adapter` does.
    """
    path, about = find_export(folder)
    task = _task_of(path, about)
    model, missing = load_base_of(path, about, base)
    return ZeroShotModel(_ready(path, about, task, model, 0), missing)


def _task_of(path: Path, about: dict[str, Any]) -> AnyTask:
    try:
        spec = TASK_SPECS[about["task"]["name"]].model_validate(about["task"])
    except ValidationError as error:
        raise not_an_export(path) from error
    return make_task(spec, about["labels"])


def _ready(
    path: Path, about: dict[str, Any], task: AnyTask, model: nn.Module, virtual_tokens: int
) -> LoadedAdapter:
    tokenizer = in_words(
        lambda: AutoTokenizer.from_pretrained(path, trust_remote_code=False),
        path,
        "its tokenizer cannot be loaded",
    )
    return LoadedAdapter(
        folder=path,
        model=model,
        tokenizer=tokenizer,
        task=task,
        max_length=about["max_length"],
        virtual_tokens=virtual_tokens,
        alone=bool(about.get("loading")),
    )


def load_adapters(folders: Iterable[str | Path], *, base: str | None = None) -> list[LoadedAdapter]:
    """Loads several exports of one base model, whose frozen weights are then in memory once.

    Tasks and methods may be mixed. A tensor is shared only where it is bit for bit the same.

    Raises:
        ExportError: as `load_adapter` does.
    """
    loaded: list[LoadedAdapter] = []
    for folder in folders:
        adapter = load_adapter(folder, base=base)
        share_weights(adapter, loaded)
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


def share_weights(adapter: LoadedAdapter, others: Iterable[LoadedAdapter]) -> None:
    """Puts tensors of others in the place of an adapter's own, wherever they are equal bit for bit.

    Several of one name may differ: those of the base, and those of a fully fine-tuned model.
    """
    known: dict[str, list[Tensor]] = {}
    for other in others:
        for name, parameter in pretrained(other.model).named_parameters():
            twins = known.setdefault(_plain(name), [])
            if all(tensor.data_ptr() != parameter.data_ptr() for tensor in twins):
                twins.append(parameter.data)
    for name, parameter in pretrained(adapter.model).named_parameters():
        twins = known.get(_plain(name), [])
        alike = (t for t in twins if t.shape == parameter.shape and t.dtype == parameter.dtype)
        twin = next((tensor for tensor in alike if torch.equal(tensor, parameter.data)), None)
        if twin is not None:
            parameter.data = twin


def _plain(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPING)
