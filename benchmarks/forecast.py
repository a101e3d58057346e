"""How far ``workbench plan`` is from what a run measures: parameters, bytes, memory and time.

``python -m benchmarks.forecast`` trains every method on a 22M-parameter BERT, and on models of the
sizes of BERT-base and GPT-2 with random weights, with batches of several sizes, each in a process
of its own and measured as a run measures. Time is only looked at with ``--rounds``, and only means
something where nothing else runs; ``--time`` is a choice of cells for it. Plans and training steps
take turns, because processors that are shared change their pace: the last plan, which has what all
of them measured, is set against the mean of all steps, and the first plan against the same. Each
cell begins a new calibration of this device and leaves it in the cache folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import transformers

from workbench.assets import fetch

METHODS = ("full", "head", "bitfit", "lora", "ia3", "prefix", "p-tuning", "prompt")
MODELS = ("minilm-l6", "bert-base", "gpt2")
BATCHES = (4, 16, 64)
TOKENS = 128
TIMED = (
    ("minilm-l6", 16, "full"),
    ("minilm-l6", 16, "lora"),
    ("bert-base", 4, "full"),
    ("bert-base", 16, "lora"),
    ("gpt2", 4, "prefix"),
)
"""Cells of ``--time``: every model, methods that train much and little, small and middling batches;
few enough for a machine to be kept quiet as long."""
ROUNDS = 5
"""Of ``--time``."""
BARS = {"memory": 0.05, "time": 0.25, "time, first plans": 0.25}


def main() -> None:
    """Prints a row for each cell and the largest errors; ``--out`` keeps all that was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--rounds", type=int, default=0, help="of plans and steps, for the time")
    parser.add_argument("--time", action="store_true", help="five cells, with their time")
    parser.add_argument("--models-in", type=Path, help="keep the random models in this folder")
    parser.add_argument("--out", type=Path, help="JSON file for the single measurements")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (ROUNDS if arguments.time else 0)
    chosen = [
        (model, batch, method)
        for model in arguments.models
        for batch in arguments.batches
        for method in arguments.methods
    ]
    cells: list[dict[str, Any]] = []
    columns = "model method batch exact memory of error s/step range of error first".split()
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    with tempfile.TemporaryDirectory() as temporary:
        parent = arguments.models_in or Path(temporary)
        for model, batch, method in TIMED if arguments.time else chosen:
            folder = model_folder(model, parent)
            measured = measure(recipe_of(folder, method, batch), rounds)
            cells.append({"model": model, "method": method, "batch": batch, **measured})
            print(row(cells[-1]), flush=True)
            if arguments.out:
                arguments.out.write_text(json.dumps(cells, indent=2) + "\n")
    print_summary(cells)


def model_folder(name: str, parent: Path) -> Path:
    """A model's folder: MiniLM as it is, BERT-base and GPT-2 in their sizes with random weights."""
    minilm = Path(fetch("minilm-l6"))
    if name == "minilm-l6":
        return minilm
    folder = parent / name
    if folder.exists():
        return folder
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    if name == "bert-base":
        model: Any = transformers.BertModel(transformers.BertConfig())
        words: Path = minilm
    else:
        model, words = (
            transformers.GPT2LMHeadModel(transformers.GPT2Config()),
            fetch("smollm2-135m"),
        )
    tokenizer = transformers.AutoTokenizer.from_pretrained(words)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def recipe_of(model: Path, method: str, batch: int) -> dict[str, Any]:
    """A classification of texts that fill their 128 tokens, but for a few."""
    return {
        "study": "forecast",
        "name": method,
        "task": {"name": "text-classification"},
        "model": {"source": str(model), "max_length": TOKENS},
        "data": {"source": "asset:bbc-news", "train_size": 800, "test_size": 20},
        "method": {"name": method},
        "training": {"batch_size": batch},
    }


def measure(recipe: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Forecast and measurement of a training, in a process of its own."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    environment["MALLOC_ARENA_MAX"] = "1"  # as `heavy_imports.one_arena` sets it for a command
    command = ["benchmarks.forecast_run", json.dumps(recipe), "--rounds", str(rounds)]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"a cell failed:\n{done.stderr[-3000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def errors(cell: dict[str, Any]) -> dict[str, float | None]:
    """Errors of a cell relative to what was measured; ``exact`` counts wrong numbers."""
    plan, measured = cell["forecast"], cell["measured"]
    key = "peak_memory_bytes"
    predicted, taken = cell["predicted"], cell["taken"]
    return {
        "exact": float(sum(plan[each] != measured[each] for each in cell["exact"])),
        "memory": plan[key] / measured[key] - 1 if plan[key] else None,
        "time": predicted[-1] / fmean(taken) - 1 if taken else None,
        "time, first plans": predicted[0] / fmean(taken) - 1 if taken else None,
    }


def row(cell: dict[str, Any]) -> str:
    """A row of the table."""
    found = errors(cell)
    memory, of = (cell[each]["peak_memory_bytes"] for each in ("forecast", "measured"))
    predicted, taken = cell["predicted"], cell["taken"]

    def percent(name: str) -> str:
        return "–" if (error := found[name]) is None else f"{100 * error:+.1f}%"

    cells = [
        cell["model"],
        cell["method"],
        str(cell["batch"]),
        "no" if found["exact"] else "yes",
        "–" if memory is None else f"{memory / 1e6:.0f}",
        f"{of / 1e6:.0f} MB",
        percent("memory"),
        f"{predicted[-1]:.3f}" if predicted else "–",
        "–" if (between := cell["range"]) is None else f"{between[0]:.3f}-{between[1]:.3f}",
        f"{fmean(taken):.3f}" if taken else "–",
        percent("time"),
        percent("time, first plans"),
    ]
    return f"| {' | '.join(cells)} |"


def print_summary(cells: list[dict[str, Any]]) -> None:
    """The largest errors, and whether they stay below the bars."""
    found = [errors(cell) for cell in cells]
    wrong = sum(bool(each["exact"]) for each in found)
    print(f"\nparameters and bytes: exact in {len(found) - wrong} of {len(found)} cells")
    for name, bar in BARS.items():
        known = [abs(value) for each in found if (value := each[name]) is not None]
        if known:
            within = sum(value <= bar for value in known)
            print(
                f"{name}: within {bar:.0%} in {within} of {len(found)} cells, "
                f"at most {max(known):.1%} off"
            )
    if ranged := [cell for cell in cells if cell["range"]]:
        held = sum(cell["range"][0] <= fmean(cell["taken"]) <= cell["range"][1] for cell in ranged)
        print(f"time: within the range that the last plan gave in {held} of {len(ranged)} cells")
    if plans := [seconds for cell in cells for seconds in cell["plan_seconds"]]:
        print(f"plans: {min(plans):.1f} to {max(plans):.1f} s in a process that is loaded")


if __name__ == "__main__":
    main()
