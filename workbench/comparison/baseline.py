"""The row that the others of its group are held against."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from workbench.comparison.fairness import listing
from workbench.comparison.rows import Row, add_differences
from workbench.errors import UsageError

DEFAULT_BASELINE = "full"


def hold_against(rows: Sequence[Row], baseline: str | None) -> list[str]:
    """Sets the differences to the baseline in every group that has one; returns warnings."""
    name = baseline or DEFAULT_BASELINE
    known = {row["recipe"] for row in rows} | {f"{row['study']}/{row['recipe']}" for row in rows}
    if baseline and rows and not any(_answers_to(row, baseline) for row in rows):
        close = difflib.get_close_matches(baseline, sorted(known), 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(
            f"no finished run is of the baseline {baseline!r}",
            fix=f"{hint}The recipes are {', '.join(sorted({row['recipe'] for row in rows}))}.",
        )
    warnings: list[str] = []
    for group in sorted({row["group"] for row in rows}):
        members = [row for row in rows if row["group"] == group]
        candidates = [row for row in members if _answers_to(row, name)]
        if not candidates and baseline:
            warnings.append(f"group {group} has no {baseline}: no differences are shown there")
        for row in members:
            same_study = [c for c in candidates if c["study"] == row["study"]]
            choice = same_study or candidates
            if len(choice) == 1:
                add_differences(row, choice[0])
            elif choice:
                labels = listing([c["label"] for c in choice])
                warnings.append(
                    f"several rows are called {name} ({labels}), so no differences are shown in "
                    f"group {group}; name one with --baseline"
                )
    return list(dict.fromkeys(warnings))


def _answers_to(row: Row, name: str) -> bool:
    return name in (row["recipe"], row["label"], f"{row['study']}/{row['recipe']}")
