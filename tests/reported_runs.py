"""Run folders with answers and curves, for what reads more of a run than its result."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import accuracy_score, f1_score

from workbench.recipe import Recipe, dump_recipe
from workbench.store import run_path, write_json

CLASSES = ("business", "sport", "tech")
METHODS: dict[str, dict[str, Any]] = {
    "full": {"name": "full"},
    "lora": {"name": "lora", "r": 8, "target_modules": ["query", "value"]},
    "prompt": {"name": "prompt", "num_virtual_tokens": 20},
}
TRAINABLE = {"full": 22_715_141, "lora": 75_653, "prompt": 9_605}
RIGHT = {"full": 0.95, "lora": 0.9, "prompt": 0.7}
"""Share of the answers that are right, before chance."""
MB = 10**6


def recipe_of(method: str, study: str = "news", name: str = "", **changes: Any) -> Recipe:
    """A recipe of a small study."""
    values: dict[str, Any] = {
        "study": study,
        "name": name or method,
        "task": {"name": "text-classification"},
        "model": {"source": "asset:minilm-l6"},
        "data": {"source": "asset:bbc-news"},
        "method": METHODS[method],
        "seeds": [0, 1, 2],
    }
    return Recipe.model_validate(values | changes)


def add_run(
    runs: Path,
    recipe: Recipe,
    seed: int = 0,
    *,
    texts: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    predictions: Sequence[str] | None = None,
    metrics: dict[str, float] | None = None,
    known: Sequence[str] = CLASSES,
    state: str = "finished",
    **result: Any,
) -> Path:
    """Writes one run folder; its scores are those of its answers, by scikit-learn."""
    path = run_path(runs, recipe, seed)
    path.mkdir(parents=True)
    method = recipe.method.name
    chance = random.Random(f"{method} {seed}")
    labels = list(labels or [CLASSES[i % 3] for i in range(30)])
    predictions = list(
        predictions
        or [x if chance.random() < RIGHT[method] else chance.choice(CLASSES) for x in labels]
    )
    texts = list(texts or [f"text {i}" for i in range(len(labels))])
    (path / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    status = {"version": 1, "state": state, "reason": "", "study": recipe.study}
    status |= {"recipe": recipe.name, "method": method, "seed": seed, "host": "elsewhere"}
    status |= {"fingerprint": recipe.fingerprint, "ended_at": 1000.0 + seed, "heartbeat_at": 0.0}
    write_json(path / "status.json", status)
    os.utime(path / "status.json", (0, 0))
    if state != "finished":
        return path
    if metrics is None:
        macro = f1_score(labels, predictions, average="macro", zero_division=0.0)
        metrics = {"accuracy": accuracy_score(labels, predictions), "f1_macro": float(macro)}
    write_json(path / "result.json", make_result(recipe, seed, metrics, known) | result)
    packages = {"peft-workbench": "0.1.0", "torch": "2.13.0+cpu", "peft": "0.21.2"}
    write_json(path / "environment.json", {"python": "3.11.7", "packages": packages})
    columns = {"id": [f"doc/{i}" for i in range(len(labels))], "text": texts, "label": labels}
    columns |= {"prediction": predictions, "score": [0.5 + i / 100 for i in range(len(labels))]}
    pq.write_table(pa.table(columns), path / "predictions.parquet")
    _log(path, seed, metrics)
    return path


def add_study(runs: Path, study: str = "news", seeds: int = 3, **more: Any) -> list[Path]:
    """Three methods with some seeds each."""
    return [
        add_run(runs, recipe_of(method, study), seed, **more)
        for method in METHODS
        for seed in range(seeds)
    ]


def make_result(
    recipe: Recipe, seed: int, metrics: dict[str, float], known: Sequence[str]
) -> dict[str, Any]:
    """A result.json of a finished run."""
    method = recipe.method.name
    trainable = TRAINABLE[method]
    pieces = {"weights_bytes": 91 * MB, "gradients_bytes": 4 * trainable}
    pieces |= {"optimizer_bytes": 8 * trainable, "activations_bytes": 100 * MB + seed}
    same = {key: key for key in ("data", "split", "base", "tokenisation", "metrics")}
    return {
        "version": 1,
        "study": recipe.study,
        "recipe": recipe.name,
        "seed": seed,
        "fingerprint": recipe.fingerprint,
        "method": method,
        "task": recipe.task.name,
        "model": "asset:minilm-l6",
        "metrics": {"test": metrics, "validation": metrics},
        "selected": {"step": 20, "metric": next(iter(metrics)), "value": 0.9},
        "parameters": {
            "trainable": trainable,
            "head": 1_925,
            "adapter": trainable - 1_925,
            "total": 22_715_141,
            "stored": trainable,
        },
        "adapter_bytes": 4 * trainable,
        "memory": {"peak_memory_bytes": sum(pieces.values()) + 7 * MB, "breakdown": pieces},
        "time": {"train_seconds": 8.0 + seed, "steps_per_second": 2.5, "tokens_per_second": 900.0},
        "policy": {"device": "cpu", "device_name": "Test CPU", "precision": "bf16"},
        "data": {"labels": list(known), "sizes": {"train": 96, "validation": 32, "test": 30}},
        "comparability": {**same, "device": "cpu/bf16"},
        "references": {"majority class": {"accuracy": 0.33}},
        "warnings": [],
    }


def _log(path: Path, seed: int, metrics: dict[str, float]) -> None:
    rows: list[dict[str, Any]] = []
    for step in range(1, 21):
        common = {"time": 0.0, "step": step, "epoch": step / 10}
        loss = 2.0 / step + 0.1 * seed
        rows.append({"kind": "step", **common, "loss": loss, "seconds": 0.5, "tokens": 100})
        if step % 10 == 0:
            rows.append({"kind": "validation", **common, "metrics": metrics, "best": True})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (path / "events.jsonl").write_text(text, encoding="utf-8")
