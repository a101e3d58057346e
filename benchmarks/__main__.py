"""``make bench``: LoRA runs against HF Trainer + PEFT, alternating, as ratios.

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

from benchmarks.settings import settings_of
from workbench.distributed.accelerator import this_process
from workbench.distributed.policy import computes_bf16
from workbench.errors import WorkbenchError

Measured = dict[str, float]

RECIPES = ["bbc-news/lora", "bbc-headlines/lora"]
QUALITY = {"text-classification": "accuracy", "instruction": "loss"}
HEADINGS = {"accuracy": "test accuracy (mean)", "loss": "test loss per token (mean)"}


def main() -> None:
    """Measures and prints a table for each recipe; ``--out`` keeps every single measurement."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument(
        "--recipe", nargs="+", default=RECIPES, help="LoRA recipes for classes or instructions"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help="override a value of the recipes, e.g. data.train_size=16; repeatable",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="JSON file for the single measurements")
    arguments = parser.parse_args()
    measured: dict[str, list[dict[str, Measured]]] = {}
    for recipe in arguments.recipe:
        with tempfile.TemporaryDirectory() as folder:
            try:
                settings = settings_of(recipe, arguments.overrides, Path(folder))
            except WorkbenchError as error:
                raise SystemExit(str(error)) from error
            measured[recipe] = [_round(settings, seed) for seed in range(arguments.rounds)]
        if arguments.out:
            arguments.out.write_text(json.dumps(measured, indent=2) + "\n")
        _print_table(recipe, measured[recipe], QUALITY[settings["task"]])


def _round(settings: dict[str, Any], seed: int) -> dict[str, Measured]:
    sides = {
        "workbench": ("benchmarks.workbench_run", {}),
        "HF Trainer, defaults": ("benchmarks.trainer_run", {"bf16": False}),
    }
    if computes_bf16(this_process().device):  # where it is emulated nobody would switch it on
        sides["HF Trainer, bf16"] = ("benchmarks.trainer_run", {"bf16": True})
    measured = {
        name: _measure(module, {**settings, **more, "seed": seed})
        for name, (module, more) in sides.items()
    }
    if len(steps := {side["steps"] for side in measured.values()}) > 1:
        raise SystemExit(f"the sides took different numbers of steps: {steps}")
    return measured


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


def _print_table(recipe: str, rounds: list[dict[str, Measured]], quality: str) -> None:
    print(f"{recipe}\n")
    print(f"| side | step time | whole run | peak memory | {HEADINGS[quality]} |")
    print("| --- | --- | --- | --- | --- |")
    for side in rounds[0]:
        cells = [
            _ratio(rounds, side, key) for key in ("steps_seconds", "run_seconds", "peak_bytes")
        ]
        mean = statistics.mean(r[side][quality] for r in rounds)
        print(f"| {side} | {' | '.join(cells)} | {mean:.4f} |")
    print(
        f"\nRatios to the workbench, median of {len(rounds)} alternating rounds (lowest to "
        "highest). Whole run: from loading to the test scores, validation included, without "
        "generated answers.\n",
        flush=True,
    )


def _ratio(rounds: list[dict[str, Measured]], side: str, key: str) -> str:
    values = [r[side][key] / r["workbench"][key] for r in rounds]
    if side == "workbench":
        return "1"
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
