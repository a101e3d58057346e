"""What a report says: read from the run folders once, the same for every format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.analysis.classes import Classes, classes_of
from workbench.analysis.conclusions import findings
from workbench.analysis.costs import forecast_rows, memory_rows
from workbench.analysis.disagreements import Example, Pair, disagreements, examples_of, pairs_of
from workbench.analysis.predictions import aligned_answers, kind_of, score_word
from workbench.analysis.records import finite, items, part
from workbench.analysis.tables import (
    Table,
    class_table,
    comparison_table,
    difference_table,
    forecast_table,
    memory_table,
    pair_table,
)
from workbench.comparison import Comparison, Row, compare
from workbench.comparison.grid import Grid, grids
from workbench.comparison.rows import Sample
from workbench.recipe.catalogue import AnswerKind
from workbench.report import DEFAULT_TEXTS, figures
from workbench.report.figures import Figure
from workbench.store import Run, list_runs


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows that may be compared, and everything that is said of them."""

    number: int
    title: str
    rows: list[Row]
    samples: list[Sample]
    metric: str
    table: Table
    findings: list[str]
    score: Figure | None
    memory: Figure | None
    memory_table: Table
    memory_bars: list[dict[str, Any]]
    forecast_table: Table | None
    curves: list[Figure]
    classes: dict[str, Classes]
    class_figures: list[Figure]
    kind: AnswerKind | None
    examples: list[Example]
    disagreements: list[Example]
    pairs: list[Pair]
    pair_table: Table | None
    differences: Table

    @property
    def labels(self) -> list[str]:
        """The rows' names, best first."""
        return [row["label"] for row in self.rows]

    @property
    def score_word(self) -> str:
        """What the score of an answer is."""
        return score_word(self.kind)

    @property
    def facts(self) -> list[str]:
        """What was asked of the models, in sentences."""
        first = self.samples[0].runs[0].result
        sizes = part(part(first, "data"), "sizes")
        counted = [f"{count:,} for {name}" for name, count in sizes.items() if finite(count)]
        sources = {s.variant.settings.get("data.source") for s in self.samples}
        source = ", ".join(sorted(str(name) for name in sources if name))
        data = f" on {source}" if source else ""
        examples = f": examples {', '.join(counted)}" if counted else ""
        return [f"{self.samples[0].first.task}{data}{examples}."]

    @property
    def figures(self) -> list[Figure]:
        """Every picture, in the order of the page."""
        some = [self.score, self.memory, *self.curves, *self.class_figures]
        return [figure for figure in some if figure is not None]


@dataclass(frozen=True, kw_only=True)
class Content:
    """A whole report."""

    title: str
    comparison: Comparison
    groups: list[Group]
    left_out: list[Run]
    paths: list[Path]
    baseline: str | None
    texts: int = DEFAULT_TEXTS
    recipes: dict[str, str] = field(default_factory=dict)
    """The resolved recipe of each row as YAML, by label."""


def read_content(
    paths: Sequence[Path],
    *,
    baseline: str | None = None,
    title: str | None = None,
    texts: int = DEFAULT_TEXTS,
) -> Content:
    """Everything that a report says of the finished runs below some folders.

    Args:
        paths: folders of runs, of one study, or single runs.
        baseline: recipe that the others are held against; None for ``full`` where there is one.
        title: the page's title; None for the names of the studies.
        texts: how many disagreements are shown with their texts.

    Raises:
        UsageError: as ``compare`` does.
    """
    comparison = compare(paths, baseline=baseline, tests=True)
    found = {run.path.absolute(): run for path in paths for run in list_runs(path)}
    numbers = list(dict.fromkeys(row["group"] for row in comparison.rows))
    studies = dict.fromkeys(row["study"] for row in comparison.rows)
    return Content(
        title=title or ", ".join(studies) or "No finished runs",
        comparison=comparison,
        groups=[
            group_content(comparison, number, grid)
            for number, grid in zip(numbers, grids(comparison), strict=True)
        ],
        left_out=[run for run in found.values() if run.state != "finished"],
        paths=list(paths),
        baseline=baseline,
        texts=texts,
        recipes={sample.label: sample.runs[0].recipe_text() for sample in comparison.samples},
    )


def group_content(comparison: Comparison, number: int, grid: Grid) -> Group:
    """What is said of one group of comparable rows."""
    rows = [row for row in comparison.rows if row["group"] == number]
    by_label = {sample.label: sample for sample in comparison.samples}
    samples = [by_label[row["label"]] for row in rows]
    metric = rows[0]["primary_metric"] or next(iter(rows[0]["metrics"]), "")
    kind = kind_of(samples[0])
    answers = aligned_answers(samples)
    known = items(part(samples[0].runs[0].result, "data"), "labels")
    classes = {
        label: found
        for label, seeds in answers.items()
        if (found := classes_of(kind, seeds, known)) is not None
    }
    examples = examples_of(kind, answers) if len(answers) > 1 else []
    pairs = pairs_of(kind, examples)
    bars = memory_rows(rows, samples)
    memory = memory_table(bars)
    names = list(next(iter(classes.values())).names) if classes else []
    table = class_table(names, classes) if classes else None
    labels = [row["label"] for row in rows]
    return Group(
        number=number,
        title=grid.title,
        rows=rows,
        samples=samples,
        metric=metric,
        table=comparison_table(grid, rows),
        findings=findings(comparison, number),
        score=figures.cost_figure(rows, metric, references_of(comparison, number, metric)),
        memory=figures.memory_figure(bars, memory),
        memory_table=memory,
        memory_bars=bars,
        forecast_table=forecast_table(forecast_rows(rows, samples)),
        curves=figures.curve_figures(samples, metric),
        classes=classes,
        class_figures=figures.class_figures(classes, table),
        kind=kind,
        examples=examples,
        disagreements=disagreements(kind, examples),
        pairs=pairs,
        pair_table=pair_table(pairs) if pairs else None,
        differences=difference_table(comparison.config_difference(number), labels),
    )


def references_of(comparison: Comparison, group: int, metric: str) -> dict[str, float]:
    """The score of each reference of a group on a metric."""
    found: Mapping[str, Any] = {
        reference["name"]: reference["metrics"].get(metric)
        for reference in comparison.references
        if reference["group"] == group
    }
    return {name: value for name, value in found.items() if value is not None}
