"""Scores of items that are made up."""

from __future__ import annotations

import numpy as np

from workbench.comparison.items import ItemScores


def scores(values: list[list[float]] | np.ndarray) -> ItemScores:
    array = np.array(values, dtype=float)
    ids = tuple(map(str, range(array.shape[1])))
    right = bool(np.isin(array, (0, 1)).all())
    return ItemScores(values=array, ids=ids, right_or_wrong=right, share=right)


def drawn(seed: int, runs: int, items: int, rate: float = 0.9) -> ItemScores:
    return scores((np.random.default_rng(seed).random((runs, items)) < rate).astype(float))
