"""How finished runs become rows."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from fabricated_runs import WriteRun
from score_equation import solved

from workbench.comparison import Comparison, Row, compare
from workbench.errors import UsageError


def by_label(comparison: Comparison) -> dict[str, Row]:
    return {row["label"]: row for row in comparison.rows}


@pytest.mark.usefixtures("study")
def test_seeds_of_a_recipe_are_one_row(runs: Path) -> None:
    comparison = compare([runs])
    assert [row["recipe"] for row in comparison.rows] == ["full", "lora", "prefix", "prompt"]
    assert comparison.warnings == []
    row = by_label(comparison)["lora"]
    values = [0.956, 0.958, 0.960]
    # Wilson's: where (p - mean)^2 = t^2 p (1 - p) / n, with the n that such seeds are worth.
    n = 0.958 * 0.042 / scipy.stats.sem(values) ** 2
    square = scipy.stats.t.ppf(0.975, 2) ** 2
    low, high = sorted(np.roots([1 + square / n, -2 * 0.958 - square / n, 0.958**2]))
    accuracy = row["metrics"]["accuracy"]
    assert accuracy["values"] == values and accuracy["n"] == 3
    assert accuracy["mean"] == pytest.approx(0.958)
    assert (accuracy["ci_low"], accuracy["ci_high"]) == (pytest.approx(low), pytest.approx(high))
    assert row["validation_metrics"]["accuracy"]["mean"] == pytest.approx(0.96)
    assert row["seeds"] == [0, 1, 2] and len(row["runs"]) == 3
    assert (row["study"], row["method"], row["primary_metric"]) == ("bbc-news", "lora", "accuracy")


@pytest.mark.usefixtures("study")
def test_a_row_holds_the_costs(runs: Path) -> None:
    row = by_label(compare([runs]))["lora"]
    assert row["trainable_parameters"] == 75_653 and row["head_parameters"] == 1925
    assert row["adapter_parameters"] == 73_728 and row["total_parameters"] == 22_788_869
    assert row["stored_parameters"] == 75_653 and row["adapter_bytes"] == 310_000
    assert row["peak_memory_bytes"] == 512_000_000 and row["steps_per_second"] == 11.9
    assert row["train_seconds"] == pytest.approx(9.0)
    assert row["per_seed"]["train_seconds"] == [8.0, 9.0, 10.0]
    assert row["tokens_per_second"] == 20_000.0 and row["device"] == "cpu/bf16"


@pytest.mark.usefixtures("study")
def test_differences_to_full_are_paired_by_seed(runs: Path) -> None:
    rows = by_label(compare([runs]))
    assert rows["lora"]["baseline"] == rows["full"]["baseline"] == "full"
    assert rows["full"]["baseline_delta"] == {} and rows["full"]["baseline_paired"] == {}
    assert rows["lora"]["baseline_delta"]["accuracy"] == pytest.approx(-0.006)
    paired = rows["lora"]["baseline_paired"]["accuracy"]
    assert paired["values"] == pytest.approx([-0.008, -0.002, -0.008])
    expected = scipy.stats.ttest_rel(
        rows["lora"]["metrics"]["accuracy"]["values"],
        rows["full"]["metrics"]["accuracy"]["values"],
    ).confidence_interval()
    assert (paired["ci_low"], paired["ci_high"]) == pytest.approx(solved(*expected))


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("name", ["prompt", "bbc-news/prompt"])
def test_the_baseline_can_be_named(runs: Path, name: str) -> None:
    rows = by_label(compare([runs], baseline=name))
    assert rows["full"]["baseline"] == "prompt"
    assert rows["full"]["baseline_delta"]["accuracy"] == pytest.approx(0.02)


@pytest.mark.usefixtures("study")
def test_an_unknown_baseline_is_refused_with_the_recipes_there_are(runs: Path) -> None:
    with pytest.raises(UsageError) as caught:
        compare([runs], baseline="promt")
    assert "'promt'" in str(caught.value) and "Did you mean prompt?" in str(caught.value)
    assert "full, lora, prefix, prompt" in str(caught.value)


def test_without_full_there_is_no_baseline(run: WriteRun, runs: Path) -> None:
    run("lora", 0)
    row = compare([runs]).rows[0]
    assert row["baseline"] is None and row["baseline_delta"] == {}


def test_different_seeds_are_not_paired(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1, 2):
        run("full", seed, 0.96)
    for seed in (0, 1):
        run("lora", seed, 0.95)
    row = by_label(compare([runs]))["lora"]
    assert row["baseline_delta"]["accuracy"] == pytest.approx(-0.01)
    assert "accuracy" not in row["baseline_paired"]


def test_each_study_is_held_against_its_own_baseline(run: WriteRun, runs: Path) -> None:
    for study, score in (("a", 0.9), ("b", 0.8)):
        run("full", 0, score, study=study)
        run("lora", 0, 0.85, study=study)
    rows = by_label(compare([runs]))
    assert rows["a/lora"]["baseline_delta"]["accuracy"] == pytest.approx(-0.05)
    assert rows["b/lora"]["baseline_delta"]["accuracy"] == pytest.approx(0.05)


def test_one_seed_has_no_interval(run: WriteRun, runs: Path) -> None:
    run("lora", 3, 0.95)
    comparison = compare([runs])
    accuracy = comparison.rows[0]["metrics"]["accuracy"]
    absent = dict.fromkeys(("ci_low", "ci_high", "population_ci_low", "population_ci_high"))
    assert accuracy == {"mean": 0.95, **absent, "n": 1, "values": [0.95]}
    assert "one seed only, so nothing is known of other seeds: lora" in comparison.warnings


def test_an_absent_score_is_absent_and_not_zero(run: WriteRun, runs: Path) -> None:
    run("lora", 0, 0.9)
    run("lora", 1, None)
    run("lora", 2, 0.94)
    comparison = compare([runs])
    accuracy = comparison.rows[0]["metrics"]["accuracy"]
    assert accuracy["values"] == [0.9, None, 0.94] and accuracy["n"] == 2
    assert accuracy["mean"] == pytest.approx(0.92)
    assert "accuracy is absent, not zero, in lora seed 1" in comparison.warnings


def test_a_metric_nobody_has_is_null(run: WriteRun, runs: Path) -> None:
    run("lora", 0, None)
    accuracy = compare([runs]).rows[0]["metrics"]["accuracy"]
    assert accuracy["mean"] is None and accuracy["n"] == 0


def test_errors_are_ordered_lowest_first(run: WriteRun, runs: Path) -> None:
    for recipe, error in (("full", 0.5), ("lora", 0.2), ("prefix", 0.9)):
        run(
            recipe,
            selected={"metric": "mean_squared_error"},
            replace={"metrics": {"test": {"mean_squared_error": error}}},
        )
    assert [row["recipe"] for row in compare([runs]).rows] == ["lora", "full", "prefix"]


def test_the_same_seed_again_does_not_narrow_the_interval(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1):
        run("lora", seed, 0.9 + seed / 100)
    copied = runs / "copied" / next(runs.glob("bbc-news/lora-s0*")).name
    shutil.copytree(next(runs.glob("bbc-news/lora-s0*")), copied)
    status = json.loads((copied / "status.json").read_text())
    (copied / "status.json").write_text(json.dumps(status | {"ended_at": 9999.0}))
    comparison = compare([runs])
    assert comparison.rows[0]["seeds"] == [0, 1]
    assert comparison.rows[0]["runs"][0].startswith("copied/")
    assert any("duplicate run" in warning for warning in comparison.warnings)


@pytest.mark.usefixtures("study")
def test_overlapping_paths_count_once(runs: Path) -> None:
    assert compare([runs, runs / "bbc-news"]).rows == compare([runs]).rows
    assert len(compare([next(runs.glob("bbc-news/lora-s0*"))]).rows) == 1


def test_runs_without_a_usable_result_are_named_and_left_out(run: WriteRun, runs: Path) -> None:
    run("lora", 0)
    run("lora", 1, state="failed")
    run("prefix", 0, state="failed")
    run("lora", 2, state="running")  # its process is gone: interrupted
    (run("prompt", 0) / "result.json").write_text("{")
    run("full", 0, version=7)
    run("full", 1, replace={"parameters": {"trainable": "many"}, "comparability": None})
    run("full", 2, replace={"metrics": {"test": {"accuracy": float("nan")}}})
    comparison = compare([runs])
    assert [row["label"] for row in comparison.rows] == ["lora"]
    text = "\n".join(comparison.warnings)
    assert "2 failed runs are left out: bbc-news/lora-s1" in text
    assert "1 interrupted run is left out: bbc-news/lora-s2" in text
    assert "1 unreadable run is left out: bbc-news/prompt-s0" in text
    assert "full-s0-66756c6c is left out: its result has version 7" in text
    assert "full-s1-66756c6c is left out: parameters.trainable: " in text
    assert "full-s2-66756c6c is left out: metrics.test.accuracy: " in text


def test_no_runs_is_an_answer_and_no_folder_an_error(runs: Path) -> None:
    comparison = compare([runs])
    assert comparison.rows == [] and comparison.warnings == [f"no runs below {runs}"]
    assert "No finished runs." in comparison.to("table")
    for format in ("markdown", "latex", "csv", "json"):
        assert isinstance(comparison.to(format), str)
    with pytest.raises(UsageError, match="no such folder"):
        compare([runs / "elsewhere"])


@pytest.mark.usefixtures("study")
def test_references_are_listed_once_for_each_group(runs: Path) -> None:
    references = compare([runs]).references
    assert [(r["name"], r["group"]) for r in references] == [
        ("majority class", 1),
        ("TF-IDF + logistic regression", 1),
    ]
    assert references[0]["metrics"] == {"accuracy": 0.232, "f1_macro": 0.075}


def test_references_that_disagree_are_said(run: WriteRun, runs: Path) -> None:
    run("lora", 0)
    run("lora", 1, references={"majority class": {"accuracy": 0.5}})
    comparison = compare([runs])
    assert comparison.references[0]["metrics"]["accuracy"] == 0.232
    assert any("'majority class'" in warning for warning in comparison.warnings)


@pytest.mark.usefixtures("study")
def test_rows_references_and_warnings_are_plain_json(runs: Path) -> None:
    comparison = compare([runs])
    content = [comparison.rows, comparison.references, comparison.warnings]
    assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_references_of_runs_that_draw_their_rows_are_means(run: WriteRun, runs: Path) -> None:
    drawn = {"data": {"train_size": 50, "train_draw": "run"}}
    for recipe in ("full", "lora"):
        for seed, score in enumerate((0.5, 0.6, 0.9)):
            scores = {"majority class": {"accuracy": score, "f1_macro": 0.1}}
            run(recipe, seed, references=scores, settings=drawn)
    comparison = compare([runs])
    assert comparison.references[0]["metrics"]["accuracy"] == pytest.approx(2 / 3)
    assert comparison.references[0]["metrics"]["f1_macro"] == pytest.approx(0.1)
    assert not any("references" in text or "reference" in text for text in comparison.warnings)
