"""What a report holds: its HTML page read as a browser would, and the tables beside it."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from workbench.report import write_report


class Page(HTMLParser):
    """Tags with their attributes, texts, and tables as lists of lines."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[Cell]]] = {}
        self.texts: list[str] = []
        self._rows: list[list[Cell]] = []
        self._caption = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "table":
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append(Cell())
        elif tag == "data" and self._rows:
            self._rows[-1][-1].value = float(given["value"] or "nan")
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.tables[self._caption] = self._rows
            self._rows = []
        self._inside = ""

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._inside == "caption":
            self._caption = data
        elif self._inside in ("td", "th", "data") and self._rows and self._rows[-1]:
            self._rows[-1][-1].text += data

    @property
    def text(self) -> str:
        """Everything that is read, as one text."""
        return "".join(self.texts)

    def records(self, caption: str) -> list[dict[str, Cell]]:
        """The lines of a table by header."""
        head, *lines = self.tables[caption]
        return [dict(zip((c.text for c in head), line, strict=True)) for line in lines]


class Cell:
    """A cell's text, and its number where it has one."""

    def __init__(self) -> None:
        self.text = ""
        self.value: float | None = None

    def __repr__(self) -> str:
        return f"Cell({self.text!r}, {self.value!r})"


def outside_addresses(page: Page) -> list[Any]:
    """Attributes by which a page would load or send something."""
    names = {"src", "href", "action", "data", "poster", "srcset", "xlink:href", "formaction"}
    return [
        (tag, name, value)
        for tag, attributes in page.tags
        for name, value in attributes.items()
        if name in names and value and (":" in value or value.startswith("//"))
    ]


def report(runs: Path, **options: Any) -> tuple[Page, Path]:
    """Writes the report of some runs; its page, and the folder."""
    folder = runs.parent / "report"
    path = write_report([runs], folder, **options)
    return Page(path.read_text(encoding="utf-8")), folder


def rows_of(path: Path) -> list[dict[str, str]]:
    """The lines of a csv table by their headers."""
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
