"""Charts: records in, an Altair chart out. Nothing here knows Streamlit or reads a file.

The UI and the report draw with the same functions. They need the extra ``report`` (or ``ui``).
"""

from workbench.charts.classes import class_scores, confusion_matrix
from workbench.charts.coordinates import parallel_coordinates
from workbench.charts.curves import (
    MAX_POINTS,
    loss_curve,
    running_mean,
    seed_curves,
    thin,
    validation_curve,
)
from workbench.charts.memory import COMPONENTS, memory_bars
from workbench.charts.scores import far_references, score_against_cost
from workbench.charts.style import HEIGHT, MUTED, PALETTE, SECOND, Chart, Point, Row, axis_title

__all__ = [
    "COMPONENTS",
    "Chart",
    "HEIGHT",
    "MAX_POINTS",
    "MUTED",
    "PALETTE",
    "Point",
    "Row",
    "SECOND",
    "axis_title",
    "class_scores",
    "confusion_matrix",
    "far_references",
    "loss_curve",
    "memory_bars",
    "parallel_coordinates",
    "running_mean",
    "score_against_cost",
    "seed_curves",
    "thin",
    "validation_curve",
]
