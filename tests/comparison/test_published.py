"""Fabricated runs beside the published numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from tests.comparison.fabricated_runs import fabricate
from workbench.cli import main
from workbench.comparison import compare
from workbench.comparison.published import Match, compare_with_papers

PARAMETERS = {"trainable": 887_042, "head": 592_130, "adapter": 294_912, "total": 125_532_674}
SETTINGS: dict[str, Any] = {
    "model": {"source": "FacebookAI/roberta-base", "max_length": 512},
    "data": {
        "source": "nyu-mll/glue",
        "config": "rte",
        "splits": {"train": "train", "test": "validation"},
    },
    "method": {"alpha": 8.0},
    "training": {
        "epochs": 10.0,
        "batch_size": 32,
        "learning_rate": 5e-4,
        "warmup_ratio": 0.06,
        "lr_scheduler": "linear",
    },
}


def glue(runs: Path, seed: int, accuracy: float, **changes: Any) -> None:
    """A run of LoRA on RTE by RoBERTa-base."""
    settings = {**SETTINGS, **changes.pop("settings", {})}
    fabricate(
        runs,
        changes.pop("recipe", "lora"),
        seed,
        accuracy,
        study="glue-rte",
        settings=settings,
        parameters=PARAMETERS,
        **changes,
    )


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def only(runs: Path) -> Match:
    (match,) = compare_with_papers(compare([runs])).matches
    return match


def test_a_matching_run_stands_beside_its_number(runs: Path) -> None:
    values = [0.78, 0.80, 0.82]
    for seed, value in enumerate(values):
        glue(runs, seed, value)
    match = only(runs)
    assert (match.published, match.published_spread) == (86.6, 0.7)
    assert (match.column, match.metric, match.seeds) == ("RTE", "accuracy", 3)
    assert match.ours == pytest.approx(80.0) and match.difference == pytest.approx(-6.6)
    # Wilson's: where (p - mean)^2 = t^2 p (1 - p) / n, with the n that such seeds are worth.
    n = 0.8 * 0.2 / scipy.stats.sem(values) ** 2
    square = scipy.stats.t.ppf(0.975, 2) ** 2
    low, high = sorted(100 * np.roots([1 + square / n, -2 * 0.8 - square / n, 0.8**2]))
    assert (match.ours_low, match.ours_high) == (pytest.approx(low), pytest.approx(high))
    assert match.holds is False and high < 86.6
    assert match.published_trainable == "0.3M" and match.trainable_agrees
    assert (match.trainable_parameters, match.trainable_with_head) == (294_912, 887_042)
    assert match.setup_differs == {"training.epochs": [80, 10.0]}
    assert match.notes[0].startswith("starts from the MNLI adapter")
    assert any("best epoch" in note for note in match.notes)

    text = compare_with_papers(compare([runs])).text()
    for part in ("86.6 ± 0.7, 0.3M trained", "80 [74.6, 84.5] (95% interval, 3 seeds)",
                 "294,912 trained", "difference -6.60", "outside our 95% interval",
                 "training.epochs 80, ours 10.0",
                 "arXiv:2106.09685, table 2"):  # fmt: skip
        assert part in " ".join(text.split()), part


def test_a_reproduction_that_holds_says_so(runs: Path) -> None:
    for seed, value in enumerate([0.85, 0.87, 0.88]):
        glue(runs, seed, value)
    assert only(runs).holds is True
    assert "lies in our 95% interval" in compare_with_papers(compare([runs])).text()


def test_a_run_on_a_sliver_of_the_data_says_so(runs: Path) -> None:
    data = {"train_size": 96, "test_size": 160, "splits": None}
    for seed, value in enumerate([0.85, 0.87, 0.88]):
        settings = {"data": SETTINGS["data"] | data}
        settings["training"] = SETTINGS["training"] | {"max_steps": 8}
        glue(runs, seed, value, settings=settings)
    match = only(runs)
    assert match.notes[:3] == [
        "tested on texts cut from another split, not on the published validation",
        "trained on a part of the texts only (data.train_size: 96)",
        "trained for 8 steps, however many epochs that is",
    ]
    assert match.setup_differs == {}
    text = " ".join(compare_with_papers(compare([runs])).text().split())
    assert "note tested on texts cut from another split" in text
    assert "the published ± is as printed; ours is a 95% interval over seeds" in text


def test_seeds_that_tie_decide_nothing(runs: Path) -> None:
    for seed in range(3):
        glue(runs, seed, 0.87)
    assert only(runs).holds is None
    text = " ".join(compare_with_papers(compare([runs])).text().split())
    assert "the same score with every seed, so no interval" in text and "one seed" not in text


def test_one_seed_decides_nothing(runs: Path) -> None:
    glue(runs, 0, 0.866)
    match = only(runs)
    assert match.holds is None and match.ours_low is None
    assert "one seed, so no interval" in compare_with_papers(compare([runs])).text()


@pytest.mark.parametrize(
    "settings",
    [
        {"model": {"source": "asset:minilm-l6"}},
        {"data": {"source": "nyu-mll/glue", "config": "wnli"}},
        {"data": {"source": "./glue", "config": "rte"}},
        {"data": {"source": "nyu-mll/glue", "config": None}},
    ],
)
def test_another_model_or_data_is_no_match(runs: Path, settings: dict[str, Any]) -> None:
    glue(runs, 0, 0.8, settings=settings)
    beside = compare_with_papers(compare([runs]))
    assert beside.matches == [] and beside.unmatched == ["lora"]
    assert "no published number here for lora" in beside.text()
    assert "FacebookAI/roberta-base, method lora: MNLI" in beside.text()


def test_another_method_or_metric_is_no_match(runs: Path) -> None:
    glue(runs, 0, 0.8, recipe="prompt")
    metrics = {"test": {"f1": 0.8}, "validation": {}}
    glue(runs, 0, 0.8, replace={"metrics": metrics}, recipe="lora")
    beside = compare_with_papers(compare([runs]))
    assert beside.matches == [] and sorted(beside.unmatched) == ["lora", "prompt"]


def test_the_command_shows_table_and_json(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1):
        glue(runs, seed, 0.8 + seed / 100)
    assert main(["compare", "--published", "--json", str(runs)]) == 0
    document = json.loads(capsys.readouterr().out)
    (match,) = document["matches"]
    assert match["published"] == 86.6 and match["seeds"] == 2 and document["unmatched"] == []
    assert main(["compare", "--published", str(runs)]) == 0
    assert "RTE, accuracy" in capsys.readouterr().out
    assert main(["compare", "--published", "--format", "latex", str(runs)]) == 2
    assert "use table or json" in capsys.readouterr().err


def test_a_hostile_name_is_printed_and_nothing_more(runs: Path) -> None:
    glue(runs, 0, 0.8, recipe="lora", replace={"recipe": "lo\x1b[31mra"})
    assert "\x1b" not in compare_with_papers(compare([runs])).text()
