"""Looks at the data while seeds are added: boundaries, p-values, the file, verdicts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import WriteRun, keep

from benchmarks.studies import GRADED, MIXED, Scenario
from benchmarks.studies import study as simulated
from workbench.comparison import compare
from workbench.comparison.items import ItemScores
from workbench.comparison.sequential import (
    Look,
    Plan,
    critical_values,
    nominal_level,
    read_plans,
    repeated_p,
    spent,
)
from workbench.comparison.testing import several_runs


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        # Jennison & Turnbull 2000, Group Sequential Methods, and R's ldbounds for the spending
        # function of Lan & DeMets of the type of O'Brien & Fleming, 5% two-sided, equal looks.
        (5, [4.877, 3.357, 2.680, 2.290, 2.031]),
        (2, [2.963, 1.969]),
        (3, [3.710, 2.511, 1.993]),
        (1, [1.960]),
    ],
)
def test_critical_values_are_those_of_published_tables(looks: int, expected: list[float]) -> None:
    fractions = tuple((k + 1) / looks for k in range(looks))
    assert critical_values(fractions) == pytest.approx(expected, abs=6e-4)


def test_critical_values_err_in_the_level_together_by_simulation() -> None:
    """Brownian motion at 3 to 8 of 12 seeds and at all of them; 200,000 paths."""
    fractions = tuple(n / 12 for n in (3, 4, 5, 6, 7, 8, 12))
    rng = np.random.default_rng(0)
    steps = np.sqrt(np.diff((0.0, *fractions)))
    paths = np.cumsum(steps * rng.normal(size=(200_000, len(fractions))), axis=1)
    beyond = abs(paths / np.sqrt(fractions)) > critical_values(fractions)
    assert beyond.any(axis=1).mean() == pytest.approx(0.05, abs=0.0015)
    for k, fraction in enumerate(fractions, 1):
        share = beyond[:, :k].any(axis=1).mean()
        assert share == pytest.approx(spent(fraction), abs=0.0015)


def test_repeated_p_is_the_level_whose_boundary_is_met() -> None:
    fractions = (3 / 12, 4 / 12, 5 / 12)
    assert repeated_p(0.03, (1.0,)) == pytest.approx(0.03, abs=1e-6)
    assert repeated_p(nominal_level(fractions), fractions) == pytest.approx(0.05, abs=1e-6)
    p_values = [repeated_p(p, fractions) for p in (1e-6, 1e-4, 1e-3, 1e-2, 0.1, 0.9)]
    assert p_values == sorted(p_values) and p_values[-1] == 1.0
    assert all(paid > p for paid, p in zip(p_values, (1e-6, 1e-4, 1e-3, 1e-2, 0.1), strict=False))


def errors(scenario: Scenario, studies: int, most: int) -> tuple[float, float]:
    """Share of studies without a true difference in which a look calls two methods different: with
    the looks paid for, and without."""
    paid = unpaid = 0
    for one, other in simulated(scenario, runs=most, items=300, studies=studies, seed=1):
        plan = Plan(recipes={"a": "a", "b": "b"}, most=most)
        found = []
        for count in range(3, most + 1):
            difference = several_runs(first(one, count), first(other, count))
            found.append((plan.paid(difference).p_value, difference.p_value))
            plan = plan.with_look(Look(seeds=count))
        paid += any(p is not None and p <= 0.05 for p, _ in found)
        unpaid += any(p is not None and p <= 0.05 for _, p in found)
    return paid / studies, unpaid / studies


def first(side: ItemScores, count: int) -> ItemScores:
    return replace(side, values=side.values[:count], seeds=side.seeds[:count])


def doubt(studies: int) -> float:
    """Two and a half standard errors of a share of 5%."""
    return float(2.5 * (0.05 * 0.95 / studies) ** 0.5)


@pytest.mark.parametrize("name", ["middling task", "mixed"])
def test_looks_that_are_paid_for_err_in_five_percent_at_most(name: str) -> None:
    scenario = next(each for each in GRADED + MIXED if each.name == name)
    paid, unpaid = errors(scenario, studies=200, most=8)
    assert paid <= 0.05 + doubt(200)
    assert unpaid > max(paid, 0.05)


@pytest.mark.nightly
@pytest.mark.parametrize("scenario", GRADED + MIXED, ids=lambda scenario: scenario.name)
def test_looks_of_up_to_twelve_seeds_err_in_five_percent_at_most(scenario: Scenario) -> None:
    paid, _ = errors(scenario, studies=2000, most=12)
    assert paid <= 0.05 + doubt(2000)


@pytest.fixture
def study(run: WriteRun, runs: Path) -> Path:
    """Two recipes of five seeds, three points apart on 400 items."""
    rng = np.random.default_rng(5)
    hard = rng.normal(size=400)
    for recipe, skill in (("full", 1.1), ("lora", 0.9)):
        for seed in range(5):
            right = skill + 0.12 * rng.normal() + hard + 0.3 * rng.normal(size=400) > 0
            keep(run(recipe, seed, float(right.mean())), right.tolist())
    return runs / "bbc-news"


def written(study: Path, looks: list[int], most: int = 8) -> Plan:
    recipes = {row["recipe"]: row["fingerprint"] for row in compare([study]).rows}
    plan = Plan(recipes=recipes, most=most, looks=[Look(seeds=n) for n in looks])
    plan.write(study)
    return plan


def test_compare_pays_for_the_looks_of_a_study(study: Path) -> None:
    (plain,) = compare([study]).verdicts
    plan = written(study, [3, 4, 5])
    comparison = compare([study])
    (verdict,) = comparison.verdicts
    fractions = (3 / 8, 4 / 8, 5 / 8)
    assert plain["looks"] == 0 and plain["level"] is None and plain["p_value"] is not None
    assert verdict["looks"] == 3
    assert verdict["level"] == pytest.approx(nominal_level(fractions))
    assert verdict["p_value"] == pytest.approx(repeated_p(plain["p_value"], fractions))
    assert verdict["difference"] == plain["difference"]
    assert verdict["ci_low"] is not None and plain["ci_low"] is not None
    assert verdict["ci_low"] < plain["ci_low"]
    assert "5 seeds added until decided" in verdict["sentence"]
    assert "3 looks paid for: p by itself has to be at most" in verdict["details"]
    assert any(
        note.startswith("seeds were added until decided, 8 at most (looks at 3, 4 and 5)")
        for note in comparison.verdict_notes
    )
    assert read_plans(study) == ([plan], [])


def test_paid_interval_leaves_out_zero_where_the_level_is_met(study: Path) -> None:
    written(study, [3, 4, 5])
    (verdict,) = compare([study]).verdicts
    assert verdict["ci_low"] is not None and verdict["p_value"] is not None
    assert verdict["ci_high"] is not None
    outside = not verdict["ci_low"] <= 0 <= verdict["ci_high"]
    assert outside == (verdict["p_value"] <= 0.05)


def test_a_look_that_was_not_planned_counts_too(study: Path) -> None:
    written(study, [3, 4])
    (verdict,) = compare([study]).verdicts
    assert verdict["looks"] == 3


def test_a_first_look_at_few_of_many_seeds_decides_nothing(study: Path) -> None:
    written(study, [2, 3, 4], most=200)
    (verdict,) = compare([study]).verdicts
    assert verdict["level"] is not None and verdict["level"] < 1e-20
    assert verdict["p_value"] == 1.0 or verdict["p_value"] is not None
    assert verdict["ci_low"] is not None and verdict["conclusion"] == "unclear"


def test_recipes_that_were_edited_since_are_compared_as_usual(study: Path) -> None:
    Plan(recipes={"full": "old", "lora": "older"}, most=8, looks=[Look(seeds=3)]).write(study)
    (verdict,) = compare([study]).verdicts
    assert verdict["looks"] == 0


@pytest.mark.parametrize(
    "content",
    [
        "{", "[]", "{}", '{"version": 2}',
        '{"version": 1, "most": 8, "recipes": {"a": "x", "b": "y"}, "looks": [{"seeds": 9}]}',
        '{"version": 1, "most": 8, "recipes": {"a": "x", "b": "y"}, '
        '"looks": [{"seeds": 4}, {"seeds": 3}]}',
        '{"version": 1, "most": 1000000000, "recipes": {"a": "x", "b": "y"}}',
        '{"version": 1, "most": NaN, "recipes": {"a": "x", "b": "y"}}',
    ],
)  # fmt: skip
def test_a_file_of_looks_that_cannot_be_read_is_said(study: Path, content: str) -> None:
    (study / "looks-12345678.json").write_text(content)
    comparison = compare([study])
    assert comparison.verdicts[0]["looks"] == 0
    assert any("these looks are not paid for" in note for note in comparison.verdict_notes)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = Plan(recipes={"a": "x", "b": "y"}, most=6)
    plan = plan.with_look(Look(seeds=3)).with_look(Look(seeds=4, conclusions={"a - b": "unclear"}))
    plan = plan.with_look(Look(seeds=3, conclusions={"a - b": "unclear"}))
    plan.write(tmp_path)
    assert read_plans(tmp_path) == ([plan], [])
    assert [look.seeds for look in plan.looks] == [3, 4]
    assert json.loads((tmp_path / plan.name).read_text())["version"] == 1
