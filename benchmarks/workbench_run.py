"""The same run through the workbench, for ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.peak import peak_bytes, reset_peak
from workbench.metrics.evaluate import write_texts
from workbench.pipeline import pipeline
from workbench.pipeline.runner import run_recipe
from workbench.recipe import load_recipe


def main() -> None:
    """Runs the recipe with one seed; prints what `measure` gives as one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("settings", type=json.loads)
    print(json.dumps(measure(parser.parse_args().settings)))


def measure(s: dict[str, Any]) -> dict[str, float]:
    """Seconds, peak bytes and quality of one run.

    ``run_seconds`` reaches from reading the data to the test scores. Validation, checkpoints and
    the look-up of cached references are in it, and for instruction that of cached token ids, which
    the other side finds in a file. The answers that an instruction run generates for its test
    split are not, for the other side has none, nor are the export and its check. The peak is that
    of everything, these included. Quality is ``accuracy`` or, for instruction, ``loss``: the mean
    over the labelled tokens of the test split, in fp32.
    """
    recipe = load_recipe(s["recipe"], s["overrides"])
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

    with tempfile.TemporaryDirectory() as folder, _timing_generation() as generation:
        run = run_recipe(recipe, s["seed"], Path(folder), observer=watch)
    if run.state != "finished":
        raise SystemExit(run.reason)
    timing = run.result["time"]
    return {
        "steps_seconds": timing["train_seconds"] + timing["warmup_seconds"],
        "run_seconds": phases["export"] - sum(generation),
        "generation_seconds": sum(generation),
        "with_export_seconds": time.perf_counter() - started,
        "peak_bytes": max(high, peak_bytes()) - before,
        **_quality(s["task"], run.result["metrics"]["test"]),
        "steps": timing["steps"],
    }


def _quality(task: str, scores: dict[str, float]) -> dict[str, float]:
    if task == "instruction":
        return {"loss": math.log(scores["perplexity"])}
    return {"accuracy": scores["accuracy"]}


@contextmanager
def _timing_generation() -> Iterator[list[float]]:
    """Collects the seconds that the run spends on generating answers to its test split."""
    spent: list[float] = []

    def timed(*args: Any, **kwargs: Any) -> list[str] | None:
        started = time.perf_counter()
        written = write_texts(*args, **kwargs)
        spent.append(time.perf_counter() - started)
        return written

    with mock.patch.object(pipeline, "write_texts", timed):
        yield spent


if __name__ == "__main__":
    main()
