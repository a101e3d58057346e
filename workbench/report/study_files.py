"""The folder that an analysis of whole studies writes: its document, table and pictures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.charts.figure import Csv, Picture
from workbench.comparison.formats import csv_text, markdown_table, markdown_text
from workbench.comparison.table import Table
from workbench.report.files import write_folder
from workbench.report.pictures import png_file, svg_file


def markdown(tables: Sequence[Table], said: Sequence[str]) -> str:
    """Tables under their titles, then what is said of them."""
    parts = [f"**{markdown_text(table.title)}**\n\n{markdown_table(table)}" for table in tables]
    parts += ["\n".join(f"- {markdown_text(text)}" for text in said)]
    return "\n\n".join(parts) + "\n"


def write_study_files(
    to: Path, name: str, *, document: Mapping[str, Any], csv: Csv, text: str, drawn: list[Picture]
) -> list[Path]:
    """Writes NAME.json, NAME.csv, NAME.md and each picture as SVG and PNG; returns the paths.

    Raises:
        StorageError: when they cannot be written.
    """
    pictures = "\n".join(f"![{markdown_text(each.alt)}]({each.name}.svg)\n" for each in drawn)
    files: dict[str, str | bytes] = {
        f"{name}.json": json.dumps(document, indent=2, allow_nan=False) + "\n",
        f"{name}.csv": csv_text(csv),
        f"{name}.md": f"{text}\n{pictures}",
    }
    for each in drawn:
        files[f"{each.name}.svg"] = svg_file(each.chart, width=each.width)
        files[f"{each.name}.png"] = png_file(each.chart, width=each.width)
    write_folder(to, files)
    return [to / file for file in files]
