"""Reads finished runs and puts them side by side.

Run folders -> checked records -> samples (the seeds of one recipe) -> groups of samples whose
scores may be compared -> rows, and warnings about what a reader could take for granted.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from workbench.comparison import fairness, formats
from workbench.comparison.answer import answers
from workbench.comparison.collapse import note_collapse
from workbench.comparison.items import row_interval
from workbench.comparison.labels import set_labels
from workbench.comparison.pareto import DEFAULT, METRIC, pareto
from workbench.comparison.records import Record, UnusableResult, read_record
from workbench.comparison.result import ComparisonResult
from workbench.comparison.rows import (
    Sample,
    choose_primary,
    make_row,
    mean_of,
    ordered,
    set_baseline,
)
from workbench.comparison.schema import Reference, Row, Scores
from workbench.comparison.verdicts import TestRequest, TestResults, check_metric, run_tests
from workbench.comparison.weight_formats import costs_of_fewer_bits
from workbench.errors import UsageError
from workbench.formatting import listing, plural
from workbench.store import DEFAULT_RUNS_DIR, Run, list_runs

MOST_TESTED = 60
"""Runs whose differences are tested unasked: reading the predictions of one takes 1 ms."""
SamplesRead = tuple[list[Sample], list[str]]
ROUNDING = 1e-3
"""Relative difference that two scores of the same reference may have."""


class Comparison(ComparisonResult):
    """Recipes side by side, and the same as text."""

    def to(self, format: str, *, width: int | None = None, explain: bool = False) -> str:
        """As ``table`` (``width`` columns), ``markdown``, ``csv``, ``latex`` or ``json`` text;
        ``explain`` adds to the table what each conclusion rests on."""
        if format == "table":
            from workbench.comparison.terminal import table  # rich takes 0.06 s

            return table(self, width, explain=explain)
        if format not in formats.RENDERERS:
            known = ["table", *formats.RENDERERS]
            raise UsageError(f"no format {format!r}", fix=f"use one of {', '.join(known)}")
        return formats.RENDERERS[format](self)


def compare(
    paths: Sequence[Path] = (DEFAULT_RUNS_DIR,),
    *,
    baseline: str | None = None,
    tests: bool | None = None,
    metric: str | None = None,
    all_pairs: bool = False,
    margin: float | None = None,
    objectives: Sequence[str] | None = None,
    read: SamplesRead | None = None,
) -> Comparison:
    """Compares the finished runs below some folders, seeds of a recipe taken together.

    Args:
        paths: folders of runs, of one study, or single runs.
        baseline: the baseline recipe (or ``study/recipe``); None for ``full`` where there is one.
        tests: whether predictions are read and differences tested; None: up to `MOST_TESTED` runs.
        metric: what is tested; None for the metric that selected the adapters.
        all_pairs: test each row against each, not against the baseline only.
        margin: the difference worth seeing, in units of the metric; None for 0.01 where it lies
            between 0 and 1, else for 5% of the baseline's.
        objectives: two or three that `pareto` knows, or none for no front; None: its default up to
            `MOST_TESTED` rows.
        read: what `read_samples` gave for the paths, where several comparisons are made of them.

    Raises:
        UsageError: for a path, baseline, metric or objective that is not there, a margin of 0.
    """
    request = TestRequest(metric, all_pairs, margin)
    samples, found = read or read_samples(paths)
    warnings = list(found)
    count = sum(len(sample.runs) for sample in samples)
    few = count <= MOST_TESTED or request != TestRequest()
    testing = few if tests is None else tests
    rows = _rows(samples, testing, baseline, warnings)
    references = _references(samples, warnings)
    check_metric(rows, metric)
    comparison = Comparison(rows=rows, references=references, warnings=warnings, samples=samples)
    wanted = _objectives(objectives, rows, metric)
    request = replace(request, intervals=bool(wanted))
    results = run_tests(comparison.groups(metric), request) if testing else TestResults()
    if tests is None and not testing:
        results.notes.append(f"{count} runs: add --tests for significance tests")
    if testing:
        results.notes += costs_of_fewer_bits(rows, samples, metric)
    comparison = replace(
        comparison,
        verdicts=results.verdicts,
        verdict_notes=results.notes,
        pareto=pareto(rows, wanted, results.intervals) if wanted else [],
        pareto_objectives=wanted,
        pareto_column=objectives is not None,
    )
    comparison.answer.extend(answers(comparison))
    return comparison


def _objectives(asked: Sequence[str] | None, rows: Sequence[Row], metric: str | None) -> list[str]:
    """What the Pareto front is drawn between; empty for none."""
    if asked is None:
        asked = DEFAULT if len(rows) <= MOST_TESTED else ()
    return [metric if metric and name == METRIC else name for name in asked]


def _rows(
    samples: Sequence[Sample], testing: bool, baseline: str | None, warnings: list[str]
) -> list[Row]:
    """The rows in the order of the table, with their differences to the baseline."""
    rows = [make_row(sample) for sample in samples]
    choose_primary(rows)
    for row, sample in zip(rows, samples, strict=True):
        note_collapse(row, sample, read=testing)
        if testing:
            _add_intervals(row, sample)
    warnings += set_baseline(rows, baseline)
    return ordered(rows)


def _add_intervals(row: Row, sample: Sample) -> None:
    """Those over seeds and texts, where the scores of single texts are kept."""
    for name, summary in row["metrics"].items():
        if found := row_interval(sample, name):
            summary["population_ci_low"], summary["population_ci_high"] = found.low, found.high


def read_samples(paths: Sequence[Path]) -> SamplesRead:
    """The finished runs by recipe, grouped and named, and warnings about them and what is left
    out."""
    warnings: list[str] = []
    runs = _runs(paths)
    if not runs:
        warnings.append(f"no runs below {', '.join(str(path) for path in paths)}")
    samples = _samples(_finished(runs, warnings), warnings)
    # Sets of conditions are numbered from 1 on, largest first within the studies' order.
    sizes = Counter(sample.first.conditions for sample in samples)
    numbers: dict[object, int] = {}
    for sample in sorted(samples, key=lambda s: (s.first.study, -sizes[s.first.conditions])):
        sample.group = numbers.setdefault(sample.first.conditions, len(numbers) + 1)
    set_labels(samples)
    warnings += [text for check in fairness.CHECKS for text in check(samples)]
    return samples, warnings


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
        f"{plural(len(ids), f'{state} run')} {'is' if len(ids) == 1 else 'are'} left out: "
        f"{listing(ids)}"
        for state, ids in sorted(left_out.items())
    ]
    return usable


def _samples(finished: Sequence[tuple[Run, Record]], warnings: list[str]) -> list[Sample]:
    """One sample for each recipe, fingerprint, set of conditions and dropout, ordered by name."""
    cells: dict[tuple[object, ...], dict[int, tuple[Run, Record]]] = {}
    for run, record in sorted(finished, key=_when_ended):
        key = (record.study, record.recipe, record.fingerprint, record.conditions, record.dropout)
        seeds = cells.setdefault(key, {})
        if record.seed in seeds:
            # The same seed again is no further evidence: it would only narrow the interval.
            older = seeds[record.seed][0]
            warnings.append(f"duplicate run {run.id}: using {run.path}, ignoring {older.path}")
        seeds[record.seed] = (run, record)
    ordered = ([seeds[seed] for seed in sorted(seeds)] for seeds in cells.values())
    samples = [Sample([run for run, _ in cell], [record for _, record in cell]) for cell in ordered]
    return sorted(
        samples,
        key=lambda s: (s.first.study, s.first.recipe, s.first.fingerprint, s.first.dropout),
    )


def _when_ended(finished: tuple[Run, Record]) -> tuple[float, str]:
    ended = finished[0].status.get("ended_at")
    return float(ended) if isinstance(ended, int | float) else 0.0, str(finished[0].path)


def _references(samples: Sequence[Sample], warnings: list[str]) -> list[Reference]:
    """The scores without fine-tuning of each group, with a warning where runs disagree on one that
    do not each draw the rows that it learns from; where they do, the mean over seeds."""
    found: dict[tuple[int, str], dict[int, Scores]] = {}
    disagreeing: dict[tuple[int, str], None] = {}
    drawn_by_run: set[int] = set()
    for sample in sorted(samples, key=lambda s: s.group):
        for record in sample.records:
            for name, metrics in record.references.items():
                key = (sample.group, name)
                by_seed = found.setdefault(key, {})
                if _agree(by_seed.setdefault(record.seed, metrics), metrics):
                    if _agree(next(iter(by_seed.values())), metrics):
                        continue
                    if sample.settings.get("data.train_draw") == "run":
                        drawn_by_run.add(sample.group)
                        continue
                disagreeing[key] = None
    warnings += [
        f"runs of group {group} give different scores for the reference {name!r}: the first is "
        "shown"
        for group, name in disagreeing
    ]
    return [
        {"name": name, "group": group, "metrics": _over_seeds(by_seed, group in drawn_by_run)}
        for (group, name), by_seed in found.items()
    ]


def _over_seeds(by_seed: dict[int, Scores], drawn_by_run: bool) -> Scores:
    first, *others = by_seed.values()
    if not drawn_by_run:
        return dict(first)
    return {name: mean_of([each.get(name) for each in (first, *others)]) for name in first}


def _agree(one: Scores, other: Scores) -> bool:
    """Equal but for rounding: each machine scores the base model anew."""
    return one.keys() == other.keys() and all(
        math.isclose(a, b, rel_tol=ROUNDING) if a is not None and b is not None else a is b
        for a, b in ((score, other[name]) for name, score in one.items())
    )
