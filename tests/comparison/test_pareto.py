"""The Pareto front, with what is not known about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fabricated_runs import WriteRun, keep

from workbench.comparison import Comparison, ParetoStatus, compare, pareto
from workbench.errors import UsageError


def row(
    run: WriteRun, name: str, scores: tuple[float, ...], parameters: int, **more: object
) -> None:
    for seed, score in enumerate(scores):
        run(name, seed, score, parameters={"trainable": parameters}, **more)


def standings(comparison: Comparison, *objectives: str) -> dict[str, ParetoStatus]:
    return {s["label"]: s for s in pareto(comparison.rows, objectives)}


BETWEEN = ("metric", "trainable_parameters")


def test_sure_and_unsure_standings(run: WriteRun, runs: Path) -> None:
    row(run, "full", (0.96, 0.961, 0.962), 1000)
    row(run, "bad", (0.80, 0.802, 0.801), 500)  # lora is surely better and smaller
    row(run, "lora", (0.959, 0.961, 0.963), 100)
    row(run, "prompt", (0.90, 0.903, 0.901), 10)
    found = standings(compare([runs]), *BETWEEN)
    assert {name: s["status"] for name, s in found.items()} == {
        "full": "possibly_dominated",  # lora is as good as it and smaller
        "bad": "dominated",
        "lora": "front",
        "prompt": "front",
    }
    assert found["bad"]["dominated_by"] == ["lora", "prompt"]
    assert found["full"]["possibly_dominated_by"] == ["lora"]
    assert found["full"]["on_front_by_means"] is False
    assert found["lora"]["values"] == {
        "metric": pytest.approx(0.961),
        "trainable_parameters": 100,
    }


@pytest.mark.parametrize("parameters, standing", [(1000, "dominated"), (10, "front")])
@pytest.mark.parametrize("better, worse", [("full", "lora"), ("lora", "full")])
def test_the_interval_of_the_difference_holds_in_both_directions(
    better: str, worse: str, parameters: int, standing: str, run: WriteRun, runs: Path
) -> None:
    row(run, better, (0.96, 0.961, 0.962), 100)
    row(run, worse, (0.80, 0.802, 0.801), parameters)
    found = {s["label"]: s for s in compare([runs], objectives=BETWEEN).pareto}
    assert (found[better]["status"], found[worse]["status"]) == ("front", standing)


def test_one_seed_never_makes_a_score_sure(run: WriteRun, runs: Path) -> None:
    """Although McNemar's test does tell the two adapters apart."""
    for name, right, parameters in (("full", 60, 1000), ("lora", 95, 100)):
        path = run(name, 0, right / 100, parameters={"trainable": parameters})
        keep(path, [True] * right + [False] * (100 - right))
    comparison = compare([runs], objectives=BETWEEN)
    assert [v["conclusion"] for v in comparison.verdicts] == ["run_better"]
    found = {s["label"]: s for s in comparison.pareto}
    assert (found["full"]["status"], found["lora"]["status"]) == ("possibly_dominated", "front")
    assert found["full"]["on_front_by_means"] is False


def test_equal_in_everything_exact_dominates_nobody(run: WriteRun, runs: Path) -> None:
    for name in ("one", "two"):
        row(run, name, (0.9, 0.91), 100)
    found = standings(compare([runs]), "trainable_parameters", "adapter_bytes")
    assert {s["status"] for s in found.values()} == {"front"}


def test_an_error_is_better_when_it_is_lower(run: WriteRun, runs: Path) -> None:
    for name, perplexity, parameters in (("full", 20.0, 1000), ("lora", 30.0, 2000)):
        for seed in range(3):
            luck = seed / 10 if name == "full" else seed / 20
            metrics = {"test": {"perplexity": perplexity + luck}, "validation": {}}
            more = {"metrics": metrics, "selected": None}
            run(name, seed, parameters={"trainable": parameters}, replace=more)
    found = standings(compare([runs]), "perplexity", "trainable_parameters")
    assert (found["full"]["status"], found["lora"]["status"]) == ("front", "dominated")


def test_memory_of_single_runs_decides_from_10_percent_on(run: WriteRun, runs: Path) -> None:
    for name, peak in (("full", 500), ("lora", 490), ("prompt", 300)):
        row(run, name, (0.9,), 100, memory={"peak_memory_bytes": peak})
    found = standings(compare([runs]), "trainable_parameters", "peak_memory_bytes")
    assert found["full"]["dominated_by"] == ["prompt"]
    assert found["full"]["possibly_dominated_by"] == ["lora"]
    assert found["prompt"]["status"] == "front"


def test_machines_are_not_ranked_by_their_time(run: WriteRun, runs: Path) -> None:
    gpu = {"comparability": {"device": "cuda/bf16"}}
    row(run, "full", (0.9, 0.91), 100, time={"train_seconds": 100.0})
    row(run, "lora", (0.9, 0.91), 100, time={"train_seconds": 1.0}, **gpu)
    found = standings(compare([runs]), "trainable_parameters", "train_seconds")
    assert {s["status"] for s in found.values()} == {"possibly_dominated"}
    assert all(s["on_front_by_means"] for s in found.values())


def test_a_row_without_a_value_has_no_standing(run: WriteRun, runs: Path) -> None:
    row(run, "full", (0.9, 0.91), 100, memory={"peak_memory_bytes": None})
    row(run, "lora", (0.9, 0.91), 100)
    found = standings(compare([runs]), "metric", "peak_memory_bytes")
    assert found["full"]["status"] is None and found["full"]["on_front_by_means"] is None
    assert found["lora"]["status"] == "front"


def test_groups_are_fronts_of_their_own(run: WriteRun, runs: Path) -> None:
    row(run, "full", (0.9, 0.91), 100)
    row(run, "lora", (0.5, 0.51), 1000, comparability={"data": "other"})
    assert {s["status"] for s in standings(compare([runs]), *BETWEEN).values()} == {"front"}


@pytest.mark.parametrize(
    ("objectives", "words"),
    [
        (["metric"], "two or three different objectives"),
        (["metric", "metric"], "two or three different objectives"),
        (["metric", "trainable_parameter"], "Did you mean trainable_parameters?"),
    ],
)
def test_objectives_that_are_none_are_refused(
    study: None, runs: Path, objectives: list[str], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        compare([runs], objectives=objectives)
    assert words in str(caught.value)


def test_the_column_is_there_when_asked_for(study: None, runs: Path) -> None:
    assert "Pareto" not in compare([runs]).to("table")
    comparison = compare([runs], objectives=BETWEEN)
    for format in ("table", "markdown", "latex"):
        text = comparison.to(format)
        assert (
            "Pareto, between metric, trainable" in text.replace("\\_", "_")
            and "possibly dominated" in text
        )
    assert compare([runs]).pareto_objectives == [
        *("metric", "trainable_parameters", "peak_memory_bytes")
    ]
