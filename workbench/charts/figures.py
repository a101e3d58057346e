"""Every figure of a group of comparable recipes, in the order in which it is shown."""

from workbench.charts import classes, coordinates, curves, memory, retention, scores
from workbench.charts.figure import Figure

FIGURES: list[Figure] = [
    scores.FIGURE,
    retention.FIGURE,
    memory.FIGURE,
    memory.FORECAST_FIGURE,
    coordinates.FIGURE,
    curves.FIGURE,
    classes.FIGURE,
    classes.CONFUSION_FIGURE,
]
"""A chart is one line here; what it draws and says is in its file."""


def sections() -> dict[str, list[Figure]]:
    found: dict[str, list[Figure]] = {}
    for figure in FIGURES:
        found.setdefault(figure.section, []).append(figure)
    return found
