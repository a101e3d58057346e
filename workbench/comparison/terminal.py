"""A comparison as a table for the terminal."""

import io
import shutil
import textwrap
from collections.abc import Iterable, Sequence

from rich.box import Box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from workbench.comparison.formats import NOTHING
from workbench.comparison.result import ComparisonResult
from workbench.comparison.sentences import Said, all_conclusions, answer_lines
from workbench.comparison.table import Column, Table, comparison_tables
from workbench.formatting import plain

NARROWEST = 52
NAMES_AT_LEAST = 14
"""Width that the names keep when other columns need the room."""

_RULES = Box("    \n    \n ── \n    \n ── \n    \n    \n    \n")


def table(comparison: ComparisonResult, width: int | None = None, *, explain: bool = False) -> str:
    """A table for each group, conclusions and warnings beneath; what does not fit is only named."""
    said, warnings = all_conclusions(comparison), comparison.warnings
    text = plain_tables(comparison_tables(comparison), said, warnings, width, explain=explain)
    if not comparison.rows:
        return text
    return f"{_wrapped(map(plain, answer_lines(comparison)), _width(width))}\n\n{text}"


def plain_tables(
    tables: Sequence[Table],
    said: Sequence[Said],
    warnings: Sequence[str],
    width: int | None = None,
    *,
    explain: bool = False,
) -> str:
    """Tables, and beneath them what is concluded and what to know before believing it."""
    width = _width(width)
    parts = [_table(each, width) for each in tables] or [NOTHING]
    lines = []
    for each in said:
        lines.append(_wrapped([f"- {plain(each.sentence)}"], width))
        if explain and each.details:
            lines.append(textwrap.indent(_wrapped([plain(each.details)], width - 4), "    "))
    parts += ["\n".join(lines)] if lines else []
    if warnings:
        parts.append(_wrapped((f"! {plain(text)}" for text in warnings), width))
    return "\n\n".join(parts) + "\n"


def _width(width: int | None) -> int:
    return max(width or shutil.get_terminal_size((120, 24)).columns, NARROWEST)


def _table(table: Table, width: int) -> str:
    kept = sorted(table.columns, key=lambda column: column.drop)
    while kept[-1].drop and _narrowest(kept) > width:
        kept.pop()
    columns = [column for column in table.columns if column in kept]
    drawn = RichTable(box=_RULES, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        drawn.add_column(
            Text("\n".join(_header(column))),
            justify=column.align,
            no_wrap=i > 0,
            min_width=NAMES_AT_LEAST if i == 0 else None,
        )
    rows = list(zip(*(column.cells for column in columns), strict=True))
    for i, row in enumerate(rows, 1):
        last = i == len(rows) - table.references
        drawn.add_row(*(Text(cell.text) for cell in row), end_section=last)
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(drawn)
    notes = list(table.notes)
    left_out = [column.header for column in table.columns if column not in kept]
    if left_out:
        notes.append(f"left out at this width: {', '.join(left_out)}")
    lines = "\n".join(line.rstrip() for line in capture.get().splitlines())
    return f"{_wrapped([table.title], width)}\n\n{lines}\n\n{_wrapped(notes, width)}"


def _narrowest(columns: Sequence[Column]) -> int:
    """Width with the names, which come first, folded as far as they may be."""
    numbers = (
        max(map(cell_len, [*_header(column), *(cell.text for cell in column.cells)]))
        for column in columns[1:]
    )
    return NAMES_AT_LEAST + sum(2 + number for number in numbers)


def _header(column: Column) -> list[str]:
    return column.header.split(" ", 1)


def _wrapped(texts: Iterable[str], width: int) -> str:
    return "\n".join(textwrap.fill(text, width, subsequent_indent="  ") for text in texts)
