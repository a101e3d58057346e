"""What a report says: read from the run folders once, the same for every format."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from workbench.analysis.group import Analysis
from workbench.analysis.tables import difference_table, pair_table, run_table
from workbench.charts.figure import Figure, Picture, defaults
from workbench.charts.figures import sections
from workbench.comparison import Comparison, compare
from workbench.comparison.sentences import (
    Said,
    answer_lines,
    conclusions,
    details,
    pareto_sentences,
)
from workbench.comparison.table import Table, comparison_table
from workbench.formatting import plural
from workbench.store import Run, list_runs


@dataclass(frozen=True)
class Drawn:
    figure: Figure
    pictures: list[Picture]
    tables: list[Table]

    @property
    def absent(self) -> str:
        """What is said instead of pictures, where there are none."""
        return "" if self.pictures else self.figure.absent


class GroupReport:
    def __init__(self, analysis: Analysis) -> None:
        group = analysis.group
        self.analysis, self.number, self.labels = analysis, group.number, group.labels
        self.title, self.facts = group.title, analysis.facts
        self.table = comparison_table(group)
        self.conclusions = conclusions(group) + [Said(text) for text in pareto_sentences(group)]
        self.details = details(group)
        self.differences = difference_table(group.config_difference(), group.labels)
        self.pair_table = pair_table(analysis.pairs) if analysis.pairs else None

    @cached_property
    def sections(self) -> dict[str, list[Drawn]]:
        found: dict[str, list[Drawn]] = {}
        for heading, figures in sections().items():
            for figure in figures:
                pictures = figure.draw(self.analysis, **defaults(figure.options(self.analysis)))
                tables = figure.tables(self.analysis)
                if pictures or tables:
                    found.setdefault(heading, []).append(Drawn(figure, pictures, tables))
        return found

    @property
    def pictures(self) -> list[Picture]:
        return [p for drawn in self.sections.values() for each in drawn for p in each.pictures]


@dataclass(frozen=True, kw_only=True)
class Content:
    title: str
    comparison: Comparison
    groups: list[GroupReport]
    runs: Table
    left_out: list[Run]
    baseline: str | None
    texts: int
    recipes: dict[str, str]

    @property
    def answers(self) -> list[str]:
        return answer_lines(self.comparison)

    @property
    def counted(self) -> str:
        """What the page is made from."""
        text = f"{plural(len(self.comparison.rows), 'recipe')}, "
        text += plural(len(self.runs.lines), "finished run")
        if len(self.groups) > 1:
            text += f", in {len(self.groups)} groups that must not be compared with each other"
        return text


def read_content(
    paths: Sequence[Path],
    *,
    baseline: str | None = None,
    title: str | None = None,
    texts: int,
) -> Content:
    """Everything that a report says; the arguments are those of ``write_report``."""
    comparison = compare(paths, baseline=baseline, tests=True)
    found = {run.path.absolute(): run for path in paths for run in list_runs(path)}
    studies = dict.fromkeys(row["study"] for row in comparison.rows)
    return Content(
        title=title or ", ".join(studies) or "No finished runs",
        comparison=comparison,
        groups=[GroupReport(Analysis(group)) for group in comparison.groups()],
        runs=run_table(comparison),
        left_out=[run for run in found.values() if run.state != "finished"],
        baseline=baseline,
        texts=texts,
        recipes={sample.label: sample.runs[0].recipe_text() for sample in comparison.samples},
    )
