"""Calls the command line as a shell would, and lays out run folders for it to look at."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from workbench.cli import main
from workbench.store import process_start_time


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout as the one JSON document that it has to be."""
        return json.loads(self.out)


@pytest.fixture
def workbench(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Answer]:
    """``workbench("check", path)`` in an empty working folder."""
    here = tmp_path / "here"
    here.mkdir(exist_ok=True)
    monkeypatch.chdir(here)

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Answer(code, out, err)

    return call


RESULT: dict[str, Any] = {
    "version": 1,
    "study": "s",
    "recipe": "lora",
    "seed": 0,
    "method": "lora",
    "description": "A test.",
    "metrics": {"test": {"accuracy": 0.9625, "f1_macro": None}, "validation": {"accuracy": 0.9}},
    "selected": {"step": 50, "metric": "accuracy", "value": 0.95},
    "parameters": {"trainable": 296450, "head": 1538, "adapter": 294912, "total": 109778690},
    "adapter_bytes": 1190000,
    "memory": {
        "peak_memory_bytes": 2_000_000_000,
        "phases": {"train": 2_000_000_000, "evaluate": 1_000_000_000},
        "breakdown": {"weights_bytes": 440_000_000, "gradients_bytes": None},
        "how": "VmHWM",
    },
    "time": {"train_seconds": 125.0, "steps": 100, "tokens_per_second": 9e3},
    "policy": {"device": "cpu", "precision": "bf16", "why": "measured fastest", "processes": 1},
    "data": {"sizes": {"train": 800}, "duplicates_removed": 98, "labels": ["a", "b"]},
    "references": {"majority class": {"accuracy": 0.2}},
    "export": {"kind": "peft", "checked": True},
    "warnings": ["only one seed"],
}  # fmt: skip


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run folder below ``runs`` with a state, and a result when finished."""

    def write(name: str = "lora-s0-12345678", state: str = "finished", **status: Any) -> Path:
        path = tmp_path / "runs" / "s" / name
        path.mkdir(parents=True)
        content = {
            "state": state,
            "study": "s",
            "recipe": name.partition("-")[0],
            "method": "lora",
            "seed": 0,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process_started_at": process_start_time(os.getpid()),
            "heartbeat_at": time.time(),
            "started_at": 1_700_000_000.0,
            **status,
        }
        (path / "status.json").write_text(json.dumps(content))
        (path / "recipe.yaml").write_text("study: s\n")
        if state == "finished":
            (path / "result.json").write_text(json.dumps(RESULT))
        return path

    return write
