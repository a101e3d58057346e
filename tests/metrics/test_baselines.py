"""Scores of baselines, kept between runs."""

from __future__ import annotations

from workbench.metrics.baselines import Scores, cached


def test_they_are_computed_once_for_a_split() -> None:
    scores: Scores = {"majority class": {"accuracy": 0.5}}
    assert cached(("split", 1), lambda: scores) == scores
    assert cached(("split", 1), dict) == scores
    assert cached(("another split", 1), dict) == {}
