"""Using what was trained: load an exported folder and ask it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from workbench.errors import ExportError
from workbench.recipe.schema import TextClassification
from workbench.store import read_json
from workbench.tasks import TextClassificationTask

TRAINED_WEIGHTS = "trained_weights.safetensors"
"""File of an export that holds the trained tensors alone (head, bitfit)."""
ABOUT = "workbench.json"
"""File of an export that says what it is: base, task, labels, how to load it."""


@dataclass
class LoadedAdapter:
    """A trained adapter on its base, ready to answer texts."""

    folder: Path
    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    task: TextClassificationTask
    max_length: int
    virtual_tokens: int

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, batch_size: int = 32
    ) -> list[dict[str, Any]]:
        """Answers texts (or pairs of texts).

        Returns a dict per text: ``text``, ``prediction`` (label name, names or a number),
        ``score`` (its probability; None for regression) and ``logits``.
        """
        answers = []
        for start in range(0, len(texts), batch_size):
            part = list(texts[start : start + batch_size])
            second = list(pairs[start : start + batch_size]) if pairs is not None else None
            logits = self._logits(part, second)
            labels, scores = self.task.predictions(logits), self.task.confidences(logits)
            answers += [
                {
                    "text": t,
                    "prediction": self.task.label_text(p),
                    "score": s,
                    "logits": row.tolist(),
                }
                for t, p, s, row in zip(part, labels, scores, logits, strict=True)
            ]
        return answers

    def _logits(self, texts: list[str], pairs: list[str] | None) -> Tensor:
        inputs = self.tokenizer(
            texts,
            pairs,
            truncation=True,
            max_length=self.max_length,
            padding=True,
            return_tensors="pt",
        ).to(next(self.model.parameters()).device)
        with torch.inference_mode():
            return self.task.logits(self.model, dict(inputs), self.virtual_tokens).cpu()


def load_adapter(folder: str | Path, *, base: str | None = None) -> LoadedAdapter:
    """Loads an exported folder, or the adapter of a run folder.

    Args:
        folder: what `workbench export` wrote, or a finished run's folder.
        base: another place of the base model; by default the one that the folder names.

    Raises:
        ExportError: when the folder is not an export, or its base cannot be loaded.
    """
    path = Path(folder)
    if (path / "adapter" / ABOUT).is_file():
        path = path / "adapter"
    about = read_json(path / ABOUT)
    if about is None:
        raise ExportError(
            f"no {ABOUT} here: this is not an export of the workbench",
            where=str(folder),
            fix="name a finished run or a folder that `workbench export` wrote",
        )
    spec = TextClassification.model_validate(about["task"])
    task = TextClassificationTask(spec, tuple(about["labels"]))
    model = load_exported(path, about, base)
    tokenizer = AutoTokenizer.from_pretrained(path)
    return LoadedAdapter(path, model, tokenizer, task, about["max_length"], about["virtual_tokens"])


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
    _check_weights(folder)
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


def _check_weights(folder: Path) -> None:
    """Refuses weight files that are missing, cut off or hold numbers that are none."""
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
