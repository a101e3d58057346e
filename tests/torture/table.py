"""What is said at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tests.torture.invariants import INVARIANTS, LOST_OR_TORN
from tests.torture.rows import Row
from tests.torture.running import Outcome


def print_table(
    rows: Sequence[Row], outcomes: Sequence[Outcome], seconds: float, prepared: float
) -> None:
    """A row for each event, then the sums, then what failed."""
    print("\n| row | event | tried | kills | I1 to I8 | row's claim | lost or torn | survivors |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        own = [each for each in outcomes if each.row == row.name]
        print(f"| {row.name} | {row.event} | {' | '.join(_cells(own))} |")
    print(f"| all | | {' | '.join(_cells(outcomes))} |\n")
    for name, words in INVARIANTS.items():
        print(f"{name}: {words}")
    kills = sum(each.kills for each in outcomes)
    each = f", {(seconds - prepared) / kills:.2f} s a kill with its resume" if kills else ""
    print(f"\n{seconds / 60:.1f} min, {prepared:.0f} s of them to prepare{each}")
    if fewer := [row.name for row in rows if row.share > 1]:
        print(f"{', '.join(fewer)} are tried less often: each trial takes many seconds")
    for outcome in outcomes:
        for claim, words in outcome.faults:
            print(f"\nFAILED {outcome.row} {outcome.index} {outcome.cell}, {claim}: {words}")


def _cells(outcomes: Sequence[Outcome]) -> list[str]:
    claims = [{claim for claim, _ in each.faults} for each in outcomes]
    failed = Counter(claim for each in claims for claim in each)
    invariants = ", ".join(f"{name} failed {failed[name]}" for name in INVARIANTS if failed[name])
    lost = sum(bool(each & LOST_OR_TORN) for each in claims)
    return [
        str(len(outcomes)),
        str(sum(each.kills for each in outcomes)),
        invariants or "held",
        f"failed {failed['own']}" if failed["own"] else "held",
        str(lost),
        str(sum(each.survivors for each in outcomes)),
    ]


def as_json(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Everything, for a file."""
    kills = sum(each.kills for each in outcomes)
    return {"seconds": seconds, "kills": kills, "trials": [asdict(each) for each in outcomes]}
