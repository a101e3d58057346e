"""What report and UI show as a figure: chart, title, alt text, tables, and what may be chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.analysis.group import Analysis
from workbench.charts.style import Chart
from workbench.comparison.table import Table

WIDTH, HALF_WIDTH = 940, 430
"""Pixels of a plot in a report: across the page, and of one of two side by side."""

Csv = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Picture:
    name: str
    """Of its file; no other picture of a group has it."""
    title: str
    chart: Chart
    alt: str
    """What there is to see, in a sentence with the numbers, for a screen reader."""
    caption: str = ""
    width: int = WIDTH


@dataclass(frozen=True, kw_only=True)
class Option:
    """Something that a reader of the UI may choose; a report takes the default."""

    key: str
    """The argument of ``draw`` that gets it, and its name in an address."""
    label: str
    choices: Sequence[Any] = ()
    """None for yes or no."""
    default: Any = None
    """One of the choices, or a list of them where several may be chosen."""
    names: Callable[[Any], str] = str


def _nothing(analysis: Analysis) -> list[Any]:
    return []


@dataclass(frozen=True, kw_only=True)
class Figure:
    name: str
    """Of its table in ``tables/``, where it has one."""
    section: str
    """The heading in a report and the tab of the UI under which it stands."""
    title: str
    draw: Callable[..., list[Picture]]
    """From an ``Analysis`` and the options, by key; empty where there is nothing to draw."""
    options: Callable[[Analysis], list[Option]] = _nothing
    tables: Callable[[Analysis], list[Table]] = _nothing
    csv: Callable[[Analysis], Csv] = _nothing
    """Lines of ``tables/NAME.csv``; the group's number is put before them."""
    csv_about: str = ""
    absent: str = ""
    """What is said where there is nothing to draw; without it nothing is."""
    layout: Literal["wide", "half", "small"] = "wide"
    """How its pictures stand: below each other, two side by side, or as many as there is room."""


def defaults(options: Sequence[Option]) -> dict[str, Any]:
    """The arguments for ``draw`` that a report takes."""
    return {option.key: option.default for option in options}
