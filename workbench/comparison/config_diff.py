"""What the recipes of comparable rows set differently, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workbench.comparison.result import ComparisonResult
from workbench.comparison.rows import grouped
from workbench.comparison.schema import GroupDifference
from workbench.comparison.table import plain
from workbench.formatting import ABSENT

NOTHING = "nothing: these recipes differ in name only"


def config_differences(comparison: ComparisonResult) -> list[GroupDifference]:
    """One for each group, in the order of the table."""
    return [
        {"group": group.number, "rows": group.labels, "settings": group.config_difference()}
        for group in comparison.groups()
    ]


def to_json(differences: list[GroupDifference]) -> str:
    """One JSON document."""
    return json.dumps({"differences": differences}, indent=2, default=str)


def to_text(differences: list[GroupDifference]) -> str:
    """For each key its values, and the rows that have each; a dash where a recipe lacks the key."""
    parts = []
    for found in differences:
        title = f"Group {found['group']}: " if len(differences) > 1 else ""
        lines = [f"{title}{plain(', '.join(found['rows']))} differ in"]
        for key, values in found["settings"].items():
            lines += _lines(key, values, found["rows"])
        parts.append("\n".join(lines if found["settings"] else [*lines, f"  {NOTHING}"]))
    return "\n\n".join(parts) if parts else "No finished runs."


def _lines(key: str, values: Mapping[str, Any], rows: list[str]) -> list[str]:
    texts = {x: json.dumps(values[x], default=str) if x in values else ABSENT for x in rows}
    by_value = grouped(rows, texts.__getitem__)
    width = max(len(value) for value in by_value)
    return [f"  {plain(key)}"] + [
        f"    {plain(value).ljust(width)}  {plain(', '.join(labels))}"
        for value, labels in by_value.items()
    ]
