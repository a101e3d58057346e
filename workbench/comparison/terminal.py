"""A comparison as a table for the terminal.

Laid out here: drawn by ``rich.table`` five hundred rows take half a second, and numbers are
squeezed as readily as names. rich still says how wide a character is.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from workbench.comparison.formats import NOTHING
from workbench.comparison.grid import Column, Grid, grids, plain, verdict_sentences

if TYPE_CHECKING:
    from workbench.comparison.comparison import Comparison

NARROWEST = 52
NAMES_AT_LEAST = 14
"""Width that the names keep when other columns need the room."""

GAP = "  "


def table(comparison: Comparison, width: int | None = None) -> str:
    """A table for each group, references as its last lines, notes and warnings beneath.

    Where the terminal is too narrow, the least important columns are left out and named.
    """
    width = max(width or shutil.get_terminal_size((120, 24)).columns, NARROWEST)
    parts = [_grid(grid, width) for grid in grids(comparison)] or [NOTHING]
    said = verdict_sentences(comparison)
    if said:
        parts.append(_sentences((f"- {plain(text)}" for text in said), width))
    if comparison.warnings:
        parts.append(_sentences((f"! {plain(text)}" for text in comparison.warnings), width))
    return "\n\n".join(parts) + "\n"


def _grid(grid: Grid, width: int) -> str:
    by_importance = sorted(grid.columns, key=lambda column: column.drop)
    while by_importance[-1].drop and _needed(by_importance) > width:
        by_importance.pop()
    names, *numbers = (column for column in grid.columns if column in by_importance)
    widths = [_width(column) for column in numbers]
    room = max(width - sum(widths) - len(GAP) * len(widths), NAMES_AT_LEAST)
    widths.insert(0, min(_width(names), room))
    ruler = "─" * (sum(widths) + len(GAP) * len(numbers))

    lines = [_line(texts, widths) for texts in _headers([names, *numbers])]
    lines.append(ruler)
    cells = list(zip(*(column.cells for column in (names, *numbers)), strict=True))
    for position, (name, *rest) in enumerate(cells):
        if grid.references and position == len(cells) - grid.references:
            lines.append(ruler)
        first, *more = textwrap.wrap(name, widths[0]) or [""]
        lines += [_line([first, *rest], widths), *more]
    notes = list(grid.notes)
    left_out = [column.header for column in grid.columns if column not in by_importance]
    if left_out:
        notes.append(f"left out at this width: {', '.join(left_out)}")
    title = _sentences([grid.title], width)
    return "\n".join([title, "", *lines, ruler, _sentences(notes, width)])


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    """One line: the name to the left, numbers to the right of their columns."""
    name, *numbers = (
        (" " * (width - cell_len(text)), text) for text, width in zip(texts, widths, strict=True)
    )
    return GAP.join([name[1] + name[0], *(space + text for space, text in numbers)]).rstrip()


def _headers(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    """One or two lines of headers, standing on the ruler."""
    headers = [_header_lines(column) for column in columns]
    height = max(len(lines) for lines in headers)
    padded = [[""] * (height - len(lines)) + lines for lines in headers]
    return list(zip(*padded, strict=True))


def _needed(columns: Sequence[Column]) -> int:
    """Width with the names folded as far as they may be; the names come first."""
    names, *numbers = columns
    return min(_width(names), NAMES_AT_LEAST) + sum(len(GAP) + _width(c) for c in numbers)


def _width(column: Column) -> int:
    return max(cell_len(text) for text in [*_header_lines(column), *column.cells])


def _header_lines(column: Column) -> list[str]:
    return column.header.split(" ", 1)


def _sentences(texts: Iterable[str], width: int) -> str:
    return "\n".join(textwrap.fill(text, width, subsequent_indent="  ") for text in texts)
