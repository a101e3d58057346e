"""The same run through the workbench, for ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from benchmarks.peak import peak_bytes, reset_peak
from workbench.recipe import load_recipe
from workbench.runner import run_recipe


def main() -> None:
    """Runs the recipe with one seed; prints seconds, peak bytes and accuracy."""
    parser = argparse.ArgumentParser()
    parser.add_argument("settings", type=json.loads)
    s = parser.parse_args().settings
    recipe = load_recipe(Path(s["recipe"]))
    before = reset_peak()
    started = time.perf_counter()
    high = 0
    phases: dict[str, float] = {}

    def watch(kind: str, fields: dict[str, object]) -> None:
        # The run resets the same high-water mark between its phases, so it is collected often.
        nonlocal high
        high = max(high, peak_bytes())
        if kind == "phase":
            phases[str(fields["phase"])] = time.perf_counter() - started

    with tempfile.TemporaryDirectory() as folder:
        run = run_recipe(recipe, s["seed"], Path(folder), observer=watch)
    if run.state != "finished":
        raise SystemExit(run.reason)
    timing = run.result["time"]
    print(
        json.dumps(
            {
                "steps_seconds": timing["train_seconds"] + timing["warmup_seconds"],
                # Up to the test scores, as on the other side: the export and its check come after.
                "run_seconds": phases["export"],
                "with_export_seconds": time.perf_counter() - started,
                "peak_bytes": max(high, peak_bytes()) - before,
                "accuracy": run.result["metrics"]["test"]["accuracy"],
                "steps": timing["steps"],
            }
        )
    )


if __name__ == "__main__":
    main()
