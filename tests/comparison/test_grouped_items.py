"""Test items that belong together count as one item."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fabricated_runs import WriteRun, keep

from workbench.comparison import compare
from workbench.comparison.items import ItemScores, by_group
from workbench.comparison.testing import single_runs


@pytest.mark.parametrize("seeds", [1, 3])
def test_copies_of_an_item_in_one_group_prove_no_more_than_the_item(
    run: WriteRun, runs: Path, seeds: int
) -> None:
    rng = np.random.default_rng(4)
    groups = [f"author {i}" for i in range(60) for _ in range(7)]
    for name, share in (("full", 0.9), ("lora", 0.7)):
        for seed in range(seeds):
            right = rng.random(60) < share
            folder = run(name, seed, right.mean())
            keep(folder, right)
    (single,) = compare([runs]).verdicts
    for folder in sorted(runs.glob("*/*-s*")):
        given = pq.read_table(folder / "predictions.parquet")["prediction"].to_pylist()
        keep(folder, np.repeat([answer == "a" for answer in given], 7), group=groups)
    (found,) = compare([runs]).verdicts
    assert found["items"] == single["items"] == 60 and found["grouped"] and not single["grouped"]
    for key in ("test", "difference", "ci_low", "ci_high", "p_value"):
        assert found[key] == (pytest.approx(single[key]) if key != "test" else single[key])
    assert "60 groups of test items" in found["details"]


def test_groups_of_unequal_size_give_the_interval_of_a_cluster_bootstrap(
    run: WriteRun, runs: Path
) -> None:
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 12, 150)
    groups = np.repeat(np.arange(150), sizes)
    hard = rng.normal(0, 1.5, 150)[groups]
    sides = {n: rng.normal(0, 1, len(groups)) + hard < t for n, t in (("full", 1.5), ("lora", 1))}
    for name, right in sides.items():
        keep(run(name, 0, right.mean()), right, group=[str(group) for group in groups])
    (found,) = compare([runs]).verdicts
    difference = sides["lora"].astype(float) - sides["full"]
    sums = np.bincount(groups, weights=difference)
    drawn = rng.integers(0, 150, (20_000, 150))
    error = (sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)).std()
    assert found["test"] == "items-t" and found["items"] == 150
    assert found["ci_low"] is not None and found["ci_high"] is not None
    assert (found["ci_high"] - found["ci_low"]) / 2 == pytest.approx(1.976 * error, rel=0.05)


def test_items_of_one_group_leave_the_seeds(run: WriteRun, runs: Path) -> None:
    for name, accuracy in (("full", 0.9), ("lora", 0.7)):
        for seed in range(3):
            right = np.arange(100) < 100 * accuracy + seed * (1 + 2 * (name == "lora"))
            keep(run(name, seed, right.mean()), right, group=["one"] * 100)
    (found,) = compare([runs]).verdicts
    assert found["test"] == "seeds-paired-t" and "all of one group" in (found["note"] or "")


def simulated(rng: np.random.Generator, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two sides without a true difference, each better on some groups."""
    hard, own = rng.normal(0, 1, 50)[groups], rng.normal(0, 0.7, 50)[groups]
    one, other = rng.normal(0, 1, (2, len(groups))) + hard + np.stack([own, -own])
    return (one < 1).astype(float), (other < 1).astype(float)


def test_intervals_over_groups_hold_the_truth_where_those_over_items_do_not() -> None:
    rng, held = np.random.default_rng(0), {"groups": 0, "items": 0}
    for _ in range(200):
        groups = np.repeat(np.arange(50), rng.integers(2, 10, 50))
        names, sides = list(map(str, groups)), simulated(rng, groups)
        found = {
            "items": [ItemScores(values=side[None], ids=(), right_or_wrong=True) for side in sides],
            "groups": [
                ItemScores(
                    values=by_group(names, side)[1][None],
                    ids=(),
                    right_or_wrong=False,
                    grouped=True,
                )
                for side in sides
            ],
        }
        for unit, (one, other) in found.items():
            difference = single_runs(one, other)
            assert difference.low is not None and difference.high is not None
            held[unit] += difference.low <= 0 <= difference.high
    assert held["groups"] >= 0.92 * 200 and held["items"] <= 0.88 * 200
