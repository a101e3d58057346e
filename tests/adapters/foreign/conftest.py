"""Adapters as somebody without the workbench makes them: with PEFT alone."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_models import make_tiny

MakeAdapter = Callable[..., Path]


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    """A LoRA (r = 4) with a head of three labels, saved by PEFT."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=3)
    config = LoraConfig(
        r=4, target_modules=["query", "value"], task_type="SEQ_CLS", init_lora_weights=False
    )
    folder = tmp_path_factory.mktemp("foreign") / "theirs"
    get_peft_model(model, config).save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(foreign: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    for path in foreign.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def configured(adapter: Path) -> MakeAdapter:
    """``configured(r=3)``: the adapter with other values in its config."""

    def change(**values: Any) -> Path:
        path = adapter / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
        return adapter

    return change


@pytest.fixture
def zipped(adapter: Path, tmp_path: Path) -> MakeAdapter:
    """A zip of the adapter, and of what else is named: text, or an entry with its own text."""

    def pack(*more: tuple[str | zipfile.ZipInfo, str], inside: str = "") -> Path:
        path = tmp_path / "theirs.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(adapter.iterdir()):
                archive.write(file, f"{inside}{file.name}")
            for name, text in more:
                archive.writestr(name, text)
        return path

    return pack


@pytest.fixture(scope="session")
def wider_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with another hidden size than the one that the adapter was trained on."""
    import transformers

    folder = make_tiny("bert", tmp_path_factory.mktemp("wider-bert"))
    config = transformers.BertConfig.from_pretrained(folder, hidden_size=48, num_attention_heads=2)
    transformers.BertForPreTraining(config).save_pretrained(folder)
    return folder
