"""Recipes over several data sets; the numbers are those of rliable."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricated_runs import fabricate
from scipy.stats import mannwhitneyu

from workbench.analysis.across import compare_across
from workbench.analysis.across_text import csv_lines, sentences, tables
from workbench.analysis.seed_bootstrap import (
    estimate,
    improvement,
    interquartile_mean,
    mean,
    permutation_test,
    profile,
)
from workbench.charts.across import pictures
from workbench.cli import main
from workbench.errors import UsageError

LORA = np.array([
    [0.90, 0.52, 0.71, 0.33],
    [0.88, 0.61, 0.70, 0.41],
    [0.91, 0.47, 0.74, 0.29],
    [0.89, 0.58, 0.69, 0.37],
    [0.92, 0.55, 0.72, 0.35],
])  # fmt: skip
PROMPT = np.array([
    [0.87, 0.50, 0.73, 0.30],
    [0.90, 0.44, 0.68, 0.33],
    [0.86, 0.53, 0.66, 0.28],
    [0.88, 0.49, 0.71, 0.31],
    [0.85, 0.46, 0.69, 0.36],
])  # fmt: skip
"""Seeds down, data sets across. What follows was printed by rliable 1.2.0 on them (with scipy 1.17
and arch 7.2): metrics.aggregate_iqm and aggregate_mean with library.get_interval_estimates (50,000
samples), metrics.probability_of_improvement (20,000) and library.create_performance_profile at
0.3, 0.5, 0.7 and 0.9 (20,000)."""
IQM = {"lora": (0.629, 0.606, 0.651), "prompt": (0.589, 0.572, 0.606)}
MEAN = {"lora": (0.627, 0.612, 0.6415), "prompt": (0.5915, 0.5805, 0.603)}
IMPROVEMENT = (0.795, 0.64, 0.92)
PROFILE = [(0.95, 0.85, 1.0), (0.7, 0.6, 0.75), (0.4, 0.3, 0.5), (0.1, 0.0, 0.2)]
STUDIES = ("sst2", "cola", "rte", "mrpc")


def about(expected: tuple[float, float, float], ends: float) -> tuple[Any, ...]:
    """The value to the digit; percentiles of other samples as near as their number allows."""
    value, *interval = expected
    return (pytest.approx(value, abs=1e-12), *(pytest.approx(end, abs=ends) for end in interval))


def test_statistics_are_those_of_rliable() -> None:
    for name, scores in (("lora", LORA), ("prompt", PROMPT)):
        (found,) = estimate(interquartile_mean, scores, samples=50_000)
        assert found == about(IQM[name], 0.0011)
        (found,) = estimate(mean, scores, samples=50_000)
        assert found == about(MEAN[name], 0.0006)
    (found,) = estimate(improvement, LORA, PROMPT, samples=20_000)
    assert found == about(IMPROVEMENT, 0.0101)
    thresholds = np.array([0.3, 0.5, 0.7, 0.9])
    shares = estimate(profile(thresholds), LORA, samples=20_000)
    assert shares == [about(expected, 1e-12) for expected in PROFILE]


def test_improvement_counts_ties_for_half() -> None:
    assert improvement(LORA, LORA) == pytest.approx(0.5)


def test_permutation_test_is_that_of_wilcoxon_on_one_data_set() -> None:
    for column in range(4):
        one, other = LORA[:, [column]], PROMPT[:, [column]]
        exact = mannwhitneyu(one[:, 0], other[:, 0], method="exact").pvalue
        if len({*one[:, 0], *other[:, 0]}) == 10:  # scipy's exact p leaves ties out of account
            assert permutation_test(one, other) == pytest.approx(exact, abs=0.015)


def test_permutation_test_deals_out_the_runs_of_each_data_set() -> None:
    """Every way to deal out 3 and 3 runs on both of two data sets, counted."""
    one, other = LORA[:3, :2], PROMPT[:3, :2]
    pooled = np.concatenate([one, other])
    sides = list(itertools.combinations(range(6), 3))

    def wins(column: int, side: tuple[int, ...]) -> float:
        rest = [i for i in range(6) if i not in side]
        pairs = [(pooled[i, column], pooled[j, column]) for i in side for j in rest]
        return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / 9

    every = [(wins(0, a) + wins(1, b)) / 2 for a in sides for b in sides]
    found = (wins(0, (0, 1, 2)) + wins(1, (0, 1, 2))) / 2
    exact = sum(abs(each - 0.5) >= abs(found - 0.5) - 1e-9 for each in every) / len(every)
    assert permutation_test(one, other) == pytest.approx(exact, abs=0.01)


def test_permutation_test_holds_its_level_with_three_seeds() -> None:
    """500 studies without a difference; the percentiles call some 12% of them significant."""
    rng = np.random.default_rng(3)
    mean, spread = np.array([0.9, 0.55, 0.72, 0.35]), np.array([0.01, 0.04, 0.02, 0.03])
    draws = [mean + spread * rng.normal(size=(2, 3, 4)) for _ in range(500)]
    false = sum(permutation_test(*each, permutations=1000) <= 0.05 for each in draws) / 500
    assert 0.02 <= false <= 0.075  # 0.05, and two and a half standard errors


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Four studies, each with lora and prompt over five seeds, and no baseline."""
    return write(tmp_path / "runs", {"lora": LORA, "prompt": PROMPT}, references={})


def write(folder: Path, scores: dict[str, np.ndarray], references: dict[str, Any]) -> Path:
    for recipe, matrix in scores.items():
        for seed, row in enumerate(matrix):
            for study, score in zip(STUDIES, row, strict=False):
                fabricate(
                    folder,
                    recipe,
                    seed,
                    float(score),
                    study=study,
                    comparability={"data": study, "split": study},
                    replace={"references": references},
                )
    return folder


def test_compare_across_reads_studies_as_data_sets(runs: Path) -> None:
    found = compare_across([runs / study for study in STUDIES])
    assert [each.name for each in found.data_sets] == sorted(STUDIES)
    assert found.seeds == 5 and set(found.methods) == {"lora", "prompt"}
    for name in IQM:
        assert found.iqm[name] == about(IQM[name], 0.003)
        assert found.mean[name] == about(MEAN[name], 0.002)
    (pair,) = found.improvements
    assert (pair.method, pair.against, pair.higher_on) == ("lora", "prompt", 4)
    assert pair.probability == about(IMPROVEMENT, 0.021)
    (said,) = sentences(found)
    assert "probability 0.80" in said or "probability 0.79" in said
    assert said.endswith("lora is better on these data sets")
    assert pair.p_value is not None and pair.p_value == pair.p_adjusted < 0.01
    assert not any("Holm" in note for note in found.notes)
    assert not any("compare within a group" in note for note in found.notes)


def test_scores_are_normalised_by_the_weakest_baseline(tmp_path: Path) -> None:
    references = {"majority class": {"accuracy": 0.2}, "TF-IDF": {"accuracy": 0.6}}
    runs = write(tmp_path / "runs", {"lora": LORA, "prompt": PROMPT}, references)
    found = compare_across([runs], baseline="lora")
    assert {each.zero for each in found.data_sets} == {"majority class"}
    assert found.iqm["lora"].value == pytest.approx((0.629 - 0.2) / 0.8)
    assert [(p.method, p.against) for p in found.improvements] == [("prompt", "lora")]
    assert found.improvements[0].probability.value == pytest.approx(1 - 0.795)
    assert any("0 is majority class" in note for note in found.notes)


def test_fewer_seeds_somewhere_make_all_data_sets_count_alike(runs: Path) -> None:
    (folder,) = (runs / "cola").glob("lora-s4-*")
    (folder / "result.json").unlink()
    found = compare_across([runs])
    assert found.seeds == 4
    assert found.iqm["lora"].value == pytest.approx(float(interquartile_mean(LORA[:4])))
    assert any("the first 4 seeds" in note for note in found.notes)


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    runs = write(tmp_path / "runs", {"lora": LORA[:1], "prompt": PROMPT[:1]}, {})
    found = compare_across([runs])
    assert found.iqm["lora"].low is None
    assert "no interval" in sentences(found)[0]
    assert any("nothing is said of the methods" in note for note in found.notes)


def refusal(paths: list[Path], **asked: Any) -> str:
    with pytest.raises(UsageError) as caught:
        compare_across(paths, **asked)
    return str(caught.value)


def test_what_cannot_be_compared_is_refused_in_words(runs: Path) -> None:
    assert "1 data set, and --across takes two or more" in refusal([runs / "cola"])
    assert "Did you mean lora?" in refusal([runs], baseline="lor")
    for recipe in ("lora", "prompt"):
        fabricate(
            runs,
            recipe,
            study="wikitext",
            comparability={"data": "w"},
            replace={
                "metrics": {"test": {"perplexity": 26.9}, "validation": {}},
                "selected": {"metric": "perplexity"},
            },
        )
    text = refusal([runs])
    assert "cannot be put on one scale" in text and "perplexity (lower is better)" in text
    assert "cannot be put on one scale" in refusal([runs], metric="accuracy")
    fabricate(runs, "other", study="alone", comparability={"data": "a"})
    text = refusal([runs / "alone", runs / "cola"])
    assert "fewer than two recipes" in text and "other" in text


def test_a_study_of_several_groups_or_a_recipe_in_two_rows_is_refused(runs: Path) -> None:
    fabricate(
        runs, "lora", 9, 0.5, study="cola", fingerprint="e" * 64,
        comparability={"data": "cola", "split": "cola"}, replace={"references": {}},
    )  # fmt: skip
    assert "several rows of" in refusal([runs])
    fabricate(runs, "prompt", 9, 0.5, study="rte", comparability={"data": "new"})
    assert "the runs of rte are not comparable with each other" in refusal([runs])


def test_tables_and_csv_have_every_method_data_set_and_pair(runs: Path) -> None:
    found = compare_across([runs])
    scores, pairs = tables(found)
    assert scores.headers[3:] == [f"{study} (accuracy)" for study in sorted(STUDIES)]
    assert scores.lines[0][3].value == pytest.approx(LORA[:, 1].mean())
    assert pairs.lines[0][-1].text == "4 of 4"
    kinds = [line["kind"] for line in csv_lines(found)]
    assert kinds.count("method") == 2 and kinds.count("data set") == 8 and kinds.count("pair") == 1


def test_the_command_prints_every_format_and_writes_a_folder(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*arguments: object) -> str:
        assert main(["compare", *map(str, [runs, "--across", *arguments])]) == 0
        return capsys.readouterr().out

    assert "P(improvement)" in call()
    assert "**4 data sets, 5 seeds each**" in call("--format", "markdown")
    document = json.loads(call("--json"))
    assert [each["name"] for each in document["data_sets"]] == sorted(STUDIES)
    assert list(csv.DictReader(io.StringIO(call("--format", "csv"))))[0]["kind"] == "method"
    folder = tmp_path / "page"
    call("--output", folder)
    names = {path.name for path in folder.iterdir()}
    assert names >= {"across.json", "across.csv", "across.md", "performance-profile.svg"}
    assert "<svg" in (folder / "interquartile-means.svg").read_text()
    assert main(["compare", str(runs), "--across", "--published"]) == 2
    assert main(["compare", str(runs), "--output", str(folder)]) == 2
    assert main(["compare", str(runs), "--across", "--format", "latex"]) == 2


def test_charts_say_their_numbers(runs: Path) -> None:
    drawn = {picture.name: picture.alt for picture in pictures(compare_across([runs]))}
    assert set(drawn) == {"interquartile-means", "performance-profile"}
    assert all("lora 0.629" in alt for alt in drawn.values())
