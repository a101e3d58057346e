"""The content of local weights names them: a base trained again is another one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from workbench.models import local_fingerprint, location
from workbench.pipeline.runner import run_all
from workbench.recipe.schema import ModelSpec, Recipe


def _retrain(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors = {name: tensor + 0.01 for name, tensor in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.integration
def test_a_finished_run_on_a_base_that_was_trained_again_runs_again(
    tiny_bert: Path, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    base, said = tmp_path / "base", []
    base.mkdir()
    for file in tiny_bert.iterdir():
        (base / file.name).write_bytes(file.read_bytes())

    def observe(kind: str, fields: dict[str, Any]) -> None:
        said.append((kind, fields.get("message", "")))

    recipe = make_recipe("head", model={"source": str(base)}, training={"max_steps": 1})
    (first,) = run_all([recipe], [0], tmp_path / "runs", observer=observe)
    run_all([recipe], [0], tmp_path / "runs", observer=observe)
    assert "skipped" in [kind for kind, _ in said]
    said.clear()
    _retrain(base)
    (again,) = run_all([recipe], [0], tmp_path / "runs", observer=observe)
    assert "skipped" not in [kind for kind, _ in said]
    why = f"the base model in {base} has changed since this run finished: it runs again"
    assert ("warning", why) in said
    assert again.result["comparability"]["base"] != first.result["comparability"]["base"]


def test_a_large_file_is_hashed_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "REMEMBERED", 1)
    read: list[Path] = []
    monkeypatch.setattr(
        location, "_sha256", lambda p: read.append(p) or hashlib.sha256(p.read_bytes()).digest()
    )
    (tmp_path / "config.json").write_text("{}")
    save_file({"x": torch.zeros(4)}, tmp_path / "model.safetensors")
    spec = ModelSpec(source=str(tmp_path))
    found = local_fingerprint(spec)
    digests = [(tmp_path / n).read_bytes() for n in ("config.json", "model.safetensors")]
    of_each = b"".join(hashlib.sha256(content).digest() for content in digests)
    assert found == hashlib.sha256(of_each).hexdigest()
    location._file_digest.cache_clear()  # as another process would ask
    assert local_fingerprint(spec) == found and len(read) == 2
    save_file({"x": torch.ones(4)}, tmp_path / "model.safetensors")
    os.utime(tmp_path / "model.safetensors", ns=(1, 1))
    assert local_fingerprint(spec) != found and len(read) == 3


def test_what_is_no_folder_stays_as_it_is() -> None:
    assert local_fingerprint(ModelSpec(source="asset:minilm-l6")) is None
    assert local_fingerprint(ModelSpec(source="somebody/some-model")) is None
