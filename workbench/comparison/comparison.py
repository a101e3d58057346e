"""Reads finished runs and puts them side by side.

The way through: run folders -> checked records -> samples (the seeds of one recipe) -> groups of
samples whose scores may be compared -> rows, and warnings about everything a reader of the rows
could otherwise take for granted.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workbench.comparison import fairness, formats
from workbench.comparison.configuration import differing, distinct_labels
from workbench.comparison.records import Record, Scores, UnusableResult, read_record
from workbench.comparison.rows import (
    Reference,
    Row,
    Sample,
    add_differences,
    choose_primary,
    make_row,
    ordered,
)
from workbench.errors import UsageError
from workbench.store import DEFAULT_RUNS_DIR, Run, list_runs

DEFAULT_BASELINE = "full"
ROUNDING = 1e-3
"""Relative difference that two scores of the same reference may have."""


@dataclass(frozen=True)
class Comparison:
    """Recipes side by side. ``rows``, ``references`` and ``warnings`` are plain JSON values."""

    rows: list[Row]
    references: list[Reference]
    warnings: list[str]
    samples: list[Sample] = field(default_factory=list, repr=False, compare=False)

    def to(self, format: str, *, width: int | None = None) -> str:
        """The comparison as ``table``, ``markdown``, ``csv``, ``latex`` or ``json`` text.

        Args:
            format: one of the five names.
            width: columns of the terminal, for ``table``; None for the current terminal's.

        Raises:
            UsageError: when there is no such format.
        """
        if format == "table":
            from workbench.comparison.terminal import table

            return table(self, width)
        if format not in formats.RENDERERS:
            known = ["table", *formats.RENDERERS]
            raise UsageError(f"no format {format!r}", fix=f"use one of {', '.join(known)}")
        return formats.RENDERERS[format](self)

    def config_difference(self, group: int) -> dict[str, dict[str, object]]:
        """Dotted recipe keys whose values differ within a group, by key, then by row label."""
        members = [sample for sample in self.samples if sample.group == group]
        return differing({sample.label: sample.variant.settings for sample in members})


def compare(
    paths: Sequence[Path] = (DEFAULT_RUNS_DIR,), *, baseline: str | None = None
) -> Comparison:
    """Compares the finished runs below some folders, seeds of a recipe taken together.

    Args:
        paths: folders of runs, of one study, or single runs.
        baseline: recipe (or ``study/recipe``) that the others are held against; None for
            ``full`` where there is one.

    Raises:
        UsageError: when a path is not a folder or no finished run is of the baseline's recipe.
    """
    warnings: list[str] = []
    runs = _runs(paths)
    samples = _samples(_finished(runs, warnings), warnings)
    _assign_groups(samples)
    labels = distinct_labels([sample.variant for sample in samples])
    for sample, label in zip(samples, labels, strict=True):
        sample.label = label
    rows = [make_row(sample) for sample in samples]
    choose_primary(rows)
    for check in fairness.CHECKS:
        warnings += check(samples)
    warnings += _hold_against(rows, baseline)
    if not runs:
        warnings.append(f"no runs below {', '.join(str(path) for path in paths)}")
    references, disagreements = _references(samples)
    return Comparison(ordered(rows), references, warnings + disagreements, samples)


def _runs(paths: Sequence[Path]) -> list[Run]:
    found: dict[Path, Run] = {}
    for path in paths:
        if not path.is_dir():
            raise UsageError(
                "there is no such folder of runs",
                where=str(path),
                fix="name a folder that `workbench run` wrote, or run a recipe first",
            )
        for run in list_runs(path):
            found.setdefault(run.path.absolute(), run)
    return list(found.values())


def _finished(runs: Sequence[Run], warnings: list[str]) -> list[tuple[Run, Record]]:
    """The usable ones; the others are named or counted in ``warnings``."""
    usable: list[tuple[Run, Record]] = []
    left_out: dict[str, list[str]] = {}
    for run in runs:
        if run.state != "finished":
            left_out.setdefault(run.state, []).append(run.id)
            continue
        try:
            usable.append((run, read_record(run)))
        except UnusableResult as problem:
            warnings.append(f"{run.id} is left out: {problem}")
    warnings += [
        f"{fairness.number(ids, f'{state} run')} left out: {fairness.listing(ids)}"
        for state, ids in sorted(left_out.items())
    ]
    return usable


def _samples(finished: Sequence[tuple[Run, Record]], warnings: list[str]) -> list[Sample]:
    """One sample for each recipe, fingerprint and set of conditions, ordered by name."""
    cells: dict[tuple[object, ...], dict[int, tuple[Run, Record]]] = {}
    for run, record in sorted(finished, key=_when_ended):
        key = (record.study, record.recipe, record.fingerprint, record.conditions)
        seeds = cells.setdefault(key, {})
        if record.seed in seeds:
            # The same seed again is no further evidence: it would only narrow the interval.
            older = seeds[record.seed][0]
            warnings.append(f"{run.id} is there twice: {run.path} is used, {older.path} is not")
        seeds[record.seed] = (run, record)
    samples = []
    for seeds in cells.values():
        pairs = [seeds[seed] for seed in sorted(seeds)]
        samples.append(Sample([run for run, _ in pairs], [record for _, record in pairs]))
    return sorted(samples, key=lambda s: (s.first.study, s.first.recipe, s.first.fingerprint))


def _when_ended(finished: tuple[Run, Record]) -> tuple[float, str]:
    ended = finished[0].status.get("ended_at")
    return float(ended) if isinstance(ended, int | float) else 0.0, str(finished[0].path)


def _assign_groups(samples: Sequence[Sample]) -> None:
    """Numbers the sets of conditions from 1 on, largest first within the studies' order."""
    sizes: dict[object, int] = {}
    for sample in samples:
        sizes[sample.first.conditions] = sizes.get(sample.first.conditions, 0) + 1
    order = sorted(samples, key=lambda s: (s.first.study, -sizes[s.first.conditions]))
    numbers: dict[object, int] = {}
    for sample in order:
        sample.group = numbers.setdefault(sample.first.conditions, len(numbers) + 1)


def _hold_against(rows: Sequence[Row], baseline: str | None) -> list[str]:
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
                labels = fairness.listing([c["label"] for c in choice])
                warnings.append(
                    f"several rows are called {name} ({labels}), so no differences are shown in "
                    f"group {group}; name one with --baseline"
                )
    return list(dict.fromkeys(warnings))


def _answers_to(row: Row, name: str) -> bool:
    return name in (row["recipe"], row["label"], f"{row['study']}/{row['recipe']}")


def _references(samples: Sequence[Sample]) -> tuple[list[Reference], list[str]]:
    """The scores without fine-tuning of each group, and a warning where runs disagree on one."""
    found: dict[tuple[int, str], Reference] = {}
    disagreeing: dict[tuple[int, str], None] = {}
    for sample in sorted(samples, key=lambda s: s.group):
        for record in sample.records:
            for name, metrics in record.references.items():
                key = (sample.group, name)
                first = found.setdefault(
                    key, {"name": name, "group": sample.group, "metrics": dict(metrics)}
                )
                if not _agree(first["metrics"], metrics):
                    disagreeing[key] = None
    warnings = [
        f"runs of group {group} give different scores for the reference {name!r}: the first is "
        "shown"
        for group, name in disagreeing
    ]
    return list(found.values()), warnings


def _agree(one: Scores, other: Scores) -> bool:
    """Equal but for rounding: each machine scores an untouched base anew."""
    if one.keys() != other.keys():
        return False
    return all(
        math.isclose(a, b, rel_tol=ROUNDING) if a is not None and b is not None else a is b
        for a, b in ((score, other[name]) for name, score in one.items())
    )
