"""The answer in front of a comparison: each branch of its rule, from verdicts written by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fabricated_runs import WriteRun

from workbench.comparison import Verdict, compare
from workbench.comparison.answer import answer
from workbench.comparison.result import Group
from workbench.comparison.schema import Answer, Conclusion

SIZES = {"full": 22_714_757, "lora": 75_653, "prefix": 94_085, "prompt": 9_605}
MEMORY = {"full": 512_000_000}
TFIDF = "TF-IDF + logistic regression"


@pytest.fixture
def write(run: WriteRun, runs: Path) -> Any:
    """Writes recipes with their scores by seed, and returns their group."""

    def written(
        scores: dict[str, tuple[float, ...]],
        references: dict[str, float] | None = None,
        metric: str = "accuracy",
        memory: int | None = None,
        **more: Any,
    ) -> Group:
        known = {name: {metric: score} for name, score in (references or {}).items()}
        for recipe, values in scores.items():
            for seed, value in enumerate(values):
                run(
                    recipe,
                    seed,
                    parameters={"trainable": SIZES[recipe]},
                    memory={"peak_memory_bytes": memory or MEMORY.get(recipe, 256_000_000)},
                    replace={"metrics": {"test": {metric: value}}, "references": known},
                    **more,
                )
        (group,) = compare([runs]).groups()
        return group

    return written


def verdict(group: Group, label: str, conclusion: Conclusion, *ci: float, **more: Any) -> Verdict:
    """The verdict on a row against full: the difference and both ends of its interval."""
    found = group.verdict_between(label, "full")
    assert found is not None
    difference, low, high = ci or (None, None, None)
    numbers: Any = {"difference": difference, "ci_low": low, "ci_high": high, "limit": None, **more}
    return {**found, "conclusion": conclusion, **numbers}


def said(group: Group, *verdicts: Verdict, warnings: list[str] | None = None) -> Answer:
    return answer(replace(group, verdicts=list(verdicts)), warnings or [])


THREE = (0.9, 0.91, 0.92)


def test_the_cheapest_match_is_named_with_what_it_saves(write: Any) -> None:
    group = write({name: THREE for name in SIZES}, {TFIDF: 0.5})
    found = said(
        group,
        verdict(group, "lora", "unclear", 0.002, -0.0111, 0.0153),
        verdict(group, "prefix", "same", 0.001, -0.004, 0.006),
        verdict(group, "prompt", "worse", -0.113, -0.169, -0.057),
    )
    assert found["text"] == (
        "lora matches full to within 1.6 points with 1/300 of the trained parameters and half of "
        "the memory, as does prefix; prompt is worse (-11.3 points, 95% CI -16.9 to -5.7); all of "
        f"them beat {TFIDF} (0.500)."
    )
    assert found["standings"]["matches"] == ["lora", "prefix"]
    assert (found["baselines"], found["standings"]["worse"]) == (["full"], ["prompt"])


def test_a_better_recipe_comes_first(write: Any) -> None:
    group = write({"full": THREE, "lora": (0.95, 0.96, 0.97), "prefix": (0.94, 0.95, 0.96)})
    found = said(
        group,
        verdict(group, "lora", "better", 0.05, 0.02, 0.08),
        verdict(group, "prefix", "better", 0.04, 0.01, 0.07),
    )
    assert found["text"] == (
        "lora is better than full (+5.0 points, 95% CI 2.0 to 8.0) with 1/300 of the trained "
        "parameters and half of the memory, as is prefix."
    )


def test_where_all_are_worse_the_best_of_them_has_its_cost(write: Any) -> None:
    group = write({"full": THREE, "lora": (0.8, 0.81, 0.82), "prompt": (0.7, 0.71, 0.72)})
    found = said(
        group,
        verdict(group, "lora", "worse", -0.1, -0.12, -0.08),
        verdict(group, "prompt", "worse", -0.2, -0.22, -0.18),
    )
    assert found["text"] == (
        "lora and prompt are worse than full (by 10.0 and 20.0 points), lora with 1/300 of the "
        "trained parameters and half of the memory."
    )


def test_an_interval_that_reaches_far_decides_nothing_and_says_what_would(write: Any) -> None:
    group = write({"full": THREE, "lora": THREE}, {TFIDF: 0.912})
    needs = {"limit": "seeds", "seeds_needed": 21, "needed_range": [12, 40]}
    found = said(group, verdict(group, "lora", "unclear", 0.019, -0.02, 0.057, **needs))
    assert found["text"] == (
        "lora cannot be told from full (the interval leaves open up to 5.7 points); neither "
        f"clearly beats {TFIDF} (0.912). Detecting 1 point takes 12 to 40 seeds."
    )
    assert found["standings"]["undecided"] == ["lora"]


def test_what_says_nothing_is_given_no_number(write: Any) -> None:
    group = write({"full": THREE, "lora": THREE})
    wide = (-0.2, -0.79, 0.56)
    for limit, words in (
        ("seeds", "these seeds scatter too much to say anything"),
        ("items", "there are too few test items to say anything"),
    ):
        found = said(group, verdict(group, "lora", "unclear", *wide, limit=limit))
        assert found["text"].startswith(f"lora cannot be told from full ({words}).")


def test_an_interval_that_says_something_is_not_hidden_by_one_that_does_not(write: Any) -> None:
    group = write({"full": THREE, "lora": THREE, "prompt": (0.3, 0.31, 0.32)}, {TFIDF: 0.7})
    found = said(
        group,
        verdict(group, "lora", "unclear", 0.019, -0.066, 0.102),
        verdict(group, "prompt", "unclear", -0.192, -0.57, 0.256, limit="seeds"),
    )
    assert found["text"] == (
        "lora cannot be told from full (the interval leaves open up to 10.2 points); prompt cannot "
        "be told from full (these seeds scatter too much to say anything); only lora and full "
        f"clearly beat {TFIDF} (0.700), which beats prompt. Detecting 1 point takes far more seeds "
        "than is practical."
    )


def test_a_row_whose_own_interval_leaves_out_0_is_no_match(write: Any) -> None:
    group = write({"full": THREE, "lora": THREE})
    found = said(group, verdict(group, "lora", "hint", -0.006, -0.011, -0.001))
    assert found["standings"]["undecided"] == ["lora"] and "matches" not in found["text"]


def test_a_match_that_costs_more_is_no_headline(write: Any) -> None:
    group = write({"full": THREE, "lora": THREE, "prompt": THREE}, memory=256_000_000)
    for row in group.rows:
        row["trainable_parameters"] = {"full": 1000, "lora": 2000, "prompt": 8000}[row["label"]]
    found = said(
        group,
        verdict(group, "lora", "unclear", 0.002, -0.01, 0.0153),
        verdict(group, "prompt", "worse", -0.113, -0.169, -0.057),
    )
    assert found["text"] == (
        "prompt is worse than full (-11.3 points, 95% CI -16.9 to -5.7) with 8 times the trained "
        "parameters; lora matches full to within 1.6 points at a higher cost."
    )


def test_one_run_each_says_nothing_of_methods(write: Any) -> None:
    group = write({"full": (0.9,), "lora": (0.95,)}, {TFIDF: 0.99})
    assert answer(group)["text"] == (
        "One run each, so nothing can be said of methods: lora has the best accuracy, and another "
        "seed may change that (run three at least)."
    )


def test_a_recipe_of_one_run_beside_several_needs_more(write: Any) -> None:
    group = write({"full": THREE, "lora": (0.95,)})
    assert answer(group)["text"] == "lora is not tested against full. lora needs more seeds."


def test_a_recipe_of_one_run_neither_beats_a_reference_nor_is_beaten(write: Any) -> None:
    group = write({"full": THREE, "lora": (0.1,)}, {TFIDF: 0.5})
    assert f"; full beats {TFIDF} (0.500). lora needs more seeds." in answer(group)["text"]


def test_where_nothing_was_learned_nothing_is_compared(write: Any) -> None:
    references = {"majority class": 0.95, TFIDF: 0.96}
    group = write({"full": THREE, "lora": THREE}, references)
    assert answer(group)["text"] == (
        "Nothing was learned, so there is nothing to compare: each recipe is no better than "
        "majority class (0.950)."
    )


def test_who_learned_nothing_is_named_beside_the_others(write: Any) -> None:
    scores = {"full": (0.97, 0.98, 0.99), "lora": THREE}
    group = write(scores, {"majority class": 0.95})
    found = answer(group)
    assert "; lora learned nothing; " in f"; {found['text']}" and "matches" not in found["text"]
    assert found["standings"]["learned_nothing"] == ["lora"]


def test_seeds_that_collapsed_and_unequal_budgets_are_minded(write: Any) -> None:
    group = write({"full": THREE, "lora": (0.9, 0.91, 0.3)}, {"majority class": 0.4})
    found = said(
        group,
        verdict(group, "lora", "same", 0.0, -0.001, 0.001),
        warnings=["DIFFERENT TRAINING BUDGETS: lora with 1 step", "one seed only"],
    )
    assert found["text"].endswith(
        " 1 of 3 seeds of lora collapsed; mind the different training budgets."
    )


def test_of_a_perplexity_it_is_the_ratio_that_matches(write: Any) -> None:
    references = {"base model (zero-shot)": 60.0}
    group = write({"full": (20.0, 21.0), "lora": (21.0, 22.0)}, references, "perplexity")
    ratio = {"ratio": 1.05, "ratio_low": 0.98, "ratio_high": 1.123, "margin": 1.0}
    found = said(group, verdict(group, "lora", "unclear", 1.0, -0.4, 2.5, **ratio))
    assert found["text"].startswith("lora matches full to within 13% with 1/300 of the trained ")
    assert found["text"].endswith("; both beat base model (zero-shot) (60.00).")
    worse = {"ratio": 1.97, "ratio_low": 1.5, "ratio_high": 2.6}
    text = said(group, verdict(group, "lora", "worse", 20.0, 10.0, 32.0, **worse))["text"]
    assert text.startswith(
        "lora is worse than full (1.97 times the perplexity, 95% CI 1.50 to 2.60) with 1/300"
    )


def test_of_an_error_the_lowest_is_the_best(write: Any) -> None:
    group = write({"full": (0.9,), "lora": (0.5,)}, metric="mean_squared_error")
    assert "lora has the best mean_squared_error" in answer(group)["text"]


def test_a_group_without_a_baseline_is_not_judged(run: WriteRun, runs: Path) -> None:
    for recipe, score in (("lora", 0.9), ("prefix", 0.8), ("prompt", 0.7)):
        for seed in range(2):
            run(recipe, seed, score + seed / 100, replace={"references": {}})
    (found,) = compare([runs]).answer
    assert found["baselines"] == [] and found["text"] == (
        "lora has the best mean accuracy, but nothing is tested, so that may be chance."
    )
    (of_all_pairs,) = compare([runs], all_pairs=True).answer
    assert of_all_pairs["baselines"] == ["lora"]


def test_one_recipe_alone_is_set_against_the_references(run: WriteRun, runs: Path) -> None:
    for seed in range(3):
        known = {"references": {TFIDF: {"accuracy": 0.5}}}
        run("lora", seed, 0.9 + seed / 100, replace=known)
    assert compare([runs]).answer[0]["text"] == (
        f"lora is alone, so nothing can be said of methods; it beats {TFIDF} (0.500)."
    )


def test_groups_that_must_not_be_compared_have_an_answer_each(run: WriteRun, runs: Path) -> None:
    for study in ("a", "b"):
        for seed in range(3):
            run("lora", seed, study=study, comparability={"data": study})
    comparison = compare([runs])
    assert [each["group"] for each in comparison.answer] == [1, 2]
    lines = comparison.to("markdown").split("\n\n")[:2]
    assert [line[:9] for line in lines] == ["Group 1: ", "Group 2: "]


def test_every_readable_format_begins_with_the_answer(study: None, runs: Path) -> None:
    comparison = compare([runs])
    (found,) = comparison.answer
    text = found["text"]
    assert " ".join(comparison.to("table", width=80).split()).startswith(text)
    assert comparison.to("markdown").replace("\\", "").startswith(text)
    assert comparison.to("latex").splitlines()[1] == f"% {text}"
    assert json.loads(comparison.to("json"))["answer"] == [found]
    assert len(text) < 400


def test_rows_of_several_baselines_are_all_answered_for(run: WriteRun, runs: Path) -> None:
    for recipe, score in (("full", 0.9), ("lora", 0.8)):
        for seed in range(6):
            policy = {"dropout": None if seed > 2 else 0.0}
            change = (seed % 3 - 1) / (500 if recipe == "full" else 1000)
            run(recipe, seed, score + change, policy=policy, replace={"references": {}})
    (found,) = compare([runs]).answer
    assert len(found["baselines"]) == 2 and len(found["standings"]["worse"]) == 2
    for dropout in ("no dropout", "the model's own dropout"):
        assert f"lora [{dropout}] is worse than full [{dropout}] (-10.0 points" in found["text"]
    assert found["text"].endswith("mind the different training.")


def test_a_baseline_that_learned_nothing_is_matched_by_nobody(write: Any) -> None:
    group = write({"full": (0.5, 0.5, 0.5), "lora": (0.5, 0.51, 0.53)}, {"majority class": 0.5})
    found = said(group, verdict(group, "lora", "trivial", 0.01, -0.01, 0.02))
    assert found["standings"]["matches"] == [] and "full learned nothing" in found["text"]
