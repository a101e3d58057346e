"""Rows against the best score without fine-tuning, both of them uncertain."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fabricated_runs import WriteRun, keep
from scipy.stats import ttest_1samp, ttest_rel
from sklearn.metrics import f1_score

from workbench.comparison import compare
from workbench.comparison.against_reference import (
    by_text,
    reference_sentences,
    reference_sides,
    sign_of,
    sign_over_texts,
)
from workbench.comparison.items import ItemScores
from workbench.recipe.catalogue import OF_BASELINE

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
    assert "neither clearly beats TF-IDF (1.000)" in comparison.answer[0]["text"]


def studied(
    gap: float, rows: int, runs: int, items: int, rng: np.random.Generator
) -> tuple[ItemScores, list[ItemScores]]:
    """A reference of accuracy 0.8, and rows that are better by ``gap`` on all texts and seeds there
    might be: a probit model of how hard a text is for all, for one method, and of the seed. Of one
    run it is asked how good that adapter is, so its seed is no luck."""
    hard, own, seed = 1.5, 0.7, 0.1 if runs > 1 else 0.0
    shared = hard * rng.normal(size=items)

    def right(accuracy: float, runs: int, seed: float) -> ItemScores:
        level = NormalDist().inv_cdf(accuracy) * np.sqrt(hard**2 + own**2 + seed**2 + 1)
        of_runs = seed * rng.normal(size=(runs, 1)) + rng.normal(size=(runs, items))
        return scores((level + shared + own * rng.normal(size=items) + of_runs > 0).astype(float))

    reference = np.repeat(right(0.8, 1, 0.0).values, runs, axis=0)  # the same with each seed
    return scores(reference), [right(0.8 + gap, runs, seed) for _ in range(rows)]


@pytest.mark.parametrize(("items", "runs"), [(200, 3), (500, 1), (1000, 5)])
def test_paired_by_text_one_in_twenty_groups_errs_and_more_is_found(items: int, runs: int) -> None:
    rng, studies = np.random.default_rng(items), 200
    found: dict[float, list[int]] = {0.0: [0, 0], 0.05: [0, 0]}
    for gap in found:
        for _ in range(studies):
            reference, rows = studied(gap, 4, runs, items, rng)
            paired = [sign_of(by_text(row, reference), len(rows)) for row in rows]
            apart = [sign_over_texts(r, "accuracy", reference.mean, CORRECTED) for r in rows]
            found[gap][0] += any(paired) if gap == 0 else sum(sign > 0 for sign in paired)
            found[gap][1] += any(apart) if gap == 0 else sum(sign > 0 for sign in apart)
    assert found[0.0][0] <= 0.05 * studies + 2 * np.sqrt(0.05 * 0.95 * studies)
    assert found[0.05][0] > 1.2 * found[0.05][1]


def test_answers_that_are_kept_are_paired_text_by_text(run: WriteRun, runs: Path) -> None:
    """Of 200 texts the reference gets 160 right, and each run these and 10 to 12 more: over texts
    alone 5 points may be chance, but there is no text that only the reference gets right."""
    known = [i < 160 for i in range(200)]
    column = {OF_BASELINE.format("TF-IDF", "example_accuracy"): [float(hit) for hit in known]}
    for recipe in ("full", "lora"):
        for seed in range(3):
            right, score = 170 + seed, {"references": {"TF-IDF": {"accuracy": 0.8}}}
            path = run(recipe, seed, right / 200, replace=score)
            kept = column if recipe == "full" else {}
            keep(path, [i < right for i in range(200)], **kept)
    (group,) = compare([runs]).groups()
    sides = reference_sides(group)
    assert sides and (sides.better, sides.unclear, sides.unpaired) == (["full"], ["lora"], ["lora"])
    assert reference_sentences(group) == [
        "compared with TF-IDF (accuracy 0.800): full scores better; lora does not differ "
        "significantly (95% intervals over seeds and texts, not paired by text, as the answers of "
        "TF-IDF are not kept for lora, corrected for 2 rows)"
    ]


def test_macro_f1_of_a_reference_is_made_from_its_answers(run: WriteRun, runs: Path) -> None:
    labels = ["a", "b", "c"] * 20
    rng = np.random.default_rng(2)
    given = [str(rng.choice(list("abc"))) if rng.random() < 0.5 else label for label in labels]
    known = {"TF-IDF": {"f1_macro": float(f1_score(labels, given, average="macro"))}}
    name = OF_BASELINE.format("TF-IDF", "prediction")
    for recipe in ("full", "lora"):
        for seed in range(2):
            metrics = {"test": {"f1_macro": 1.0}, "validation": {}}
            replace = {"references": known, "metrics": metrics, "selected": None}
            path = run(recipe, seed, replace=replace)
            columns = {"id": list(map(str, range(60))), "text": labels, "label": labels}
            table = columns | {"prediction": labels, name: given}
            pq.write_table(pa.table(table), path / "predictions.parquet")
    (group,) = compare([runs]).groups()
    sides = reference_sides(group)
    assert sides and (sides.better, sides.unpaired) == (["full", "lora"], [])


def test_without_an_effect_of_seeds_it_is_the_paired_t_test_over_texts() -> None:
    rng = np.random.default_rng(5)
    one, other = rng.normal(3.0, 0.5, 80), rng.normal(2.9, 0.5, 80)
    row, reference = (scores(np.stack([values] * 3), exponential=True) for values in (one, other))
    found, expected = by_text(row, reference), ttest_rel(one, other)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_where_seeds_are_all_that_varies_it_is_the_t_test_over_them() -> None:
    """All texts are alike, so that the reference is one number."""
    by_seed = [3.0, 3.2, 3.1, 3.5]
    row = scores(np.repeat(np.array(by_seed)[:, None], 30, axis=1), exponential=True)
    reference = scores(np.full((4, 30), 2.9), exponential=True)
    expected = ttest_1samp(by_seed, 2.9)
    found = by_text(row, reference)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(
        tuple(end - 2.9 for end in expected.confidence_interval())
    )
