"""The row that the others of its group are compared with."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.comparison.rows import add_differences, grouped
from workbench.comparison.schema import Row
from workbench.errors import UsageError
from workbench.formatting import listing
from workbench.recipe.suggest import did_you_mean

DEFAULT_BASELINE = "full"


def set_baseline(rows: Sequence[Row], baseline: str | None) -> list[str]:
    """Sets the differences to the baseline in every group that has one; returns warnings."""
    name = baseline or DEFAULT_BASELINE
    known = {row["recipe"] for row in rows} | {f"{row['study']}/{row['recipe']}" for row in rows}
    if baseline and rows and not any(_is_called(row, baseline) for row in rows):
        recipes = ", ".join(sorted({row["recipe"] for row in rows}))
        raise UsageError(
            f"no finished run is of the baseline {baseline!r}",
            fix=f"{did_you_mean(baseline, sorted(known))} The recipes are {recipes}.".strip(),
        )
    warnings: list[str] = []
    for group, members in sorted(grouped(rows, lambda row: row["group"]).items()):
        candidates = [row for row in members if _is_called(row, name)]
        if not candidates and baseline:
            warnings.append(f"group {group} has no {baseline}: no differences are shown there")
        for row in members:
            same_study = [c for c in candidates if c["study"] == row["study"]]
            chosen = same_study or candidates
            if len(chosen) == 1:
                add_differences(row, chosen[0])
            elif chosen:
                labels = listing([c["label"] for c in chosen])
                warnings.append(
                    f"several rows are called {name} ({labels}), so no differences are shown in "
                    f"group {group}; name one with --baseline"
                )
    return list(dict.fromkeys(warnings))


def _is_called(row: Row, name: str) -> bool:
    return name in (row["recipe"], row["label"], f"{row['study']}/{row['recipe']}")
