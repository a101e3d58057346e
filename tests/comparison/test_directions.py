"""Metrics that are better the lower they are, metrics without a value, references of any kind."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricated_runs import WriteRun
from scipy.stats import gmean, ttest_rel

from workbench.comparison import compare

PERPLEXITIES = {
    "full": (28.0, 27.0, 29.0),
    "lora": (26.9, 27.1, 27.0),
    "prompt": (1200.0, 1300.0, 1250.0),
}
ZERO_SHOT = {"base model (zero-shot)": {"perplexity": 61.27, "rouge_l": 0.1, "bleu": None}}


@pytest.fixture
def headlines(run: WriteRun) -> None:
    """Three recipes that write headlines, three seeds each."""
    for recipe, values in PERPLEXITIES.items():
        for seed, perplexity in enumerate(values):
            scores = {"perplexity": perplexity, "rouge_l": 0.31, "bleu": 31.2}
            written(run, recipe, seed, scores, references=ZERO_SHOT)


def written(
    run: WriteRun, recipe: str, seed: int, scores: dict[str, Any], references: dict[str, Any]
) -> None:
    metric = next(iter(scores))
    run(
        recipe,
        seed,
        task="instruction",
        selected={"metric": metric, "value": scores[metric]},
        replace={"metrics": {"test": scores}, "references": references},
    )


@pytest.mark.usefixtures("headlines")
def test_the_lowest_perplexity_stands_first_and_its_difference_is_below_zero(runs: Path) -> None:
    rows = compare([runs]).rows
    assert [row["recipe"] for row in rows] == ["lora", "full", "prompt"]
    lora, full = (gmean(PERPLEXITIES[name]) for name in ("lora", "full"))
    assert rows[0]["baseline_delta"]["perplexity"] == pytest.approx(lora - full)
    assert rows[2]["baseline_delta"]["perplexity"] > 0


@pytest.mark.usefixtures("headlines")
def test_every_readable_format_says_which_way_is_better(runs: Path) -> None:
    comparison = compare([runs])
    markdown, latex = comparison.to("markdown"), comparison.to("latex")
    assert "| recipe | perplexity ↓ | ratio vs full | rouge\\_l | bleu |" in markdown
    logs = {name: np.log(values) for name, values in PERPLEXITIES.items()}
    found = ttest_rel(logs["lora"], logs["full"]).confidence_interval()
    ends = r"\[{:.2f}, {:.2f}\]".format(*np.exp(found))
    shown = f"{np.exp(np.mean(logs['lora'] - logs['full'])):.2f}x {ends}"
    assert rf"| lora | 27.00 \[26.75, 27.25\] (3) | {shown} | 0.310 (3) |" in markdown
    assert r"| prompt † | 1,249 \[1,131, 1,380\] (3) | 44.64x " in markdown
    assert "| base model (zero-shot) | 61.27 |  | 0.100 | – |" in markdown
    assert "perplexity $\\downarrow$" in latex
    for text in (markdown, latex, comparison.to("table", width=200)):
        assert "↓ lower is better, so a ratio below 1 is an improvement" in text
    table = comparison.to("table", width=80)
    assert max(map(len, table.splitlines())) <= 80 and "27.00 [26.75, 27.25] (3)" in table


@pytest.mark.usefixtures("headlines")
def test_of_a_perplexity_margin_and_need_are_in_percent(runs: Path) -> None:
    comparison = compare([runs])
    found = next(each for each in comparison.verdicts if each["label"] == "lora")
    assert found["margin_ratio"] == pytest.approx(1.05)
    assert "detecting 5% takes" in found["details"] and "% on" in found["details"]
    assert " of perplexity" not in comparison.to("markdown")


@pytest.mark.usefixtures("headlines")
def test_exact_formats_have_names_without_arrows(runs: Path) -> None:
    comparison = compare([runs])
    lines = list(csv.DictReader(io.StringIO(comparison.to("csv"))))
    assert float(lines[0]["perplexity_mean"]) == comparison.rows[0]["metrics"]["perplexity"]["mean"]
    assert (lines[-1]["kind"], lines[-1]["perplexity_mean"]) == ("reference", "61.27")
    assert lines[-1]["bleu_mean"] == ""
    by_name = {line["name"]: line for line in lines}
    ratio = gmean(PERPLEXITIES["lora"]) / gmean(PERPLEXITIES["full"])
    for column in ("perplexity_baseline_ratio", "verdict_ratio"):
        assert float(by_name["lora"][column]) == pytest.approx(ratio)
    by_seed = [a / b for a, b in zip(PERPLEXITIES["lora"], PERPLEXITIES["full"], strict=True)]
    paired = float(by_name["lora"]["perplexity_baseline_ratio_paired_mean"])
    assert paired == pytest.approx(gmean(by_seed))
    assert by_name["lora"]["verdict_difference"] == ""
    assert "perplexity_baseline_delta" not in lines[0]
    assert "↓" not in comparison.to("csv") + comparison.to("json")


@pytest.mark.usefixtures("study")
def test_scores_need_no_arrow(runs: Path) -> None:
    for format in ("table", "markdown", "latex"):
        assert "lower is better" not in compare([runs]).to(format)


def test_an_error_beside_a_score_says_nothing_of_the_difference(run: WriteRun, runs: Path) -> None:
    for recipe in ("full", "lora"):
        written(run, recipe, 0, {"rouge_l": 0.3, "perplexity": 9.5}, ZERO_SHOT)
    text = compare([runs]).to("markdown")
    assert "perplexity ↓" in text and "↓ lower is better  \n" in text


@pytest.mark.parametrize("format", ["table", "markdown", "latex", "csv", "json"])
def test_a_task_may_have_no_reference(run: WriteRun, runs: Path, format: str) -> None:
    written(run, "lora", 0, {"answer_f1": 0.8, "exact_match": 0.7}, references={})
    comparison = compare([runs])
    assert comparison.references == []
    text = comparison.to(format)
    assert "zero-shot" not in text and "majority" not in text
    if format == "json":
        assert json.loads(text)["references"] == []
    if format == "latex":
        assert text.count("\\midrule") == 1


def test_a_reference_scored_on_two_machines_differs_by_rounding(run: WriteRun, runs: Path) -> None:
    for seed, perplexity in enumerate((61.27, 61.2703)):
        base = {"base model (zero-shot)": {"perplexity": perplexity, "bleu": None}}
        written(run, "lora", seed, {"perplexity": 27.0, "bleu": 30.0}, base)
    assert not [w for w in compare([runs]).warnings if "zero-shot" in w]
    written(run, "full", 0, {"perplexity": 27.0}, {"base model (zero-shot)": {"perplexity": 70.0}})
    assert [w for w in compare([runs]).warnings if "zero-shot" in w]


def test_the_base_models_row_has_one_name_whatever_version_wrote_it(
    run: WriteRun, runs: Path
) -> None:
    written(run, "lora", 0, {"perplexity": 27.0}, {"untouched base": {"perplexity": 61.0}})
    written(run, "full", 0, {"perplexity": 26.0}, {"base model (zero-shot)": {"perplexity": 61.0}})
    (reference,) = compare([runs]).references
    assert reference["name"] == "base model (zero-shot)"


def test_a_metric_without_any_value_is_not_what_rows_are_ordered_by(
    run: WriteRun, runs: Path
) -> None:
    for recipe, accuracy in (("full", 0.9), ("lora", 0.95), ("prompt", 0.8)):
        written(run, recipe, 0, {"entity_f1": None, "accuracy": accuracy}, references={})
    comparison = compare([runs])
    assert [row["recipe"] for row in comparison.rows] == ["lora", "full", "prompt"]
    assert {row["primary_metric"] for row in comparison.rows} == {"accuracy"}
    assert "| recipe | accuracy | Δ vs full | entity\\_f1 |" in comparison.to("markdown")
    assert any(w.startswith("entity_f1 is absent, not zero, in") for w in comparison.warnings)


def test_one_run_without_a_value_leaves_the_primary_metric_and_stands_last(
    run: WriteRun, runs: Path
) -> None:
    for recipe, perplexity in (("full", None), ("lora", 27.0)):
        written(run, recipe, 0, {"perplexity": perplexity, "rouge_l": 0.3}, ZERO_SHOT)
    rows = compare([runs]).rows
    assert [(row["recipe"], row["primary_metric"]) for row in rows] == [
        ("lora", "perplexity"),
        ("full", "perplexity"),
    ]
    assert rows[0]["baseline_delta"].keys() == {"rouge_l"}


def test_runs_that_go_on_from_an_adapter_are_told_apart_as_such(run: WriteRun, runs: Path) -> None:
    run("full", 0)
    run("lora", 0, comparability={"base": "b1 after 9f86d081"})
    (warning,) = [w for w in compare([runs]).warnings if "not comparable" in w]
    assert "different starting points (init_from)" in warning
