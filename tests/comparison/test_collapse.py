"""Runs that learned nothing are named and prove nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fabricated_runs import WriteRun

from workbench.comparison import Row, compare

LABELS = ["a"] * 60 + ["b"] * 40


def answered(run: WriteRun, recipe: str, seed: int, answers: Sequence[str]) -> None:
    """A run with these answers, tested on 60 texts of a and 40 of b."""
    right = [answer == label for answer, label in zip(answers, LABELS, strict=True)]
    known = {"majority class": {"accuracy": 0.6}, "TF-IDF": {"accuracy": 0.9}}
    metrics = {"test": {"accuracy": sum(right) / len(right)}, "validation": {}}
    path = run(recipe, seed, replace={"metrics": metrics, "references": known})
    columns = {"id": list(map(str, range(100))), "label": LABELS, "prediction": list(answers)}
    pq.write_table(pa.table(columns), path / "predictions.parquet")


def good(wrong: int) -> list[str]:
    return [*"b" * wrong, *LABELS[wrong:]]


def found(runs: Path) -> dict[str, Row]:
    return {row["label"]: row for row in compare([runs]).rows}


@pytest.mark.parametrize("seeds", [1, 3])
def test_two_recipes_that_answer_the_majority_class_are_not_equivalent(
    run: WriteRun, runs: Path, seeds: int
) -> None:
    for seed in range(seeds):
        for recipe in ("full", "lora"):
            answered(run, recipe, seed, ["a"] * 100)
    comparison = compare([runs], margin=0.5)
    (verdict,) = comparison.verdicts
    assert verdict["conclusion"] == "trivial"
    assert verdict["sentence"].startswith("lora and full are not ranked (0.0 points")
    remark = "lora gives one answer to every test text ('a')"
    assert remark in verdict["sentence"]
    for format in ("table", "markdown"):
        text = comparison.to(format, width=200)
        assert "lora †" in text and f"† {remark}" in text
    assert r"lora \dag{}" in comparison.to("latex") and "trivial" in comparison.to("latex")
    lines = list(csv.DictReader(io.StringIO(comparison.to("csv"))))
    lora = next(line for line in lines if line["name"] == "lora")
    assert lora["verdict"] == "trivial" and lora["trivial"] == remark.removeprefix("lora ")
    assert lora["collapsed_seeds"] == " ".join(map(str, range(seeds)))
    row = next(r for r in json.loads(comparison.to("json"))["rows"] if r["label"] == "lora")
    assert row["collapsed"][0] == {
        "seed": 0,
        "score": 0.6,
        "answer": "a",
        "reason": remark.removeprefix("lora "),
    }


def test_a_recipe_that_learned_nothing_may_be_worse_and_is_named(run: WriteRun, runs: Path) -> None:
    for seed in range(3):
        answered(run, "full", seed, good(3 + seed))
        answered(run, "lora", seed, ["b"] * 100)
    (verdict,) = compare([runs]).verdicts
    assert verdict["conclusion"] == "worse"
    assert verdict["sentence"].endswith("; lora gives one answer to every test text ('b')")


def test_a_seed_that_collapsed_is_counted_as_a_result(run: WriteRun, runs: Path) -> None:
    for seed in range(5):
        answered(run, "full", seed, good(3 + seed))
        answered(run, "lora", seed, ["a"] * 100 if seed == 2 else good(4 + seed))
    comparison = compare([runs])
    (verdict,) = comparison.verdicts
    assert "lora: 1 of 5 seeds collapsed (seed 2 gives one answer" in verdict["sentence"]
    rows = {row["label"]: row for row in comparison.rows}
    assert [each["seed"] for each in rows["lora"]["collapsed"]] == [2]
    assert rows["lora"]["trivial"] is None and rows["full"]["collapsed"] == []


def test_seeds_that_give_different_single_answers_are_named_together(
    run: WriteRun, runs: Path
) -> None:
    for seed, answer in enumerate("ab"):
        answered(run, "full", seed, [answer] * 100)
        answered(run, "lora", seed, [answer] * 100)
    answered(run, "lora", 2, good(3))
    comparison = compare([runs])
    rows = {row["label"]: row for row in comparison.rows}
    assert rows["full"]["trivial"] == "gives one answer to every test text, 'a' or 'b'"
    assert (
        "lora: 2 of 3 seeds collapsed (seeds 0 and 1 give one answer to every test text, 'a' or "
        "'b')"
    ) in comparison.verdicts[0]["sentence"]


def test_a_score_at_the_trivial_baseline_is_named_without_predictions(
    run: WriteRun, runs: Path
) -> None:
    known = {"references": {"majority class": {"accuracy": 0.6}}}
    for recipe, score in (("full", 0.7), ("lora", 0.6), ("prompt", 0.61)):
        run(recipe, 0, score, replace=known)
    rows = found(runs)
    assert rows["lora"]["trivial"] == "is no better than majority class (0.600)"
    assert rows["full"]["trivial"] is rows["prompt"]["trivial"] is None


def test_of_a_perplexity_the_base_model_must_be_beaten_from_below(
    run: WriteRun, runs: Path
) -> None:
    known = {"base model (zero-shot)": {"perplexity": 60.0}}
    for recipe, value in (("full", 20.0), ("lora", 61.0)):
        run(recipe, 0, replace={"metrics": {"test": {"perplexity": value}}, "references": known})
    rows = found(runs)
    assert rows["lora"]["trivial"] == "is no better than base model (zero-shot) (60.00)"
    assert rows["full"]["trivial"] is None


def test_tags_collapse_into_one_tag(run: WriteRun, runs: Path) -> None:
    for recipe, tags in (("lora", ["O O O", "O"]), ("full", ["O B-PER O", "O"])):
        path = run(recipe, 0, task="token-classification", replace={"references": {}})
        columns = {"id": ["0", "1"], "label": ["O B-PER O", "O"], "prediction": tags}
        pq.write_table(pa.table(columns), path / "predictions.parquet")
    rows = found(runs)
    assert rows["lora"]["trivial"] == "gives one answer to every test text ('O')"
    assert rows["full"]["trivial"] is None


def test_one_answer_is_no_collapse_where_it_is_always_right(run: WriteRun, runs: Path) -> None:
    path = run("lora", 0, 1.0)
    columns = {"id": ["0", "1"], "label": ["a", "a"], "prediction": ["a", "a"]}
    pq.write_table(pa.table(columns), path / "predictions.parquet")
    assert found(runs)["lora"]["collapsed"] == []


def test_a_seed_far_below_the_others_at_the_trivial_baseline_has_collapsed(
    run: WriteRun, runs: Path
) -> None:
    known = {"references": {"majority class": {"accuracy": 0.6}}}
    for recipe, scores in (("lora", (0.95, 0.61, 0.94)), ("prompt", (0.62, 0.61, 0.63))):
        for seed, score in enumerate(scores):
            run(recipe, seed, score, replace=known)
    rows = found(runs)
    assert [each["seed"] for each in rows["lora"]["collapsed"]] == [1]
    assert rows["lora"]["collapsed"][0]["reason"] == "is hardly better than majority class (0.600)"
    assert rows["prompt"]["collapsed"] == [], "all of its seeds learned as little"


def test_answers_that_were_never_generated_are_no_collapse(run: WriteRun, runs: Path) -> None:
    selected = {"metric": "perplexity", "value": 20.0}
    metrics = {"metrics": {"test": {"perplexity": 20.0}}, "references": {}}
    path = run("lora", 0, task="instruction", selected=selected, replace=metrics)
    columns = {"id": ["0", "1"], "label": ["one", "two"], "prediction": ["", ""]}
    pq.write_table(pa.table(columns), path / "predictions.parquet")
    assert found(runs)["lora"]["collapsed"] == []
