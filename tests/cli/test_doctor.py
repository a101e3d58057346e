"""``workbench doctor``: what it finds is what the libraries say; each gap comes with a way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from workbench.pipeline import machine


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "why_unreachable", lambda: "the Hub is away")


def test_it_says_what_the_libraries_say(workbench: Callable[..., Any], tmp_path: Path) -> None:
    found = json.loads(workbench("doctor", "--json", "--runs", str(tmp_path)).out)
    assert found["packages"]["torch"] == metadata.version("torch")
    assert found["device"]["device"] == ("cuda" if torch.cuda.is_available() else "cpu")
    assert found["memory"]["total_bytes"] <= psutil.virtual_memory().total
    assert found["disk"][0]["folder"] == str(tmp_path)
    assert len(found["gpus"]) == torch.cuda.device_count()
    assert {"what": "Hugging Face Hub", "why": "the Hub is away"}.items() <= (
        found["missing"][-1].items()
    )


def test_what_is_missing_comes_with_a_way_to_get_it(
    workbench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_extras", lambda: {"tune": ["optuna<6,>=5"], "ui": []})
    monkeypatch.setattr(machine, "listing", lambda: [{"name": "minilm-l6", "state": "absent"}])
    little = SimpleNamespace(total=10**10, used=10**10, free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: little)
    answer = workbench("doctor")
    assert answer.code == 0
    lines = answer.out[answer.out.index("Missing, and how to get it") :].splitlines()
    ways = {
        "extra tune": "pip install 'peft-workbench[tune]'",
        "asset:minilm-l6": "workbench assets pull minilm-l6",
        "disk for runs": "--runs",
        "disk for cache": "WORKBENCH_CACHE",
    }
    for what, way in ways.items():
        assert any(line.startswith(what) and way in line for line in lines), what
    assert not any(line.startswith("extra ui") for line in lines)


def test_extras_are_those_of_the_package_that_are_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ["torch>=2", "optuna<6,>=5; extra == 'tune'", "rich>=14; extra == 'ui'"]
    about = SimpleNamespace(get_all=lambda _key: ["tune", "ui", "dev"])
    monkeypatch.setattr(metadata, "requires", lambda _name: asked)
    monkeypatch.setattr(metadata, "metadata", lambda _name: about)
    here = {"optuna": "4.0", "rich": "14.1"}
    monkeypatch.setattr(machine, "version", here.get)
    assert machine._extras() == {"tune": ["optuna<6,>=5"], "ui": []}


def test_a_gpu_that_torch_does_not_see_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    gaps = {each["what"]: each for each in machine.look(tmp_path)["missing"]}
    assert "nvidia-smi" in gaps["torch sees no GPU"]["fix"]
