"""What a comparison found: its rows and verdicts, and the same by group of comparable rows."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from workbench.comparison.configuration import differing
from workbench.comparison.rows import Sample
from workbench.comparison.schema import (
    Answer,
    Conclusion,
    ParetoStatus,
    Reference,
    Row,
    ScoreSummary,
    Summary,
    Verdict,
)

OVER_BOTH, OVER_TEXTS = "over seeds and texts", "over texts"
OVER_SEEDS = "over seeds (this test set)"

_TURNED: dict[Conclusion, Conclusion] = {
    "better": "worse",
    "worse": "better",
    "run_better": "run_worse",
    "run_worse": "run_better",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Rows whose scores may be compared with each other, best first, and what was found of them."""

    number: int
    several: bool
    """Whether the comparison has other groups too."""
    rows: list[Row]
    samples: list[Sample]  # in the order of the rows
    metric: str
    """What the rows are judged by; empty where they have no metric at all."""
    references: list[Reference]
    verdicts: list[Verdict]
    pareto: list[ParetoStatus]
    objectives: list[str]

    @property
    def labels(self) -> list[str]:
        return [row["label"] for row in self.rows]

    @property
    def title(self) -> str:
        """Studies and models of the group, with its number where there are others."""
        studies = ", ".join(dict.fromkeys(row["study"] for row in self.rows))
        models = ", ".join(dict.fromkeys(row["model"] for row in self.rows if row["model"]))
        title = " · ".join(part for part in (studies, models) if part)
        return f"Group {self.number}: {title}" if self.several else title

    @property
    def reference_scores(self) -> dict[str, float]:
        found = {each["name"]: each["metrics"].get(self.metric) for each in self.references}
        return {name: score for name, score in found.items() if score is not None}

    def config_difference(self) -> dict[str, dict[str, Any]]:
        """Dotted recipe keys whose values differ, by key, then by row label."""
        return differing({sample.label: sample.settings for sample in self.samples})

    def verdict_on(self, row: Row) -> Verdict | None:
        """The verdict on a row against its baseline, or against the one other row that there is;
        turned where the pair was tested the other way round, but for effect size and sentence."""
        if len(self.verdicts) == 1 and not row["baseline"]:
            (only,) = self.verdicts
            return only if only["label"] == row["label"] else None
        return self.verdict_between(row["label"], row["baseline"])

    def verdict_between(self, label: str, against: str | None) -> Verdict | None:
        """The verdict on a row against another, turned where it was tested the other way round."""
        for verdict in self.verdicts:
            if (verdict["label"], verdict["against"]) == (label, against):
                return verdict
            if (verdict["against"], verdict["label"]) == (label, against):
                return _turned(verdict)
        return None

    def pareto_status(self, row: Row) -> ParetoStatus | None:
        return next((each for each in self.pareto if each["label"] == row["label"]), None)


@dataclass(frozen=True, kw_only=True)
class ComparisonResult:
    """Recipes side by side. All but ``samples`` are plain JSON values."""

    answer: list[Answer] = field(default_factory=list)
    rows: list[Row]
    references: list[Reference]
    warnings: list[str]
    verdicts: list[Verdict] = field(default_factory=list)
    verdict_notes: list[str] = field(default_factory=list)
    pareto: list[ParetoStatus] = field(default_factory=list)
    pareto_objectives: list[str] = field(default_factory=list)
    pareto_column: bool = False
    """Whether the terminal's table has a column for the front, which was asked for."""
    samples: list[Sample] = field(default_factory=list, repr=False, compare=False)

    def groups(
        self, metric: str | None = None, labels: Collection[str] | None = None
    ) -> list[Group]:
        """The groups in the order of the table, with these labels only if given; judged by
        ``metric`` where they have it, instead of their own."""
        rows = [row for row in self.rows if labels is None or row["label"] in labels]
        samples = {sample.label: sample for sample in self.samples}
        numbers = list(dict.fromkeys(row["group"] for row in rows))
        found = []
        for number in numbers:
            members = [row for row in rows if row["group"] == number]
            primary = [row["primary_metric"] for row in members if row["primary_metric"]]
            judged_by = next(iter([*primary, *members[0]["metrics"]]), "")
            if metric and any(metric in row["metrics"] for row in members):
                judged_by = metric
            found.append(
                Group(
                    number=number,
                    several=len(numbers) > 1,
                    rows=members,
                    samples=[samples[row["label"]] for row in members],
                    metric=judged_by,
                    references=[each for each in self.references if each["group"] == number],
                    verdicts=[each for each in self.verdicts if each["group"] == number],
                    pareto=[each for each in self.pareto if each["group"] == number],
                    objectives=self.pareto_objectives,
                )
            )
        return found


def shown_interval(found: ScoreSummary) -> tuple[float, float] | None:
    """The interval over seeds and texts; where that is not known, over seeds on this test set."""
    low, high = found["population_ci_low"], found["population_ci_high"]
    return ends(found) if low is None or high is None else (low, high)


def ends(found: Summary | Verdict) -> tuple[float, float] | None:
    """The interval, if there is one."""
    low, high = found["ci_low"], found["ci_high"]
    return None if low is None or high is None else (low, high)


def covered(found: ScoreSummary) -> str:
    """What the shown interval is over; empty where there is none."""
    if found["population_ci_low"] is not None:
        return OVER_BOTH if found["n"] > 1 else OVER_TEXTS
    return OVER_SEEDS if found["ci_low"] is not None else ""


def half_interval(found: Summary | Verdict | None) -> float | None:
    interval = ends(found) if found else None
    return (interval[1] - interval[0]) / 2 if interval else None


def _turned(verdict: Verdict) -> Verdict:
    difference, low, high = (
        None if number is None else -number
        for number in (verdict["difference"], verdict["ci_high"], verdict["ci_low"])
    )
    ratio, ratio_low, ratio_high = (
        None if number is None else 1 / number
        for number in (verdict["ratio"], verdict["ratio_high"], verdict["ratio_low"])
    )
    return {
        **verdict,
        "ratio": ratio,
        "ratio_low": ratio_low,
        "ratio_high": ratio_high,
        "label": verdict["against"],
        "against": verdict["label"],
        "runs": verdict["runs_against"],
        "runs_against": verdict["runs"],
        "difference": difference,
        "ci_low": low,
        "ci_high": high,
        "conclusion": _TURNED.get(verdict["conclusion"], verdict["conclusion"]),
    }
