"""How far ``workbench plan`` is from what a run measures: parameters, bytes, memory and time.

``python -m benchmarks.forecast`` trains every method on a 22M-parameter BERT, and on models of the
sizes of BERT-base and GPT-2 with random weights, with batches of several sizes, each in a process
of its own and measured as a run measures. Time is only looked at with ``--steps`` beyond the two
that memory is measured on, and only means something on a machine that does nothing else; ``--time``
is a choice of cells for it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
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
TIMED_STEPS = 8
BARS = {"memory": 0.05, "time": 0.25}


def main() -> None:
    """Prints a row for each cell and the largest errors; ``--out`` keeps all that was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--steps", type=int, default=2, help="beyond 2: forecast the time as well")
    parser.add_argument("--time", action="store_true", help="five cells, with their time")
    parser.add_argument("--models-in", type=Path, help="keep the random models in this folder")
    parser.add_argument("--out", type=Path, help="JSON file for the single measurements")
    arguments = parser.parse_args()
    steps = max(arguments.steps, TIMED_STEPS if arguments.time else 0)
    chosen = [
        (model, batch, method)
        for model in arguments.models
        for batch in arguments.batches
        for method in arguments.methods
    ]
    cells: list[dict[str, Any]] = []
    print("| model | method | batch | exact | memory | of | error | s/step | of | error |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        parent = arguments.models_in or Path(temporary)
        for model, batch, method in TIMED if arguments.time else chosen:
            folder = model_folder(model, parent)
            measured = measure(recipe_of(folder, method, batch), steps)
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


def measure(recipe: dict[str, Any], steps: int) -> dict[str, Any]:
    """Forecast and measurement of a training, in a process of its own."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = ["benchmarks.forecast_run", json.dumps(recipe), "--steps", str(steps)]
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
    wrong = sum(plan[key] != measured[key] for key in measured if key in cell["exact"])

    def relative(key: str) -> float | None:
        known = plan.get(key) is not None and measured.get(key)
        return plan[key] / measured[key] - 1 if known else None

    return {
        "exact": float(wrong),
        "memory": relative("peak_memory_bytes"),
        "time": relative("seconds_per_step"),
    }


def row(cell: dict[str, Any]) -> str:
    """A row of the table."""
    plan, measured, found = cell["forecast"], cell["measured"], errors(cell)

    def number(value: float | None, scale: float, digits: int) -> str:
        return "–" if value is None else f"{value / scale:.{digits}f}"

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:+.1f}%"

    cells = [
        cell["model"],
        cell["method"],
        str(cell["batch"]),
        "no" if found["exact"] else "yes",
        number(plan["peak_memory_bytes"], 1e6, 0),
        number(measured["peak_memory_bytes"], 1e6, 0) + " MB",
        percent(found["memory"]),
        number(plan["seconds_per_step"], 1, 3),
        number(measured["seconds_per_step"], 1, 3),
        percent(found["time"]),
    ]
    return f"| {' | '.join(cells)} |"


def print_summary(cells: list[dict[str, Any]]) -> None:
    """The largest errors, and whether they stay below the bars."""
    found = [errors(cell) for cell in cells]
    wrong = sum(bool(each["exact"]) for each in found)
    print(f"\nparameters and bytes: exact in {len(found) - wrong} of {len(found)} cells")
    taken = [cell["plan_seconds"] for cell in cells]
    print(f"plan: {min(taken):.1f} to {max(taken):.1f} s, what it measured of the device included")
    for name, bar in BARS.items():
        known = [each[name] for each in found if each[name] is not None]
        if known:
            largest = max(abs(each) for each in known)  # type: ignore[arg-type]
            within = sum(abs(each) <= bar for each in known)  # type: ignore[arg-type]
            print(
                f"{name}: within {bar:.0%} in {within} of {len(found)} cells, "
                f"at most {largest:.1%} off"
            )


if __name__ == "__main__":
    main()
