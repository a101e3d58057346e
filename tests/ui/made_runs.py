"""Run folders made up for the views: they show what is on disk, whoever wrote it."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from pathlib import Path
from typing import Any

from workbench.recipe import Recipe, dump_recipe
from workbench.store import process_start_time, run_path, write_json

METHODS: dict[str, dict[str, Any]] = {
    "full": {"name": "full"},
    "lora": {"name": "lora", "r": 8, "target_modules": ["query", "value"]},
    "prefix": {"name": "prefix", "num_virtual_tokens": 20},
    "prompt": {"name": "prompt", "num_virtual_tokens": 20},
}
ADAPTER = {"full": 22_713_216, "lora": 73_728, "prefix": 92_160, "prompt": 7_680}
SCORE = {"full": 0.968, "lora": 0.961, "prefix": 0.957, "prompt": 0.948}
HEAD, TOTAL = 1_925, 22_715_141
MB = 10**6
BREAKDOWN = {
    "full": (91 * MB, 91 * MB, 182 * MB, 160 * MB),
    "lora": (91 * MB, 300_000, 600_000, 118 * MB),
    "prefix": (91 * MB, 370_000, 740_000, 104 * MB),
    "prompt": (91 * MB, 31_000, 62_000, 126 * MB),
}


def news_recipe(method: str = "lora", *, study: str = "news", name: str = "") -> Recipe:
    """A recipe of the bbc-news data with one of the methods."""
    return Recipe.model_validate(
        {
            "study": study,
            "name": name or method,
            "task": {"name": "text-classification"},
            "model": {"source": "asset:minilm-l6"},
            "data": {"source": "asset:bbc-news"},
            "method": METHODS[method],
            "training": {"epochs": 2},
            "seeds": [0, 1, 2],
        }
    )


class RunsFolder:
    """Writes run folders as the runner would, in any state."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, recipe: Recipe, seed: int = 0, state: str = "finished", **status: Any) -> Path:
        """A run in some state with events, a log and, when finished, a result and an adapter."""
        path = run_path(self.path, recipe, seed)
        path.mkdir(parents=True)
        (path / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
        (path / "log.txt").write_text("loading\ntraining\n", encoding="utf-8")
        now = time.time()
        write_json(
            path / "status.json",
            {
                "version": 1,
                "state": state,
                "reason": "",
                "study": recipe.study,
                "recipe": recipe.name,
                "method": recipe.method.name,
                "seed": seed,
                "fingerprint": recipe.fingerprint,
                "pid": os.getpid(),
                "process_started_at": process_start_time(os.getpid()),
                "host": socket.gethostname(),
                "heartbeat_at": now,
                "started_at": now - 95 - 60 * seed,
                "ended_at": None if state == "running" else now - 20,
                "phase": "train" if state == "running" else None,
                "memory": {"process_bytes": 812 * MB, "available_bytes": 9_000 * MB},
                "progress": {
                    "phase": "train",
                    "step": 60,
                    "steps": 100,
                    "epoch": 1.2,
                    "eta_seconds": 31.0,
                    "loss": 0.241,
                }
                if state in ("running", "finished", "failed", "stopped")
                else None,
                **status,
            },
        )
        self._events(path, 100 if state == "finished" else 60, SCORE[recipe.method.name])
        if state == "finished":
            write_json(path / "result.json", make_result(recipe, seed))
            self._adapter(path / "adapter", recipe)
        return path

    def add_study(self) -> None:
        """Four methods, three seeds each, all finished."""
        for method in METHODS:
            for seed in range(3):
                self.add(news_recipe(method), seed)

    def add_corrupt(self) -> Path:
        """A folder whose status is half a file."""
        path = self.path / "news" / "broken-s0-00000000"
        path.mkdir(parents=True)
        (path / "status.json").write_text('{"state": "finis', encoding="utf-8")
        (path / "events.jsonl").write_bytes(b'{"kind": "step", "st\xff\n[1]\n')
        return path

    def _events(self, path: Path, steps: int, score: float) -> None:
        rows: list[dict[str, Any]] = [{"kind": "phase", "time": 0.0, "phase": "train"}]
        for step in range(1, steps + 1):
            noise = 0.08 * math.sin(step * 12.9898) * math.exp(-step / 90)
            loss = 1.55 * math.exp(-step / 22) + 0.12 + noise
            rows.append(
                {
                    "kind": "step",
                    "time": 0.0,
                    "step": step,
                    "loss": loss,
                    "epoch": step / 50,
                    "learning_rate": 1e-3,
                    "seconds": 0.2,
                    "tokens": 1800,
                }
            )
            if step % 20 == 0:
                accuracy = score - 0.25 * math.exp(-step / 20)
                rows.append(
                    {
                        "kind": "validation",
                        "time": 0.0,
                        "step": step,
                        "epoch": step / 50,
                        "metrics": {"accuracy": accuracy, "f1_macro": accuracy - 0.004},
                        "loss": loss,
                        "best": True,
                    }
                )
        with open(path / "events.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)

    def _adapter(self, folder: Path, recipe: Recipe) -> None:
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(bytes(range(256)) * 40)
        write_json(folder / "adapter_config.json", {"peft_type": recipe.method.name.upper()})
        (folder / "README.md").write_text(
            f"---\nlibrary_name: peft\n---\n\n# {recipe.name}\n\n<b>Not bold</b>, just text.\n",
            encoding="utf-8",
        )


def make_result(recipe: Recipe, seed: int) -> dict[str, Any]:
    """A result.json of a finished run."""
    method = recipe.method.name
    accuracy = SCORE[method] + 0.003 * (seed - 1)
    weights, gradients, optimizer, activations = BREAKDOWN[method]
    trainable = ADAPTER[method] + HEAD
    same = {key: key * 2 for key in ("data", "split", "base", "tokenisation", "metrics")}
    return {
        "version": 1,
        "study": recipe.study,
        "recipe": recipe.name,
        "seed": seed,
        "fingerprint": recipe.fingerprint,
        "method": method,
        "task": "text-classification",
        "model": "asset:minilm-l6",
        "metrics": {
            "test": {"accuracy": accuracy, "f1_macro": accuracy - 0.002},
            "validation": {"accuracy": accuracy + 0.004, "f1_macro": None},
        },
        "selected": {"step": 100, "metric": "accuracy", "value": accuracy + 0.004},
        "parameters": {
            "trainable": trainable,
            "head": HEAD,
            "adapter": ADAPTER[method],
            "total": TOTAL,
            "stored": trainable,
        },
        "adapter_bytes": 4 * trainable,
        "memory": {
            "peak_memory_bytes": weights + gradients + optimizer + activations + 21 * MB,
            "baseline_bytes": 400 * MB,
            "phases": {"load": 120 * MB, "train": 400 * MB, "evaluate": 180 * MB},
            "breakdown": {
                "weights_bytes": weights,
                "gradients_bytes": gradients,
                "optimizer_bytes": optimizer,
                "activations_bytes": activations,
            },
            "how": "Growth of the process's resident memory over the state before loading.",
        },
        "time": {
            "train_seconds": 16.2 + seed,
            "steps": 100,
            "steps_per_second": 6.2,
            "tokens_per_second": 9100.0,
            "total_seconds": 24.0,
        },
        "policy": {
            "device": "cpu",
            "device_name": "2 cores with AMX",
            "precision": "bf16",
            "attention": "eager",
            "dropout": 0.0,
            "processes": 1,
            "why": "bf16 with eager attention is the fastest pair on a CPU with AMX",
        },
        "data": {
            "content_hash": "c",
            "split_hash": "s",
            "duplicates_removed": 98,
            "sizes": {"train": 800, "validation": 200, "test": 500},
            "truncated": {"train": 700, "validation": 160, "test": 420},
            "labels": ["business", "sport"],
            "notes": ["199.txt was read as latin-1"],
        },
        "comparability": {**same, "device": "cpu/bf16"},
        "references": {
            "majority class": {"accuracy": 0.23, "f1_macro": 0.08},
            "TF-IDF + logistic regression": {"accuracy": 0.952, "f1_macro": 0.95},
        },
        "export": {"kind": "peft", "checked": True, "max_logit_difference": 1e-6, "examples": 16},
        "warnings": ["420 of 500 test texts were cut at 128 tokens"],
    }
