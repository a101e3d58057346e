"""What a reader is told before believing a difference."""

from pathlib import Path

import pytest
from fabricated_runs import WriteRun

from workbench.comparison import compare
from workbench.comparison.pareto import pareto


@pytest.mark.parametrize(
    ("key", "words"),
    [("data", "data"), ("split", "splits"), ("base", "base models"), ("tokenisation",) * 2]
    + [("metrics", "versions of the metrics"), ("something", "something")],
)
def test_rows_under_other_conditions_stand_apart(
    run: WriteRun, runs: Path, key: str, words: str
) -> None:
    for seed in (0, 1):
        run("full", seed, 0.96 + seed / 1000)
        run("lora", seed, 0.95 + seed / 500)
        run("prefix", seed, 0.99 - seed / 900, comparability={key: "another"})
    comparison = compare([runs])
    assert {row["label"]: row["group"] for row in comparison.rows} == {
        "full": 1,
        "lora": 1,
        "prefix": 2,
    }
    expected = (
        f"prefix is not comparable with full and lora: different {words}; shown apart, as groups "
        "2 and 1"
    )
    assert comparison.warnings == [expected]
    assert comparison.rows[-1]["baseline"] is None
    assert sum(r["group"] == 2 for r in comparison.references) == 2
    for format in ("table", "markdown", "latex"):
        text = comparison.to(format)
        assert text.index("Group 1") < text.index("Group 2") and "not comparable" in text


def test_seeds_under_other_conditions_are_not_averaged(run: WriteRun, runs: Path) -> None:
    run("lora", 0, 0.9)
    run("lora", 1, 0.5, comparability={"data": "edited"})
    comparison = compare([runs])
    assert [row["metrics"]["accuracy"]["values"] for row in comparison.rows] == [[0.9], [0.5]]
    assert len({row["label"] for row in comparison.rows}) == 2
    assert any("different data" in warning for warning in comparison.warnings)


def test_studies_on_other_data_get_one_sentence(run: WriteRun, runs: Path) -> None:
    for study in ("a", "b", "c"):
        for seed in (0, 1):
            run("lora", seed, study=study, comparability={"data": study})
    comparison = compare([runs])
    assert [row["group"] for row in comparison.rows] == [1, 2, 3]
    assert comparison.warnings == [
        "the studies differ in data, model or splits: compare within a group only"
    ]


def test_a_named_baseline_that_a_group_lacks_is_said(run: WriteRun, runs: Path) -> None:
    run("full", 0, study="a")
    run("lora", 0, study="b", comparability={"data": "other"})
    warnings = compare([runs], baseline="full").warnings
    assert "group 2 has no full: no differences are shown there" in warnings


def test_changed_recipes_have_their_own_rows(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1):
        run("lora", seed, 0.95 + seed / 500)
        run("lora", seed, 0.96 + seed / 1000, fingerprint="ab" * 32, settings={"method": {"r": 32}})
    comparison = compare([runs])
    assert [row["label"] for row in comparison.rows] == ["lora [r=32]", "lora [r=8]"]
    assert len(comparison.warnings) == 1
    assert comparison.warnings[0].startswith(
        "lora was run in 2 configurations (they differ in method.r): each has its own row"
    )


def test_an_ambiguous_baseline_gives_no_difference(run: WriteRun, runs: Path) -> None:
    run("full", 0)
    run("full", 0, fingerprint="ab" * 32, settings={"training": {"epochs": 9}})
    run("lora", 0)
    comparison = compare([runs])
    lora = next(row for row in comparison.rows if row["recipe"] == "lora")
    assert lora["baseline"] is None
    assert any("several rows are called full" in warning for warning in comparison.warnings)


def test_unequal_seeds_are_said(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1, 2):
        run("full", seed)
        run("lora", seed)
    for seed in (0, 1):
        run("prompt", seed)
    expected = "different seeds: full and lora with 0, 1 and 2; prompt with 0 and 1"
    assert compare([runs]).warnings == [expected]


def test_other_devices_compare_scores_but_not_costs(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1):
        run("full", seed)
        run(
            "lora",
            seed,
            policy={"device": "cuda", "device_name": "Test GPU"},
            comparability={"device": "cuda/bf16"},
        )
    comparison = compare([runs])
    assert {row["group"] for row in comparison.rows} == {1}
    assert comparison.warnings == [
        "time and memory are not comparable between these rows (scores are): full ran on cpu/bf16 "
        "on Test CPU; lora ran on cuda/bf16 on Test GPU"
    ]


@pytest.mark.parametrize("change", [{"device_name": "Other CPU"}, {"processes": 2}])
def test_time_and_memory_of_several_machines_are_not_averaged(
    run: WriteRun, runs: Path, change: dict[str, object]
) -> None:
    run("lora", 0, 0.9)
    run("lora", 1, 0.92, policy=change)
    comparison = compare([runs])
    row = comparison.rows[0]
    assert row["metrics"]["accuracy"]["mean"] == pytest.approx(0.91)
    assert row["train_seconds"] is row["peak_memory_bytes"] is row["steps_per_second"] is None
    assert row["per_seed"]["train_seconds"] == [8.4, 8.4]
    assert any("its time and memory are not averaged" in text for text in comparison.warnings)


def test_long_lists_are_shortened(run: WriteRun, runs: Path) -> None:
    for seed in range(7):
        run("lora", seed, state="failed")
    assert compare([runs]).warnings[0].endswith("and 3 more")


def test_other_budgets_are_said_loudly_and_stay_together(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1):
        for name, steps in (("full", 100), ("lora", 100), ("prompt", 500)):
            run(name, seed, time={"steps": steps, "examples_seen": 16 * steps})
    comparison = compare([runs])
    assert {row["group"] for row in comparison.rows} == {1}
    assert comparison.warnings == [
        "DIFFERENT TRAINING BUDGETS: full and lora with 1,600 examples in 100 steps; prompt with "
        "8,000 examples in 500 steps. A difference between them may be the budget's and not the "
        "method's"
    ]


def test_equal_or_unknown_budgets_need_no_word(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1):
        run("full", seed, time={"steps": 100, "examples_seen": 1600})
        run("lora", seed, time={"steps": 100, "examples_seen": 1600})
        run("prompt", seed)
    assert compare([runs]).warnings == []


def test_an_unknown_budget_hides_no_difference(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1):
        run("full", seed, time={"steps": 100, "examples_seen": 1600})
        run("lora", seed, time={"steps": 1000, "examples_seen": 16000})
        run("prompt", seed)
    (warning,) = compare([runs]).warnings
    assert "full with 1,600 examples in 100 steps" in warning
    assert "prompt with what is not known" in warning


@pytest.mark.parametrize(
    ("search", "steps", "words"),
    [
        (
            {"training.learning_rate": "0.001..0.1", "method.r": "4,8"},
            80,
            "full with 8 trials of training.learning_rate; lora with 8 trials of method.r and "
            "training.learning_rate",
        ),
        ({"training.learning_rate": "0.001..0.1"}, 9999, "full with 80 steps; lora with 9,999 st"),
        ({"training.learning_rate": "0.001..0.1"}, 76, ""),  # one of its trials diverged
    ],
)
def test_searches_of_as_many_trials_can_be_unequal(
    run: WriteRun, runs: Path, search: dict[str, str], steps: int, words: str
) -> None:
    tuned = {"trials": 8, "search": {"training.learning_rate": "0.001..0.1"}, "steps": 80}
    for seed in (0, 1):
        run("full", seed, tuning=tuned)
        run("lora", seed, tuning={"trials": 8, "search": search, "steps": steps})
    warnings = compare([runs]).warnings
    assert len(warnings) == bool(words)
    if words:
        assert words in warnings[0] and warnings[0].startswith("DIFFERENT TUNING")


def test_unequal_tuning_is_said(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1):
        run("full", seed, tuning=None)
        run("lora", seed, tuning={"trials": 20, "metric": "accuracy"})
    assert compare([runs]).warnings == [
        "DIFFERENT TUNING: full with none recorded; lora with 20 trials. What was searched longer "
        "looks better"
    ]


def test_forced_runs_are_named_with_what_had_changed(run: WriteRun, runs: Path) -> None:
    run("lora", 0)
    run("lora", 1, forced=["torch was 2.12.0, is 2.13.0"])
    assert compare([runs]).warnings == [
        "resumed by force after a change, so neither the old run nor a new one: lora seed 1 "
        "(torch was 2.12.0, is 2.13.0)"
    ]


CUDA = {"device": "cuda", "device_name": "Test GPU", "precision": "bf16", "dropout": None}


def test_runs_with_and_without_dropout_are_not_averaged(run: WriteRun, runs: Path) -> None:
    for recipe in ("full", "lora"):
        for seed in range(4):
            score = (0.9 if recipe == "full" else 0.8) + 0.05 * (seed > 1)
            run(recipe, seed, score, policy=CUDA if seed > 1 else {"dropout": 0.0})
    comparison = compare([runs])
    rows = {row["label"]: row for row in comparison.rows}
    assert set(rows) == {
        f"{recipe} [{dropout}]"
        for recipe in ("full", "lora")
        for dropout in ("no dropout", "the model's own dropout")
    }
    own = rows["lora [the model's own dropout]"]
    assert own["seeds"] == [2, 3] and own["metrics"]["accuracy"]["mean"] == pytest.approx(0.85)
    assert own["baseline"] == "full [the model's own dropout]"
    assert rows["lora [no dropout]"]["baseline"] == "full [no dropout]"
    (warning,) = [w for w in comparison.warnings if w.startswith("DIFFERENT TRAINING: ")]
    assert "training.dropout" in warning and "lora [no dropout] with no dropout" in warning


def test_precision_and_attention_alone_are_averaged(run: WriteRun, runs: Path) -> None:
    run("lora", 0, policy={"precision": "bf16", "attention": "eager", "dropout": 0.0})
    run("lora", 1, policy={"precision": "fp32", "attention": "sdpa", "dropout": 0.0})
    (row,) = compare([runs]).rows
    assert row["seeds"] == [0, 1]


def test_dropout_that_the_recipes_set_is_no_surprise(run: WriteRun, runs: Path) -> None:
    for recipe, dropout in (("lora", 0.0), ("wet", 0.2)):
        policy = {"dropout": dropout}
        run(recipe, 0, policy=policy, settings={"training": {"dropout": dropout}})
    comparison = compare([runs])
    assert not [w for w in comparison.warnings if "DIFFERENT TRAINING: " in w]
    assert {row["dropout"] for row in comparison.rows} == {"no dropout", "dropout 0.2"}


def test_times_measured_beside_other_runs_are_not_compared(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1):
        run("full", seed)
        run("lora", seed, time={"train_seconds": 4.2, "measured_beside": 1})
    comparison = compare([runs])
    full, lora = comparison.rows
    assert full["train_seconds"] == 8.4 and lora["train_seconds"] is None
    assert lora["steps_per_second"] is None and lora["tokens_per_second"] is None
    assert lora["peak_memory_bytes"] == full["peak_memory_bytes"], "which is the process's own"
    assert comparison.warnings == [
        "lora (2 runs) shared their device with other runs, so their times are not compared: run "
        "again without --parallel for a time"
    ]
    statuses = pareto(comparison.rows, ["metric", "train_seconds"])
    assert [each["status"] for each in statuses] == ["front", None]
