"""What a quantised base cost, where the same recipe was run with a base that was not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import WriteRun
from scipy.stats import t

from workbench.comparison import compare

NF4 = {"model": {"quantization": "nf4"}}
BF16 = {"model": {"dtype": "bf16"}}


def perplexities(
    run: WriteRun, name: str, settings: dict[str, object], values: list[float]
) -> None:
    for seed, value in enumerate(values):
        metrics = {"test": {"perplexity": value}, "validation": {}}
        comparability = {"base": f"b1 in {settings}"}
        run(
            name,
            seed,
            method="lora",
            settings=settings,
            comparability=comparability,
            replace={"metrics": metrics, "selected": None},
        )


def test_the_cost_is_a_ratio_with_its_interval(run: WriteRun, runs: Path) -> None:
    nf4, bf16 = [20.4, 20.9, 20.2], [20.0, 20.3, 20.1]
    perplexities(run, "lora-nf4", NF4, nf4)
    perplexities(run, "lora-bf16", BF16, bf16)
    (told,) = (note for note in compare([runs]).verdict_notes if "its base in" in note)
    logs = np.log(nf4) - np.log(bf16)
    half = t.ppf(0.975, 2) * logs.std(ddof=1) / np.sqrt(3)
    low, high = np.exp(logs.mean() - half), np.exp(logs.mean() + half)
    assert told == (
        "lora-nf4, its base in nf4 beside bf16, computed in bf16, and lora-bf16, in bf16: "
        f"{np.exp(logs.mean()):.2f} times the perplexity, 95% CI {low:.2f} to {high:.2f}; "
        "3 seeds each"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"model": {"dtype": "bf16"}, "training": {"epochs": 3.0}},
        {"model": {"dtype": "bf16", "max_length": 64}},
        {"model": {"quantization": "int8"}},
    ],
)
def test_what_differs_in_anything_else_is_not_set_beside_it(
    other: dict[str, object], run: WriteRun, runs: Path
) -> None:
    perplexities(run, "lora-nf4", NF4, [20.4, 20.9])
    perplexities(run, "lora-other", other, [20.0, 20.3])
    assert not any("its base in" in note for note in compare([runs]).verdict_notes)


def test_runs_of_other_seeds_are_not_set_beside_it(run: WriteRun, runs: Path) -> None:
    perplexities(run, "lora-nf4", NF4, [20.4, 20.9])
    perplexities(run, "lora-bf16", BF16, [20.0, 20.3, 20.1])
    assert not any("its base in" in note for note in compare([runs]).verdict_notes)
