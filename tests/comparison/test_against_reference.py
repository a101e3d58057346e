"""Rows against the best score without fine-tuning, both of them uncertain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import WriteRun, keep

from workbench.comparison import compare
from workbench.comparison.against_reference import reference_sides, sign_over_texts
from workbench.comparison.items import ItemScores

CORRECTED = 1 - 0.05 / 4
"""Of four rows, by Bonferroni."""


def scores(values: np.ndarray, **more: bool) -> ItemScores:
    ids = tuple(map(str, range(values.shape[1])))
    return ItemScores(values=values, ids=ids, right_or_wrong=not more, **more)


def answers(rate: float, runs: int, items: int, rng: np.random.Generator) -> np.ndarray:
    """Right or wrong by chance: nothing is shared by two methods, the worst there may be."""
    return (rng.random((runs, items)) < rate).astype(float)


@pytest.mark.parametrize(("items", "runs"), [(30, 3), (200, 3), (500, 1), (1000, 5)])
def test_of_four_rows_as_good_as_the_reference_one_in_twenty_groups_errs(
    items: int, runs: int
) -> None:
    rng, wrong, studies = np.random.default_rng(items + runs), 0, 200
    for _ in range(studies):
        known = float(answers(0.8, 1, items, rng).mean())
        rows = [scores(np.repeat(answers(0.8, 1, items, rng), runs, axis=0)) for _ in range(4)]
        wrong += any(sign_over_texts(row, "accuracy", known, CORRECTED) for row in rows)
    assert wrong <= 0.05 * studies + 2 * np.sqrt(0.05 * 0.95 * studies)


def test_a_row_far_above_or_below_the_reference_is_told_from_it() -> None:
    row = scores(answers(0.8, 3, 500, np.random.default_rng(0)))
    assert [sign_over_texts(row, "accuracy", known, CORRECTED) for known in (0.6, 0.95)] == [1, -1]


@pytest.mark.parametrize("reference", [1.0, 0.99])
def test_where_all_answers_are_right_the_reference_may_be_as_good(reference: float) -> None:
    assert sign_over_texts(scores(np.ones((3, 300))), "accuracy", reference) == 0


def test_a_perplexity_is_told_from_the_reference_by_its_logarithm() -> None:
    logs = np.random.default_rng(0).normal(3.0, 0.3, (3, 40))
    signs = [
        sign_over_texts(scores(logs, exponential=True), "perplexity", known)
        for known in (60.0, np.exp(3.05), 7.0)
    ]
    assert signs == [-1, 0, 1]


def test_two_seeds_that_scatter_are_not_beaten_by_a_perfect_reference(
    run: WriteRun, runs: Path
) -> None:
    """One of the seeds is as good as the reference itself."""
    for recipe in ("full", "lora"):
        for seed, right in enumerate((22, 30)):
            known = {"references": {"TF-IDF": {"accuracy": 1.0}}}
            path = run(recipe, seed, right / 30, replace=known)
            keep(path, [i < right for i in range(30)])
    comparison = compare([runs])
    sides = reference_sides(comparison.groups()[0])
    assert sides and (sides.unclear, sides.worse) == (["full", "lora"], [])
    assert "none of them clearly beats TF-IDF (1.000)" in comparison.answer[0]["text"]
