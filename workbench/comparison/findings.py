"""What was found of one row, for tables that have a line for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from workbench.comparison.pareto import Standing
from workbench.comparison.rows import Row
from workbench.comparison.verdicts import Conclusion, Verdict


class Finding(TypedDict):
    """The verdict on a row against its baseline; numbers are the row minus what it is held to."""

    verdict: Conclusion
    against: str
    metric: str
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p_adjusted: float | None


_TURNED: dict[Conclusion, Conclusion] = {"better": "worse", "worse": "better"}


def finding_of(verdicts: Sequence[Verdict], row: Row) -> Finding | None:
    """What was found of a row against its baseline, or against the one other row that there is.

    None where that pair was not tested. Of all pairs a pair may have been tested the other way
    round; it is turned then.
    """
    own = [v for v in verdicts if v["group"] == row["group"]]
    pairs = [(row["label"], row["baseline"]), (row["baseline"], row["label"])]
    for verdict in own:
        pair = verdict["label"], verdict["against"]
        if pair == pairs[0] or (len(own) == 1 and not row["baseline"] and pair[0] == row["label"]):
            return _finding(verdict)
        if pair == pairs[1]:
            return _turned(verdict)
    return None


def standing_of(standings: Sequence[Standing], row: Row) -> Standing | None:
    """Where a row stands to the Pareto front, where one was drawn."""
    own = row["group"], row["label"]
    return next((s for s in standings if (s["group"], s["label"]) == own), None)


def _finding(verdict: Verdict) -> Finding:
    return {
        "verdict": verdict["conclusion"],
        "against": verdict["against"],
        "metric": verdict["metric"],
        "difference": verdict["difference"],
        "ci_low": verdict["ci_low"],
        "ci_high": verdict["ci_high"],
        "p_adjusted": verdict["p_adjusted"],
    }


def _turned(verdict: Verdict) -> Finding:
    return {
        **_finding(verdict),
        "verdict": _TURNED.get(verdict["conclusion"], verdict["conclusion"]),
        "against": verdict["label"],
        "difference": _minus(verdict["difference"]),
        "ci_low": _minus(verdict["ci_high"]),
        "ci_high": _minus(verdict["ci_low"]),
    }


def _minus(number: float | None) -> float | None:
    return None if number is None else -number
