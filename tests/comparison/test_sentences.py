"""Who beats what the same split gives without fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fabricated_runs import WriteRun

from workbench.comparison import compare
from workbench.comparison.against_reference import reference_sentences
from workbench.comparison.result import Group
from workbench.comparison.sentences import effect, needs


def said(groups: list[Group]) -> list[str]:
    return [sentence for group in groups for sentence in reference_sentences(group)]


def references(score: float, metric: str = "accuracy") -> dict[str, dict[str, float]]:
    return {"majority class": {metric: 0.2}, "TF-IDF": {metric: score}}


def test_a_row_beats_the_best_reference_when_its_interval_does(run: WriteRun, runs: Path) -> None:
    scores = {"full": (0.96, 0.965, 0.97), "prompt": (0.8, 0.9, 0.97), "bad": (0.70, 0.71, 0.72)}
    for recipe, values in scores.items():
        for seed, value in enumerate(values):
            run(recipe, seed, value, replace={"references": references(0.9)})
    found = compare([runs])
    sentence = (
        "compared with TF-IDF (accuracy 0.900): full scores better; prompt does not differ "
        "significantly; bad scores worse (95% intervals over seeds, corrected for 3 rows)"
    )
    assert said(found.groups()) == [sentence]
    for format in ("table", "markdown", "latex"):
        words = found.to(format, width=400) if format == "table" else found.to(format)
        assert "full scores better; prompt does not differ significantly" in words, format


def test_of_an_error_the_lowest_is_best_and_one_run_stands_for_itself(
    run: WriteRun, runs: Path
) -> None:
    for recipe, value in (("lora", 20.0), ("prefix", 30.0), ("prompt", 200.0)):
        metrics = {"test": {"perplexity": value}}
        known = {"base model (zero-shot)": {"perplexity": 175.2}, "noise": {"perplexity": 900.0}}
        run(recipe, 0, value, replace={"metrics": metrics, "references": known})
    found = compare([runs])
    assert said(found.groups("perplexity")) == [
        "compared with base model (zero-shot) (perplexity 175.2): the adapters lora and prefix "
        "score better; the adapter prompt scores worse (one run each and not tested)"
    ]


@pytest.mark.parametrize("known", [{}, {"TF-IDF": {"accuracy": None}}])
def test_without_a_reference_nothing_is_said(
    run: WriteRun, runs: Path, known: dict[str, dict[str, float | None]]
) -> None:
    run("full", 0, 0.9, replace={"references": known})
    found = compare([runs])
    assert said(found.groups()) == []


def test_a_baseline_of_an_older_version_has_the_name_of_today(run: WriteRun, runs: Path) -> None:
    for seed, name in enumerate(("untouched base", "base model (zero-shot)")):
        metrics, known = {"test": {"perplexity": 20.0 + seed}}, {name: {"perplexity": 175.2}}
        run("lora", seed, replace={"metrics": metrics, "references": known})
    names = [reference["name"] for reference in compare([runs]).references]
    assert names == ["base model (zero-shot)"]


def test_what_no_study_can_pay_for_is_not_given_as_a_number(run: WriteRun, runs: Path) -> None:
    for recipe, scores in (("full", (0.2, 0.9)), ("lora", (0.95, 0.1))):
        for seed, score in enumerate(scores):
            run(recipe, seed, score, replace={"references": {}})
    (verdict,) = compare([runs], margin=0.001).verdicts
    assert "takes far more seeds than is practical" in verdict["details"]
    assert verdict["details"].endswith("no difference with 80% power; over seeds only: its "
                                       "predictions are not there or cannot be read")  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "seeds", "bounds", "words"),
    [
        ("seeds", 21, [12, 40], "detecting 1 point takes 12 to 40 seeds"),
        ("seeds", 21, [12, None], "detecting 1 point takes 12 seeds at least"),
        ("seeds", None, None, "detecting 1 point takes far more seeds than is practical"),
        ("items", 8, [1234, 5678], "more seeds alone do not help: detecting 1 point takes 1,200 to "
                                   "5,700 test items and about 8 seeds"),
    ],
)  # fmt: skip
def test_what_is_needed_is_a_range(
    limit: str,
    seeds: int | None,
    bounds: list[int | None] | None,
    words: str,
    run: WriteRun,
    runs: Path,
) -> None:
    for recipe, scores in (("full", (0.8, 0.9, 0.85)), ("lora", (0.9, 0.8, 0.81))):
        for seed, score in enumerate(scores):
            run(recipe, seed, score, replace={"references": {}})
    (verdict,) = compare([runs]).verdicts
    assert verdict["conclusion"] == "unclear"
    changed: Any = {"limit": limit, "seeds_needed": seeds, "needed_range": bounds}
    assert needs({**verdict, "covers": ["seeds", "items"], **changed}) == words


def test_an_interval_that_leaves_out_0_does_not_end_at_it(run: WriteRun, runs: Path) -> None:
    for recipe, scores in (("full", (0.8, 0.9, 0.85)), ("lora", (0.9, 0.8, 0.81))):
        for seed, score in enumerate(scores):
            run(recipe, seed, score, replace={"references": {}})
    (verdict,) = compare([runs]).verdicts
    numbers: Any = {"difference": -0.0221, "ci_low": -0.0438, "ci_high": -0.0003}
    assert effect({**verdict, **numbers}) == "-2.2 points, 95% CI -4.4 to -0.03"
    numbers = {"difference": 0.0, "ci_low": -0.0438, "ci_high": 0.012}
    assert effect({**verdict, **numbers}) == "0.0 points, 95% CI -4.4 to 1.2"
