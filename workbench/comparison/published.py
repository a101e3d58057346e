"""Runs compared with the published numbers of the same model, data, method and metric."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workbench.comparison.published_tables import (
    Column,
    Line,
    Published,
    Table,
    printed_count,
    published,
)
from workbench.comparison.result import ComparisonResult
from workbench.comparison.schema import Row
from workbench.formatting import plain, plural

WIDTH = 100
SPREAD = "the published ± is as printed; ours is a 95% interval over seeds"


@dataclass(frozen=True, kw_only=True)
class Match:
    """One of our rows beside one published figure; scores are in the table's units."""

    label: str
    metric: str
    seeds: int
    paper: str
    table: str
    line: str
    column: str
    verified: str
    read_at: str
    published: float
    published_spread: float | None
    ours: float
    ours_low: float | None
    """The 95% interval of our mean over seeds; None where there is none."""
    ours_high: float | None
    difference: float
    holds: bool | None  # the published value lies in our interval
    published_trainable: str | None
    trainable_parameters: int
    """Ours, without the task head where there is one beside the method."""
    trainable_with_head: int
    trainable_agrees: bool | None  # within the rounding of the printed number
    setup_differs: dict[str, list[Any]]
    """Recipe keys that the paper gives another value: [the paper's, ours]."""
    notes: list[str]


@dataclass(frozen=True)
class PaperComparison:
    matches: list[Match]
    unmatched: list[str]

    def document(self) -> dict[str, Any]:
        return {
            "matches": [asdict(match) for match in self.matches],
            "unmatched": self.unmatched,
            "available": available(published()),
        }

    def text(self) -> str:
        """A block for each match, then what has none."""
        parts = [_block(match) for match in self.matches]
        if self.unmatched:
            names = ", ".join(plain(label) for label in self.unmatched)
            parts.append(_wrapped(f"no published number here for {names}"))
        if not self.matches:
            there = [f"  {line}" for line in available(published())]
            parts.append("\n".join(["published numbers are here for", *there]))
        return "\n\n".join(parts)


def compare_with_papers(comparison: ComparisonResult) -> PaperComparison:
    """Every row that has a published counterpart, with it."""
    rows = {row["label"]: row for row in comparison.rows}
    matches: list[Match] = []
    unmatched: list[str] = []
    for sample in comparison.samples:
        row = rows[sample.label]
        found = list(_matches(row, sample.settings, published()))
        matches += found
        unmatched += [] if found else [sample.label]
    return PaperComparison(matches, unmatched)


def figures(
    settings: Mapping[str, Any], method: str, numbers: Published
) -> Iterator[tuple[Table, Line, int]]:
    """The published figures for the model, data and method of a recipe, by column."""
    data, config = settings.get("data.source"), settings.get("data.config")
    for table in numbers.tables:
        for line in table.rows:
            if line.method != method or settings.get("model.source") not in line.model:
                continue
            for index, column in enumerate(table.columns):
                same = data in column.data and config == column.config
                if same and line.values[index] is not None:
                    yield table, line, index


def available(numbers: Published) -> list[str]:
    """One line for each published row that a run could match."""
    return [
        f"{line.model[0]}, method {line.method}: "
        f"{', '.join(column.name for column in table.columns if column.data)} "
        f"({numbers.papers[table.paper].authors}, {table.name})"
        for table in numbers.tables
        for line in table.rows
        if line.method is not None
    ]


def _matches(row: Row, settings: Mapping[str, Any], numbers: Published) -> Iterator[Match]:
    trained = row["adapter_parameters"]
    trained = row["trainable_parameters"] if trained is None else trained
    for table, line, index in figures(settings, row["method"], numbers):
        column, value, paper = table.columns[index], line.values[index], numbers.papers[table.paper]
        summary = row["metrics"].get(column.metric)
        if summary is None or summary["mean"] is None or value is None:
            continue
        ours, low, high = (
            None if each is None else each * column.scale
            for each in (summary["mean"], summary["ci_low"], summary["ci_high"])
        )
        assert ours is not None
        spread = line.spreads[index] if line.spreads else None
        note = line.column_notes.get(column.name)
        yield Match(
            label=row["label"],
            metric=column.metric,
            seeds=summary["n"],
            paper=f"{paper.authors}, arXiv:{paper.arxiv}",
            table=table.name,
            line=line.label,
            column=column.name,
            verified=table.verified,
            read_at=table.read_at,
            published=value,
            published_spread=spread,
            ours=ours,
            ours_low=low,
            ours_high=high,
            difference=ours - value,
            holds=low <= value <= high if low is not None and high is not None else None,
            published_trainable=line.trainable,
            trainable_parameters=trained,
            trainable_with_head=row["trainable_parameters"],
            trainable_agrees=agrees(line.trainable, trained),
            setup_differs=_different(line, index, settings),
            notes=[
                *_cut(settings, column),
                *([note] if note else []),
                *line.notes,
                *table.notes,
                *([SPREAD] if spread is not None else []),
            ],
        )


def agrees(printed: str | None, trained: int) -> bool | None:
    """Whether a count rounds to a printed one; None where none is printed."""
    if printed is None:
        return None
    value, half = printed_count(printed)
    return abs(trained - value) <= half


def _different(line: Line, index: int, settings: Mapping[str, Any]) -> dict[str, list[Any]]:
    by_column = {key: values[index] for key, values in line.setup_by_column.items()}
    wanted = {**line.setup, **{k: v for k, v in by_column.items() if v is not None}}
    if settings.get("training.max_steps") is not None:
        wanted.pop("training.epochs", None)  # without effect; `_cut` says what was done
    return {
        key: [value, settings.get(key)]
        for key, value in wanted.items()
        if settings.get(key) != value
    }


def _cut(settings: Mapping[str, Any], column: Column) -> list[str]:
    """Where a run saw less of the data than the recipe of a paper, or was tested on other texts."""
    notes = []
    tested = settings.get("data.splits.test")
    if column.split and tested != column.split:
        ours = f"the split {tested}" if tested else "texts cut from another split"
        notes.append(f"tested on {ours}, not on the published {column.split}")
    if (size := settings.get("data.train_size")) is not None:
        notes.append(f"trained on a part of the texts only (data.train_size: {size})")
    if (steps := settings.get("training.max_steps")) is not None:
        notes.append(f"trained for {steps} steps, however many epochs that is")
    return notes


def _block(match: Match) -> str:
    ours, known = f"{match.ours:.4g}", match.ours_low is not None and match.ours_high is not None
    ours += f" [{match.ours_low:.3g}, {match.ours_high:.3g}]" if known else ""
    verdict = {
        None: "one seed" if match.seeds == 1 else "the same score with every seed",
        True: "the published value lies in our 95% interval",
        False: "the published value lies outside our 95% interval",
    }[match.holds]
    verdict += ", so no interval" if match.holds is None else ""
    trained = f"{match.trainable_parameters:,} trained without the task head"
    if match.trainable_agrees is not None:
        trained += ", as printed" if match.trainable_agrees else ", not the printed number"
    printed = f", {match.published_trainable} trained" if match.published_trainable else ""
    quoted = " (quoted)" if match.verified == "quoted" else ""
    over = f"{'95% interval, ' if known else ''}{plural(match.seeds, 'seed')}"
    lines = [
        plain(f"{match.label} · {match.column}, {match.metric}"),
        f"  published  {_spread(match.published, match.published_spread)}{printed}: "
        f"{match.line}; {match.paper}, {match.table}{quoted}",
        f"  ours       {ours} ({over}), {trained}",
        f"  difference {match.difference:+.2f}: {verdict}",
    ]
    if match.setup_differs:
        pairs = "; ".join(f"{k} {a}, ours {b}" for k, (a, b) in match.setup_differs.items())
        lines.append(plain(f"  setup      {pairs}"))
    lines += [f"  note       {note}" for note in match.notes]
    return "\n".join(_wrapped(line) for line in lines)


def _spread(value: float, half: float | None) -> str:
    return f"{value:.4g}" if half is None else f"{value:.4g} ± {half:.2g}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=" " * 13, break_on_hyphens=False)
