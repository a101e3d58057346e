"""How the command line prints: one JSON document, or text for a person."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import typer

from workbench.formatting import ABSENT, escaped_controls, printable

if TYPE_CHECKING:
    from workbench.store import Run

WIDEST = 10_000
"""Columns of the widest table."""


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Prints for a person. Records and texts may be other people's: no terminal obeys them.

    What stderr does not take (it may be a file on a full disk) changes no result and no exit code.
    """
    with suppress(OSError) if err else nullcontext():
        typer.echo(printable(str(text)), err=err, nl=nl)


def print_json(document: Any) -> None:
    """Prints JSON, in which what is not a number is null."""
    plain = _with_null(document)
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    typer.echo(escaped_controls(text))


def _with_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_null(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_null(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_answer(as_json: bool, document: Any, lines: Iterable[object]) -> None:
    """Prints what a command has done: the JSON document, or lines for a person."""
    if as_json:
        print_json(document)
        return
    for line in lines:
        echo(line)


def note(text: str) -> None:
    """Prints a line for a person on stderr; stdout is for results."""
    echo(text, err=True)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]], right: str = "") -> None:
    """Prints aligned columns under a rule; the headers named in ``right`` are numbers.

    As wide as its cells, whatever the terminal: a value that is cut is of no use in a pipe.
    """
    from rich.box import SIMPLE_HEAD  # here, because only commands that print a table need it
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="")
    for header in headers:
        table.add_column(header, justify="right" if header in right.split() else "left")
    for row in rows:
        cells = (ABSENT if cell in (None, "") else " ".join(str(cell).splitlines()) for cell in row)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console = Console(width=WIDEST, highlight=False)
    with console.capture() as captured:
        console.print(table)
    echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_pairs(title: str, pairs: Sequence[tuple[str, object]]) -> None:
    """Prints a titled block of ``name  value`` lines; pairs without a value are left out."""
    known = [(name, value) for name, value in pairs if value not in (None, "", ABSENT)]
    if not known:
        return
    width = max(len(name) for name, _ in known)
    echo(f"\n{title}")
    for name, value in known:
        echo(f"  {name:<{width}}  {value}")


def run_document(run: Run) -> dict[str, Any]:
    fields = {"id": run.id, "path": str(run.path), "state": run.state, "reason": run.reason}
    return {**fields, "metrics": run.result.get("metrics")}


def test_scores(run: Run) -> str:
    """The scores of a run on its test split; empty where it has none."""
    metrics = run.result.get("metrics")
    return scores(metrics.get("test")) if isinstance(metrics, dict) else ""


def scores(metrics: Any) -> str:
    """Metrics on one line, in four digits: ``accuracy 0.9625  perplexity 26.91``."""
    if not isinstance(metrics, dict):
        return ""
    return "  ".join(f"{name} {_four_digits(value)}" for name, value in metrics.items())


def _four_digits(value: object) -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return ABSENT
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
