"""What the recipes of comparable rows set differently, and nothing else."""

import json

from workbench.comparison.result import ComparisonResult
from workbench.comparison.rows import grouped
from workbench.comparison.schema import GroupDifference
from workbench.formatting import ABSENT, plain

NOTHING = "nothing: these recipes differ in name only"


def config_differences(comparison: ComparisonResult) -> list[GroupDifference]:
    """One for each group, in the order of the table."""
    return [
        {"group": group.number, "rows": group.labels, "settings": group.config_difference()}
        for group in comparison.groups()
    ]


def to_json(differences: list[GroupDifference]) -> str:
    return json.dumps({"differences": differences}, indent=2, default=str)


def to_text(differences: list[GroupDifference]) -> str:
    """For each key its values, and the rows that have each; a dash where a recipe lacks the key."""
    parts = []
    for found in differences:
        title = f"Group {found['group']}: " if len(differences) > 1 else ""
        lines = [f"{title}{plain(', '.join(found['rows']))} differ in"]
        for key, values in found["settings"].items():
            texts = {
                label: json.dumps(values[label], default=str) if label in values else ABSENT
                for label in found["rows"]
            }
            by_value = grouped(texts, texts.__getitem__)
            width = max(map(len, by_value))
            lines.append(f"  {plain(key)}")
            lines += [
                f"    {plain(value).ljust(width)}  {plain(', '.join(labels))}"
                for value, labels in by_value.items()
            ]
        parts.append("\n".join(lines if found["settings"] else [*lines, f"  {NOTHING}"]))
    return "\n\n".join(parts) if parts else "No finished runs."
