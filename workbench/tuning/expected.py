"""Expected validation performance of the best of k trials (Dodge et al. 2019, *Show your work*).

The best of k draws, with replacement, from the scores of the trials that there are: with how few
trials a method would have come as far. Scores are as ``workbench tune`` keeps them.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

CONFIDENCE = 0.95
MOST = 200
"""Trials up to which the curve goes."""


@dataclass(frozen=True, kw_only=True)
class ExpectedBest:
    trials: int
    mean: float
    deviation: float
    low: float
    high: float
    """Ends of the middle 95% of what the best of so many trials scores."""


def expected_best(scores: Sequence[float | None], *, higher: bool) -> list[ExpectedBest]:
    """For each number of trials up to those that there are, at most `MOST`; empty without a score.

    A trial without a score, as one that diverged, counts as one with the worst score.

    The best of k is at most v with the chance F(v)^k, F being the share of trials at most v.
    """
    sign = 1 if higher else -1
    known = [sign * score for score in scores if score is not None]
    if not known:
        return []
    filled = sorted([*known, *[min(known)] * (len(scores) - len(known))])
    values = [(value, len(list(same))) for value, same in groupby(filled)]
    found = []
    for trials in range(1, min(len(filled), MOST) + 1):
        below, seen = 0.0, 0
        chances = []
        for value, count in values:
            seen += count
            up_to = (seen / len(filled)) ** trials
            chances.append((value, up_to - below, up_to))
            below = up_to
        mean = math.fsum(value * chance for value, chance, _ in chances)
        spread = math.fsum((value - mean) ** 2 * chance for value, chance, _ in chances)
        ends = [
            sign * next(value for value, _, up_to in chances if up_to >= q - 1e-12)
            for q in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
        ]
        found.append(
            ExpectedBest(
                trials=trials,
                mean=sign * mean,
                deviation=math.sqrt(spread),
                low=min(ends),
                high=max(ends),
            )
        )
    return found


def as_documents(found: Sequence[ExpectedBest]) -> list[dict[str, Any]]:
    return [asdict(each) for each in found]


def shown_numbers(most: int) -> list[int]:
    """1, 2, 4, 8 and so on, and the last."""
    doubled = [2**k for k in range(most.bit_length()) if 2**k < most]
    return [*doubled, most] if most else []
