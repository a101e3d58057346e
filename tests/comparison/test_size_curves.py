"""Score against training size: curves, tests and crossings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricated_runs import fabricate, keep
from scipy.stats import ttest_rel
from score_equation import solved

from workbench.analysis.size_curves import Runs, SizeCurves, size_curves
from workbench.analysis.size_text import csv_lines, sentences, tables
from workbench.charts.size_curves import pictures
from workbench.comparison import compare
from workbench.errors import UsageError
from workbench.recipe.catalogue import OF_BASELINE
from workbench.store import read_run

SIZES = (100, 400, 1600)
NOISE = (-0.011, 0.0, 0.004, 0.007)
"""What four seeds have from the draw of the examples, the same for every recipe."""
OWN = {"full": (0.001, 0.0, -0.001, 0.0), "lora": (0.0, 0.002, 0.0, -0.002)}
MEANS = {"full": (0.60, 0.80, 0.95), "lora": (0.70, 0.85, 0.90), "TF-IDF": (0.50, 0.70, 0.88)}


def write(folder: Path, means: dict[str, tuple[float, ...]], seeds: int = 4) -> Runs:
    found: dict[tuple[str, int], Any] = {}
    for i, size in enumerate(SIZES):
        for recipe in ("full", "lora"):
            for seed in range(seeds):
                linear = means["TF-IDF"][i] + NOISE[seed] / 2
                path = fabricate(
                    folder,
                    f"{recipe}-n{size}",
                    seed,
                    means[recipe][i] + NOISE[seed] + OWN[recipe][seed],
                    method=recipe,
                    comparability={"split": str(size)},
                    time={"steps": size // 16},
                    replace={
                        "references": {
                            "majority class": {"accuracy": 0.2},
                            "TF-IDF": {"accuracy": linear},
                        }
                    },
                )
                found.setdefault((recipe, size), []).append(read_run(path))
    return found


@pytest.fixture
def curves(tmp_path: Path) -> SizeCurves:
    return size_curves(write(tmp_path / "runs", MEANS))


def test_points_are_means_over_seeds(curves: SizeCurves) -> None:
    assert curves.names == ["full", "lora", "TF-IDF", "majority class"]
    assert curves.metric == "accuracy" and curves.sizes == [*SIZES]
    for name, means in MEANS.items():
        assert [curves.of(name)[s].interval.mean for s in SIZES] == pytest.approx(means, abs=1e-9)
    assert curves.of("lora")[400].steps == 25
    assert len(curves.of("TF-IDF")[100].scores) == 4


def test_differences_are_paired_by_seed_and_corrected_for_sizes(curves: SizeCurves) -> None:
    pair = next(each for each in curves.pairs if (each.first, each.second) == ("lora", "full"))
    p_values = []
    for i, size in enumerate(SIZES):
        one, other = (curves.of(name)[size].scores for name in ("lora", "full"))
        expected = ttest_rel(list(one.values()), list(other.values()))
        p_values.append(expected.pvalue)
        found = pair.differences[i]
        assert found.estimate == pytest.approx(MEANS["lora"][i] - MEANS["full"][i])
        assert (found.low, found.high) == pytest.approx(solved(*expected.confidence_interval()))
    largest = sorted(p_values)
    holm = [largest[0] * 3, max(largest[0] * 3, largest[1] * 2)]
    assert sorted(d.p_adjusted or 1 for d in pair.differences)[:2] == pytest.approx(holm)
    assert [each.ahead for each in pair.differences] == ["first", "first", "second"]


def test_recipes_with_kept_answers_are_tested_as_compare_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    found: dict[tuple[str, int], Any] = {}
    for size, skill in zip(SIZES, (0.7, 0.8, 0.9), strict=True):
        for recipe, better in (("full", 0.0), ("lora", 0.06)):
            for seed in range(3):
                right = rng.random(200) < skill + better
                path = fabricate(
                    tmp_path, f"{recipe}-n{size}", seed, float(right.mean()), method=recipe,
                    comparability={"split": str(size)},
                )  # fmt: skip
                keep(path, right.tolist())
                found.setdefault((recipe, size), []).append(read_run(path))
    pair = size_curves(found).pairs[0]
    comparison = compare([tmp_path], all_pairs=True)
    verdicts = {v["label"]: v for v in comparison.verdicts} | {
        v["against"]: v for v in comparison.verdicts
    }
    for difference in pair.differences:
        verdict = verdicts[f"lora-n{difference.size}"]
        sign = 1 if verdict["label"].startswith("lora") else -1
        assert verdict["difference"] is not None and verdict["ci_high"] is not None
        assert verdict["ci_low"] is not None and difference.low is not None
        assert difference.estimate == pytest.approx(sign * verdict["difference"])
        ends = sorted((sign * verdict["ci_low"], sign * verdict["ci_high"]))
        assert (difference.low, difference.high) == pytest.approx(tuple(ends))


def test_what_is_kept_of_the_reference_is_tested_text_by_text(tmp_path: Path) -> None:
    """Each recipe answers alike with each seed, so that nothing varies but the texts."""
    rng, found = np.random.default_rng(4), {}
    linear = rng.random(200) < 0.7
    column = {OF_BASELINE.format("TF-IDF", "example_accuracy"): linear.astype(float).tolist()}
    known = {"references": {"TF-IDF": {"accuracy": float(linear.mean())}}}
    right = {recipe: rng.random(200) < 0.8 for recipe in ("full", "lora")}
    for recipe, hits in right.items():
        for seed in range(3):
            path = fabricate(tmp_path, recipe, seed, float(hits.mean()), replace=known)
            keep(path, hits.tolist(), **column)
            found.setdefault((recipe, 100), []).append(read_run(path))
    pair = next(each for each in size_curves(found).pairs if each.second == "TF-IDF")
    (difference,) = pair.differences
    expected = ttest_rel(right[pair.first].astype(float), linear.astype(float))
    assert difference.estimate == pytest.approx(right[pair.first].mean() - linear.mean())
    assert difference.p_adjusted == pytest.approx(expected.pvalue)
    assert (difference.low, difference.high) == pytest.approx(
        solved(*expected.confidence_interval())
    )


def test_crossings_are_interpolated_on_a_logarithmic_axis(tmp_path: Path) -> None:
    means = MEANS | {"lora": (0.55, 0.75, 1.00)}
    curves = size_curves(write(tmp_path / "runs", means))
    (pair,) = [each for each in curves.pairs if each.second == "full"]
    # As far below at 400 as above at 1,600: in the middle of the two, by their logarithms.
    assert pair.crossings == pytest.approx([800.0])
    said = sentences(curves)[0]
    assert said.startswith(
        "lora passes full at about 800 examples by the means; below that full is ahead, above it "
        "lora; significantly ahead: lora with 1,600 and full with 100 and 400"
    )


def test_sentences_say_which_side_is_ahead_and_what_is_uncertain(curves: SizeCurves) -> None:
    by_pair = dict(zip([(p.first, p.second) for p in curves.pairs], sentences(curves), strict=True))
    assert by_pair["lora", "full"].startswith("lora falls behind full at about 800 examples")
    assert "below that lora is ahead, above it full" in by_pair["lora", "full"]
    alone = by_pair["lora", "TF-IDF"]
    assert alone.startswith("lora is ahead of TF-IDF at every size by the means, most with 100 exa")
    assert "(20.0 points)" in alone


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    curves = size_curves(write(tmp_path / "runs", MEANS, seeds=1))
    assert {d.ahead for pair in curves.pairs for d in pair.differences} == {"undecided"}
    assert all("even the order is uncertain" in text for text in sentences(curves))
    assert any("one seed somewhere" in note for note in curves.notes)


def test_lower_is_better_turns_the_sides(tmp_path: Path) -> None:
    found: dict[tuple[str, int], Any] = {}
    for recipe, values in (("full", (30.0, 20.0)), ("lora", (25.0, 22.0))):
        for size, value in zip(SIZES, values, strict=False):
            for seed in range(4):
                scores = {"test": {"perplexity": value + NOISE[seed] + OWN[recipe][seed]}}
                path = fabricate(
                    tmp_path, f"{recipe}-n{size}", seed, method=recipe,
                    replace={"metrics": scores, "references": {},
                             "selected": {"metric": "perplexity"}},
                )  # fmt: skip
                found.setdefault((recipe, size), []).append(read_run(path))
    curves = size_curves(found)
    assert [each.ahead for each in curves.pairs[0].differences] == ["first", "second"]
    assert sentences(curves)[0].startswith("lora falls behind full at about")
    assert "lower is better" in tables(curves)[0].title


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    runs = write(tmp_path / "runs", MEANS)
    (runs["lora", 400][0].path / "result.json").unlink()
    again = {key: [read_run(run.path) for run in several] for key, several in runs.items()}
    curves = size_curves(again)
    assert any("1 of 24 runs have not finished" in note for note in curves.notes)
    assert len(curves.of("lora")[400].scores) == 3
    with pytest.raises(UsageError, match="Did you mean lora"):
        size_curves(runs, baseline="lor")
    with pytest.raises(UsageError, match="no run has the metric 'x'"):
        size_curves(runs, metric="x")
    with pytest.raises(UsageError, match="no run of the curve has finished"):
        size_curves({("lora", 100): []})


def test_tables_csv_and_picture_have_every_size(curves: SizeCurves) -> None:
    scores, differences = tables(curves)
    assert scores.headers[1:] == ["100 examples", "400 examples", "1,600 examples"]
    assert [line[0].text for line in scores.lines] == curves.names
    assert differences.lines[0][2].text.endswith("*")
    kinds = [line["kind"] for line in csv_lines(curves)]
    assert (kinds.count("recipe"), kinds.count("reference")) == (6, 6)
    (picture,) = pictures(curves)
    assert "lora 0.900 with 1600" in picture.alt
    assert picture.chart.to_dict()["layer"][0]["encoding"]["x"]["axis"]["values"] == [*SIZES]
