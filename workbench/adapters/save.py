"""Writes what was trained as a folder that plain transformers + PEFT can load."""

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from peft.utils import SAFETENSORS_WEIGHTS_NAME as WEIGHTS
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workbench.adapters.folder import ABOUT, TRAINED_WEIGHTS
from workbench.methods import METHODS, AdaptedModel
from workbench.methods.base import ExportKind
from workbench.models import Base
from workbench.store import make_folder, publish_folder, write_json
from workbench.tasks import AnyTask


def write_weights(adapted: AdaptedModel, method: str, folder: Path) -> ExportKind:
    """Writes weights, config and tokenizer; returns how they are to be loaded.

    ``full`` writes the whole model, ``delta`` (head, bitfit) the trained tensors alone, ``peft``
    what PEFT saves. The config carries the labels, so that a plain load builds the right head.
    """
    kind = METHODS[method].export_kind
    folder.mkdir(parents=True, exist_ok=True)
    base = adapted.base
    if kind == "full":
        with _plain_config(adapted):
            base.model.save_pretrained(folder)
    elif kind == "delta":
        tensors = {n: p.detach().cpu().contiguous() for n, p in adapted.trainable().items()}
        save_file(tensors, folder / TRAINED_WEIGHTS, metadata={"format": "pt"})
        base.config.save_pretrained(folder)
    else:
        _save_peft(adapted.model, folder, adapted.starting_adapter)
        base.config.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    return kind


def describe(
    folder: Path, adapted: AdaptedModel, task: AnyTask, kind: ExportKind, max_length: int
) -> dict[str, Any]:
    """Writes ``workbench.json``: what ``load_adapter`` needs beyond transformers' own files."""
    about = {
        "kind": kind,
        "base": adapted.base.public_name,
        "revision": adapted.base.revision,
        "auto_class": task.auto_class,
        "task": task.spec.model_dump(mode="json"),
        "other_head": adapted.base.other_head,
        "embedding_rows": rows_for_new_tokens(adapted.base),
        "loading": adapted.base.loading,
        "labels": list(task.label_names),
        "max_length": max_length,
        "virtual_tokens": adapted.virtual_tokens,
        "output": task.plain_output,
        "per_position": task.per_position,
        "reading": task.reading(adapted.base.tokenizer),
    }
    write_json(folder / ABOUT, about)
    return about


def rows_for_new_tokens(base: Base) -> int | None:
    """Rows of the word embedding, where some were added for new tokens."""
    return base.new_tokens[-1] + 1 if base.new_tokens else None


def _save_peft(model: nn.Module, folder: Path, start: dict[str, Tensor] | None) -> None:
    assert isinstance(model, PeftModel)
    # False: of a resized vocabulary the new rows are saved, and "auto" would ask the Hub about it.
    if start is None:
        model.save_pretrained(str(folder), save_embedding_layers=False)
    else:
        _save_converted(model, folder, start)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["inference_mode"] = True
    # PEFT writes its sets in the order of their hashes, which each process has another one of.
    kept = model.active_peft_config.to_dict().items()
    config |= {name: sorted(value) for name, value in kept if isinstance(value, set)}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "README.md").unlink(missing_ok=True)


def _save_converted(model: PeftModel, folder: Path, start: dict[str, Tensor]) -> None:
    """Saves an adapter that changed its base (PiSSA, OLoRA) as a LoRA of the original base.

    PEFT's conversion (0.21) keeps the low-rank matrices only and loses the task head, which is
    put back here.
    """
    with TemporaryDirectory() as parent, warnings.catch_warnings():
        beginning = Path(parent) / "start"  # PEFT names the second adapter after the folder
        beginning.mkdir()
        save_file(start, beginning / WEIGHTS, metadata={"format": "pt"})
        # PEFT advises the very conversion that this is.
        warnings.filterwarnings("ignore", "(PiSSA|OLoRA) changes the base weights")
        model.save_pretrained(
            str(folder),
            save_embedding_layers=False,
            path_initial_model_for_weight_conversion=str(beginning),
        )
    own = get_peft_model_state_dict(model, save_embedding_layers=False)
    converted = load_file(folder / WEIGHTS)
    head = {name: tensor.contiguous() for name, tensor in own.items() if name not in converted}
    save_file({**converted, **head}, folder / WEIGHTS, metadata={"format": "pt"})


@contextmanager
def _plain_config(adapted: AdaptedModel) -> Iterator[None]:
    """The config without the dropout that this machine's policy chose."""
    model = adapted.base.model
    trained_with = model.config
    model.config = deepcopy(adapted.base.config)
    model.config.vocab_size = trained_with.vocab_size
    try:
        yield
    finally:
        model.config = trained_with


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder`` that takes its place when the block succeeds.

    It is on the disk then, whatever happens to the power.
    """
    make_folder(folder.parent)
    temporary = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        publish_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
