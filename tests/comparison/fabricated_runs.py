"""Fabricated run folders: what a comparison reads, without running anything."""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

METHODS: dict[str, dict[str, Any]] = {
    "full": {"name": "full"},
    "lora": {"name": "lora", "r": 8, "alpha": 16.0, "target_modules": ["query", "value"]},
    "prefix": {"name": "prefix", "num_virtual_tokens": 20},
    "prompt": {"name": "prompt", "num_virtual_tokens": 20},
}

RESULT: dict[str, Any] = {
    "version": 1,
    "study": "bbc-news",
    "recipe": "lora",
    "seed": 0,
    "fingerprint": "f" * 64,
    "method": "lora",
    "task": "text-classification",
    "model": "asset:minilm-l6",
    "description": "",
    "metrics": {
        "test": {"accuracy": 0.95, "f1_macro": 0.94},
        "validation": {"accuracy": 0.96, "f1_macro": 0.955},
    },
    "selected": {"step": 50, "metric": "accuracy", "value": 0.96},
    "parameters": {
        "trainable": 75653,
        "head": 1925,
        "adapter": 73728,
        "total": 22_788_869,
        "stored": 75653,
    },
    "adapter_bytes": 310_000,
    "memory": {"peak_memory_bytes": 512_000_000, "baseline_bytes": 100_000_000},
    "time": {"train_seconds": 8.4, "steps_per_second": 11.9, "tokens_per_second": 20_000.0},
    "policy": {"device": "cpu", "device_name": "Test CPU", "precision": "bf16", "processes": 1},
    "comparability": {
        "data": "d1",
        "split": "s1",
        "base": "b1",
        "tokenisation": "t1",
        "metrics": "m1",
        "device": "cpu/bf16",
    },
    "references": {
        "majority class": {"accuracy": 0.232, "f1_macro": 0.075},
        "TF-IDF + logistic regression": {"accuracy": 0.962, "f1_macro": 0.961},
    },
    "warnings": [],
}

WriteRun = Callable[..., Path]

USUAL = math.nan
"""Stands for an accuracy that a test does not care for."""


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with some values replaced, sections merged."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        inner = result.get(key)
        both = isinstance(value, dict) and isinstance(inner, dict)
        result[key] = merged(inner, value) if both else value
    return result


def fabricate(
    runs: Path,
    recipe: str = "lora",
    seed: int = 0,
    accuracy: float | None = USUAL,
    *,
    study: str = "bbc-news",
    fingerprint: str | None = None,
    method: str | None = None,
    state: str = "finished",
    settings: dict[str, Any] | None = None,
    folder: str | None = None,
    replace: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Writes one run folder and returns it.

    ``changes`` are merged into the result, ``replace`` takes the place of whole sections of it,
    ``settings`` are merged into the recipe. The usual accuracy is 0.95, and 0.001 more with each
    seed.
    """
    accuracy = 0.95 + 0.001 * seed if accuracy is USUAL else accuracy
    method = method or (recipe if recipe in METHODS else "lora")
    fingerprint = fingerprint or f"{recipe}-{study}".encode().hex().ljust(64, "0")[:64]
    names = {"study": study, "recipe": recipe, "seed": seed, "fingerprint": fingerprint}
    names["method"] = method
    result = merged(RESULT, names | {"metrics": {"test": {"accuracy": accuracy}}})
    result = merged(result, changes) | (replace or {})
    path = runs / (folder or f"{study}/{recipe}-s{seed}-{fingerprint[:8]}")
    path.mkdir(parents=True)
    status = {"version": 1, "state": state, "reason": "", **names, "pid": 1, "host": "elsewhere"}
    status |= {"heartbeat_at": 0.0, "started_at": 1000.0, "ended_at": 1010.0 + seed}
    (path / "status.json").write_text(json.dumps(status), encoding="utf-8")
    os.utime(path / "status.json", (0, 0))
    if state == "finished":
        (path / "result.json").write_text(json.dumps(result), encoding="utf-8")
    content = {
        "study": study,
        "name": recipe,
        "description": "",
        "model": {"source": "asset:minilm-l6", "max_length": 128},
        "method": METHODS[method],
        "training": {"epochs": 2.0, "learning_rate": None, "batch_size": 16},
        "seeds": [0, 1, 2],
    }
    text = yaml.safe_dump(merged(content, settings or {}), sort_keys=False)
    (path / "recipe.yaml").write_text(text, encoding="utf-8")
    return path


def keep(run: Path, right: Sequence[bool], **more: Sequence[float]) -> None:
    """Writes the predictions of a fabricated run: which test items it gets right."""
    columns: dict[str, list[object]] = {
        "id": [str(i) for i in range(len(right))],
        "text": [f"text {i}" for i in range(len(right))],
        "label": ["a"] * len(right),
        "prediction": ["a" if hit else "b" for hit in right],
    }
    columns |= {name: list(values) for name, values in more.items()}
    pq.write_table(pa.table(columns), run / "predictions.parquet")
