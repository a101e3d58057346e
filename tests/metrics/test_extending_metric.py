"""A metric is added by the two files that ARCHITECTURE.md lists, and by no fewer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.metrics.test_scores import test_every_metric_of_the_catalogue_is_computed as held
from workbench.metrics.per_example import example_columns
from workbench.metrics.scores import BY_EXAMPLE, score
from workbench.recipe.catalogue import METRICS, SINGLE, Metric, higher_is_better, is_share
from workbench.recipe.loading import build

ARCHITECTURE = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text(encoding="utf-8")
NAME = "share_of_zeros"
LINE = Metric(about="answers that are 0, 0 to 1", kinds=frozenset({SINGLE}), is_share=True)


def test_the_list_is_that_of_the_architecture_page() -> None:
    entry = ARCHITECTURE.partition("**A metric** is two files.")[2].partition("\n\n")[0]
    assert "(1) `recipe/catalogue.py`" in entry and "(2) `metrics/scores.py`" in entry
    assert "(3)" not in entry


def test_a_metric_by_the_list_is_taken_computed_and_kept_by_example(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METRICS, NAME, LINE)
    arithmetic = lambda right, answers: ([float(a == 0) for a in answers], None)  # noqa: E731
    monkeypatch.setitem(BY_EXAMPLE[SINGLE], NAME, arithmetic)
    held(SINGLE)
    task = {"name": "text-classification", "metrics": [NAME]}
    sources = {"model": {"source": "gpt2"}, "data": {"source": "imdb"}}
    recipe, problems = build({"task": task, **sources, "method": {"name": "lora"}})
    assert recipe is not None and not problems
    assert score([NAME], SINGLE, [0, 1, 0, 0], [1, 1, 0, 0]) == {NAME: 0.75}
    made = SimpleNamespace(
        spec=recipe.task,
        references=lambda encoded: [1, 1],
        table_rows=lambda encoded: np.arange(2),
    )
    assert example_columns(made, None, None, [0, 1], 2) == {  # type: ignore[arg-type]
        f"example_{NAME}": [1.0, 0.0]
    }
    assert higher_is_better(NAME) and is_share(NAME)


def test_a_metric_without_its_line_or_its_arithmetic_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(METRICS, NAME, LINE)
        with pytest.raises(AssertionError):
            held(SINGLE)
    monkeypatch.setitem(BY_EXAMPLE[SINGLE], NAME, BY_EXAMPLE[SINGLE]["accuracy"])
    with pytest.raises(AssertionError):
        held(SINGLE)
