"""From run folders with predictions to a sentence in plain words."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fabricated_runs import WriteRun, keep

from workbench.comparison import Comparison, Verdict, compare
from workbench.errors import UsageError
from workbench.recipe.catalogue import METRICS, is_share


def method(
    run: WriteRun, name: str, rate: float, seeds: int, items: int = 400, **more: object
) -> None:
    """A method that gets the same items right with every seed, but for some."""
    rng = np.random.default_rng(0)
    hard = rng.random(items)
    for seed in range(seeds):
        noise = np.random.default_rng([seed, len(name)]).normal(0, 0.05, items)
        right = hard + noise < rate
        keep(run(name, seed, float(right.mean()), **more), right.tolist())


def verdict(comparison: Comparison, label: str) -> Verdict:
    return next(each for each in comparison.verdicts if each["label"] == label)


def test_a_clear_difference_is_said_with_its_size(run: WriteRun, runs: Path) -> None:
    for name, rate in (("full", 0.9), ("lora", 0.8), ("prompt", 0.9)):
        method(run, name, rate, 3)
    comparison = compare([runs])
    lora = verdict(comparison, "lora")
    assert lora["conclusion"] == "worse" and lora["test"] == "seeds-and-items"
    assert lora["against"] == "full" and (lora["runs"], lora["items"]) == (3, 400)
    assert lora["comparisons"] == 2 and lora["p_adjusted"] is not None
    assert lora["p_adjusted"] == pytest.approx(2 * (lora["p_value"] or 0))
    assert lora["difference"] == pytest.approx(-0.1, abs=0.02)
    low, high = (100 * (lora[end] or 0) for end in ("ci_low", "ci_high"))
    points = 100 * (lora["difference"] or 0)
    said = f"lora is worse than full ({points:.1f} points, 95% CI {low:.1f} to {high:.1f}; 3 seeds)"
    assert lora["sentence"] == said
    assert re.fullmatch(
        r"accuracy, p [<=] 0\.\d+ after Holm's correction for 2 comparisons, 400 test items",
        lora["details"],
    )
    assert verdict(comparison, "prompt")["conclusion"] in ("unclear", "same")


def test_what_cannot_be_told_apart_says_what_would_be_needed(run: WriteRun, runs: Path) -> None:
    method(run, "full", 0.9, 3, 100)
    method(run, "lora", 0.89, 3, 100)
    (found,) = compare([runs]).verdicts
    assert found["conclusion"] == "unclear"
    assert found["sentence"].startswith("no significant difference between lora and full (")
    assert "detecting 1 point takes" in found["details"]
    assert found["detectable"] and found["detectable"] > 0.01 and found["limit"]
    (wide,) = compare([runs], margin=0.3).verdicts
    assert wide["conclusion"] == "same" and "equivalent within 30 points" in wide["sentence"]


def test_one_run_each_is_mcnemar_and_says_what_it_is_about(run: WriteRun, runs: Path) -> None:
    method(run, "full", 0.9, 1)
    method(run, "lora", 0.85, 1)
    (found,) = compare([runs]).verdicts
    assert found["test"] in ("mcnemar-exact", "mcnemar-mid-p") and found["covers"] == ["items"]
    assert found["sentence"].endswith("; one run each)")
    assert "nothing is said about the methods" in found["details"]


@pytest.mark.parametrize(
    "full, lora, word",
    [(0.95, 0.6, "run_worse"), (0.6, 0.95, "run_better"), (0.9, 0.9, "run_same")],
)
def test_one_run_each_is_no_verdict_about_methods(
    full: float, lora: float, word: str, run: WriteRun, runs: Path
) -> None:
    method(run, "full", full, 1, items=4000)
    method(run, "lora", lora, 1, items=4000)
    comparison = compare([runs], margin=0.1)
    (found,) = comparison.verdicts
    assert (found["label"], found["conclusion"]) == ("lora", word)
    assert "these two adapters" in found["sentence"]
    # The number is of the recipe that the sentence begins with.
    sides = {
        "run_better": "lora scores better than full (+",
        "run_worse": "lora scores worse than full (-",
    }
    assert sides.get(word, "") in found["sentence"]
    lines = csv.DictReader(io.StringIO(comparison.to("csv")))
    assert {line["verdict"] for line in lines} == {"", word}


def test_seeds_on_one_side_only_are_not_tested(run: WriteRun, runs: Path) -> None:
    method(run, "full", 0.9, 3)
    method(run, "lora", 0.85, 1)
    (found,) = compare([runs]).verdicts
    assert found["conclusion"] == "untested" and found["p_value"] is None
    said = "lora and full are not tested: the variance over seeds is unknown for lora ("
    assert found["sentence"].startswith(said)


def test_all_pairs_are_corrected_together(run: WriteRun, runs: Path) -> None:
    for name, rate in (("full", 0.9), ("lora", 0.85), ("prompt", 0.8)):
        method(run, name, rate, 2)
    found = compare([runs], all_pairs=True).verdicts
    assert [(v["label"], v["against"]) for v in found] == [
        ("full", "lora"),
        ("full", "prompt"),
        ("lora", "prompt"),
    ]
    assert {v["comparisons"] for v in found} == {3}


def test_of_all_pairs_the_table_keeps_the_intervals_against_the_baseline(
    run: WriteRun, runs: Path
) -> None:
    for name, rate in (("full", 0.9), ("lora", 0.8), ("prompt", 0.95)):
        method(run, name, rate, 3)
    tables = [
        compare([runs], all_pairs=every).to("markdown").split("\n\n")[2] for every in (False, True)
    ]
    assert tables[0].count("±") == 2 and tables[0] == tables[1]


def test_without_predictions_the_seeds_alone_are_tested_and_it_is_said(
    study: None, runs: Path
) -> None:
    comparison = compare([runs])
    lora = verdict(comparison, "lora")
    assert lora["test"] == "seeds-paired-t" and lora["items"] is None
    assert lora["sentence"].endswith("; 3 seeds, over seeds only)")
    assert "over seeds only: its predictions are not there" in lora["details"]
    paired = next(r for r in comparison.rows if r["label"] == "lora")["baseline_paired"]["accuracy"]
    assert (lora["ci_low"], lora["ci_high"]) == (
        pytest.approx(paired["ci_low"]),
        pytest.approx(paired["ci_high"]),
    )


def test_predictions_that_are_not_the_scores_are_not_used(run: WriteRun, runs: Path) -> None:
    for name in ("full", "lora"):
        for seed in (0, 1):
            path = run(name, seed, 0.9)
            keep(path, [True] * 10)  # the record says 0.9
    note = compare([runs]).verdicts[0]["note"]
    assert note and "does not add up to its score" in note
    for path in runs.glob("*/*/predictions.parquet"):
        path.write_bytes(b"PAR1 no parquet")
    assert "cannot be read" in (compare([runs]).verdicts[0]["note"] or "")


@pytest.mark.parametrize(
    "columns",
    [
        {"id": ["0", "1"]},
        {"id": ["0", "1"], "example_accuracy": ["x", "y"]},
        {"label": ["a", "b"], "prediction": ["a", "b"]},
    ],
)
def test_one_odd_file_of_predictions_costs_its_row_the_items_only(
    run: WriteRun, runs: Path, columns: dict[str, list[str]]
) -> None:
    for name in ("full", "lora", "prompt"):
        for seed, right in enumerate((8, 7)):
            keep(run(name, seed, right / 10), [True] * right + [False] * (10 - right))
    odd = next(runs.glob("*/prompt-s1-*")) / "predictions.parquet"
    pq.write_table(pa.table(columns), odd)
    comparison = compare([runs])
    assert verdict(comparison, "lora")["note"] is None
    assert "cannot be read" in (verdict(comparison, "prompt")["note"] or "")


def test_a_verdict_counts_the_runs_that_have_the_score(run: WriteRun, runs: Path) -> None:
    for seed, (full, lora) in enumerate(((9, 8), (10, None), (8, 9))):
        keep(run("full", seed, full / 10), [True] * full + [False] * (10 - full))
        hits = lora or 0
        keep(run("lora", seed, lora and hits / 10), [True] * hits + [False] * (10 - hits))
        run("prompt", seed, None)
    comparison = compare([runs], metric="accuracy")
    lora, prompt = verdict(comparison, "lora"), verdict(comparison, "prompt")
    assert (lora["runs"], lora["runs_against"], lora["test"]) == (2, 3, "seeds-welch")
    assert "2 and 3 seeds" in lora["sentence"]
    assert "over seeds only: accuracy is absent in lora seed 1" in lora["details"]
    assert "accuracy is absent in prompt" in prompt["details"]


def test_what_is_the_same_with_every_seed_is_not_tested(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1):
        run("full", seed, 0.9)
        run("lora", seed, 0.91)
    comparison = compare([runs])
    (found,) = comparison.verdicts
    assert found["conclusion"] == "untested" and found["p_value"] is found["ci_low"] is None
    assert "the same with every seed, which may well be chance" in found["sentence"]
    assert (
        "the same score with every seed, so no interval over seeds: full and lora"
        in comparison.warnings
    )


@pytest.mark.parametrize("margin", [0.0, -0.01, float("inf"), float("nan")])
def test_a_margin_is_a_number_above_0(run: WriteRun, runs: Path, margin: float) -> None:
    with pytest.raises(UsageError, match="a margin of"):
        compare([runs], margin=margin)


def test_texts_that_repeat_are_warned_of(run: WriteRun, runs: Path) -> None:
    right = [True] * 90 + [False] * 10
    for name in ("full", "lora"):
        path = run(name, 0, 0.9)
        keep(path, right, text=["One  text", "one text", "ONE TEXT"] * 33 + [""])
    note = "99 of 100 test examples share their text with another"
    assert any(note in text for text in compare([runs]).verdict_notes)
    for path in runs.glob("*/*"):
        keep(path, right, text=["one text"] * 2 + [str(i) for i in range(98)])
    assert not any("share their text" in text for text in compare([runs]).verdict_notes)
    for path in runs.glob("*/*"):
        keep(path, right, text=["one text"] * 100, group=[str(i // 2) for i in range(100)])
    assert not any("share their text" in text for text in compare([runs]).verdict_notes)


def test_f1_over_classes_comes_from_the_labels(run: WriteRun, runs: Path) -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(2)
    labels = rng.choice(list("abc"), 200)
    for name in ("full", "lora"):
        for seed in range(2):
            given = np.where(rng.random(200) < 0.8, labels, rng.choice(list("abc"), 200))
            f1 = float(f1_score(labels, given, average="macro"))
            path = run(name, seed, 0.8, metrics={"test": {"f1_macro": f1}})
            table = {"id": list(map(str, range(200))), "label": labels, "prediction": given}
            pq.write_table(pa.table(table), path / "predictions.parquet")
    (found,) = compare([runs], metric="f1_macro").verdicts
    assert found["test"] == "seeds-and-items" and found["note"] is None
    with pytest.raises(UsageError, match="no run has the metric 'f1_micro'") as caught:
        compare([runs], metric="f1_micro")
    assert "Did you mean f1_macro?" in str(caught.value)


def test_many_runs_are_tested_only_when_asked(run: WriteRun, runs: Path) -> None:
    for seed in range(31):
        run("full", seed, 0.9 + seed / 1000)
        run("lora", seed, 0.8 + seed / 1000)
    comparison = compare([runs])
    assert comparison.verdicts == []
    assert comparison.verdict_notes == ["62 runs: add --tests for significance tests"]
    assert len(compare([runs], tests=True).verdicts) == 1
    assert compare([runs], tests=False).verdict_notes == []


def test_without_a_baseline_it_says_how_to_test(run: WriteRun, runs: Path) -> None:
    for name in ("lora", "prefix", "prompt"):
        run(name, 0)
    assert compare([runs]).verdict_notes == [
        "nothing is tested: choose a baseline, or have all pairs tested"
    ]


def test_the_sentences_stand_under_every_readable_table(run: WriteRun, runs: Path) -> None:
    method(run, "full", 0.9, 2)
    method(run, "lora", 0.6, 2)
    comparison = compare([runs])
    for format in ("table", "markdown", "latex"):
        text = " ".join(comparison.to(format, width=300).split())
        assert "lora is worse than full" in text
    assert json.loads(comparison.to("json"))["verdicts"] == comparison.verdicts


def test_shares_are_the_metrics_from_0_to_1() -> None:
    named = {name for name, metric in METRICS.items() if re.search(r" 0 to 1\b", metric.about)}
    shares = {name for name in METRICS if is_share(name)}
    assert named <= shares and shares - named <= {"masked_accuracy"}


def test_differences_of_scores_that_scatter_stay_possible(run: WriteRun, runs: Path) -> None:
    """Two seeds of each, some of which collapsed; Student's t is 4.3 to 12.7."""
    for recipe, scores in (("full", (0.73, 1.0)), ("lora", (0.25, 0.45)), ("prompt", (0.9, 0.2))):
        for seed, score in enumerate(scores):
            keep(run(recipe, seed, score), [i < 100 * score for i in range(100)])
    comparison = compare([runs])
    for found in comparison.verdicts:
        assert found["ci_low"] is not None and found["ci_high"] is not None
        assert -1 < found["ci_low"] < found["ci_high"] < 1
        assert (found["ci_low"] <= 0 <= found["ci_high"]) == ((found["p_value"] or 0) > 0.05)
    assert "±" not in comparison.to("markdown").split("\n\n")[1]
    assert "scatter too much to say anything" in comparison.answer[0]["text"]
