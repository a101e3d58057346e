"""``make bench``: one LoRA run against HF Trainer + PEFT, alternating, as ratios.

The machine may be shared and noisy, so the sides take turns and only ratios of neighbours are
reported: the median over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from workbench.assets import fetch
from workbench.data import load_data
from workbench.recipe import load_recipe, recipes_dir

Measured = dict[str, float]


def main() -> None:
    """Measures and prints the table; ``--out`` keeps every single measurement."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--recipe", default="bbc-news/lora", help="a LoRA recipe on an asset")
    parser.add_argument("--out", type=Path, help="JSON file for the single measurements")
    arguments = parser.parse_args()
    path = recipes_dir() / f"{arguments.recipe}.yaml"
    with tempfile.TemporaryDirectory() as folder:
        settings = _settings(path, Path(folder))
        rounds = [_round(settings, seed) for seed in range(arguments.rounds)]
    if arguments.out:
        arguments.out.write_text(json.dumps(rounds, indent=2) + "\n")
    _print_table(rounds)


def _settings(path: Path, folder: Path) -> dict[str, Any]:
    """The recipe in the words of both scripts; writes the very splits that the workbench uses."""
    recipe = load_recipe(path)
    data = load_data(recipe.data, recipe.task)
    for name in ("train", "validation", "test"):
        part = getattr(data, name)
        rows = ({"text": t, "label": y} for t, y in zip(part.texts, part.labels, strict=True))
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    method: Any = recipe.method
    return {
        "recipe": str(path),
        "data": str(folder),
        "model": str(fetch(recipe.model.source.removeprefix("asset:"))),
        "labels": len(data.label_names),
        "max_length": recipe.model.max_length,
        "r": method.r,
        "alpha": method.alpha,
        "targets": method.targets,
        "epochs": recipe.training.epochs,
        "batch_size": recipe.training.batch_size,
        "learning_rate": recipe.learning_rate,
        "warmup_fraction": recipe.training.warmup_fraction,
    }


def _round(settings: dict[str, Any], seed: int) -> dict[str, Measured]:
    sides = {
        "workbench": ("benchmarks.workbench_run", {}),
        "HF Trainer, defaults": ("benchmarks.trainer_run", {"bf16": False}),
        "HF Trainer, bf16": ("benchmarks.trainer_run", {"bf16": True}),
    }
    return {
        name: _measure(module, {**settings, **more, "seed": seed})
        for name, (module, more) in sides.items()
    }


def _measure(module: str, settings: dict[str, Any]) -> Measured:
    print(f"seed {settings['seed']}: {module} {settings.get('bf16', '')}", file=sys.stderr)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(
        [sys.executable, "-m", module, json.dumps(settings)],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{module} failed:\n{done.stderr[-3000:]}")
    measured: Measured = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"  {measured}", file=sys.stderr)
    return measured


def _print_table(rounds: list[dict[str, Measured]]) -> None:
    print("| side | step time | whole run | peak memory | test accuracy (mean) |")
    print("| --- | --- | --- | --- | --- |")
    for side in rounds[0]:
        cells = [
            _ratio(rounds, side, key) for key in ("steps_seconds", "run_seconds", "peak_bytes")
        ]
        accuracy = statistics.mean(r[side]["accuracy"] for r in rounds)
        print(f"| {side} | {' | '.join(cells)} | {accuracy:.4f} |")
    print(
        f"\nRatios to the workbench, median of {len(rounds)} alternating rounds (lowest to "
        "highest). Whole run: from loading to the test scores, validation included."
    )


def _ratio(rounds: list[dict[str, Measured]], side: str, key: str) -> str:
    values = [r[side][key] / r["workbench"][key] for r in rounds]
    if side == "workbench":
        return "1"
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
