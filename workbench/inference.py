"""Using what was trained: load exported folders and ask them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from workbench.assets import ASSETS, fetch
from workbench.data.encode import encode
from workbench.data.examples import Examples
from workbench.errors import ExportError
from workbench.measure.evaluation import write_texts
from workbench.recipe.tasks import TASK_SPECS
from workbench.store import read_json
from workbench.tasks import AnyTask, make_task
from workbench.tasks.base import pretrained
from workbench.training.prediction import predict

TRAINED_WEIGHTS = "trained_weights.safetensors"
"""File of an export that holds the trained tensors alone (head, bitfit)."""
ABOUT = "workbench.json"
"""File of an export that says what it is: base, task, labels, how to load it."""

_SAID = {
    *("kind", "base", "revision", "auto_class", "task", "labels", "max_length"),
    *("virtual_tokens", "output", "per_position"),
}
"""What it says in every export."""

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
    spec = TASK_SPECS[about["task"]["name"]].model_validate(about["task"])
    task = make_task(spec, about["labels"])
    model = load_exported(path, about, base)
    tokenizer = AutoTokenizer.from_pretrained(path)
    return LoadedAdapter(path, model, tokenizer, task, about["max_length"], about["virtual_tokens"])


def find_export(folder: str | Path) -> tuple[Path, dict[str, Any]]:
    """An export, or that of a run folder, and what its ``workbench.json`` says.

    Raises:
        ExportError: when there is none, or the file does not say all that is needed.
    """
    path = Path(folder)
    if (path / "adapter" / ABOUT).is_file():
        path = path / "adapter"
    about = read_json(path / ABOUT)
    if about is None or not about.keys() >= _SAID:
        raise ExportError(
            f"no {ABOUT} here, or a damaged one: this is not an export of the workbench",
            where=str(folder),
            fix="name a finished run or a folder that `workbench export` wrote",
        )
    return path, about


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


def load_exported(folder: Path, about: dict[str, Any], base: str | None = None) -> nn.Module:
    """The model of an exported folder in fp32, ready to predict.

    Args:
        folder: the export.
        about: what its ``workbench.json`` says.
        base: another place of the base model; by default the one that ``about`` names.

    Raises:
        ExportError: when the base cannot be loaded, does not fit, or the weights are damaged,
            incomplete or not finite.
    """
    auto, kind = getattr(transformers, about["auto_class"]), about["kind"]
    base, revision = base or local_base(about["base"]), about["revision"] or "main"
    check_weights(folder)
    if kind == "full":
        return _fitting(lambda: auto.from_pretrained(folder, use_safetensors=True), folder)
    config = AutoConfig.from_pretrained(folder)
    try:
        model = auto.from_pretrained(base, revision=revision, config=config, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise ExportError(
            f"its base model {base!r} cannot be loaded: {str(error).splitlines()[0]}",
            where=str(folder),
            fix="connect once so that it is cached, or pass the folder that holds it",
        ) from error
    if kind == "peft":
        return _fitting(lambda: PeftModel.from_pretrained(model, folder), folder)
    return _fitting(lambda: _with_tensors(model, load_file(folder / TRAINED_WEIGHTS)), folder)


def _with_tensors(model: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    unexpected = model.load_state_dict(state, strict=False).unexpected_keys
    if unexpected:
        raise KeyError(unexpected[0])
    return model


def check_weights(folder: Path) -> None:
    """Refuses weight files that are missing, cut off or hold numbers that are none.

    Raises:
        ExportError: naming the file, and the tensor.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ExportError("no *.safetensors file here", where=str(folder), fix="export it again")
    for path in files:
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ExportError(
                f"the file is damaged: {error}", where=str(path), fix="export it again"
            ) from error
        broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
        if broken:
            raise ExportError(
                f"{broken[0]} holds NaN or infinite numbers",
                where=str(path),
                why="every answer would be NaN",
                fix="train again with a lower learning rate, and export that run",
            )


def _fitting(load: Callable[[], Any], folder: Path) -> nn.Module:
    """What ``load`` returns, in evaluation mode; its complaints in our words."""
    try:
        model: nn.Module = load()
    except (KeyError, RuntimeError, ValueError, TypeError, OSError) as error:
        lines = str(error).strip().splitlines() or [""]
        missing = f"it has no tensor {lines[0]}" if isinstance(error, KeyError) else lines[0]
        raise ExportError(
            f"the weights do not fit the base model: {missing}",
            where=str(folder),
            why=" ".join(line.strip() for line in lines[1:3]),
            fix="load it on the base model that workbench.json names, or export it again",
        ) from error
    return model.eval()


def local_base(name: str) -> str:
    """Where a base model lies on this machine: an asset's own folder, else the name itself."""
    for asset in ASSETS.values():
        if name in (asset.hub_id, asset.name) and asset.kind == "model":
            return str(fetch(asset.name))
    return name
