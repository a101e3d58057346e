"""Charts: records in, an Altair chart out. Nothing here knows Streamlit or reads a file.

The UI and the report draw with the same functions. They need the extra ``report`` (or ``ui``).
"""

from workbench.report.charts.classes import class_scores, confusion_matrix
from workbench.report.charts.coordinates import parallel_coordinates
from workbench.report.charts.curves import (
    MAX_POINTS,
    loss_curve,
    running_mean,
    seed_curves,
    thin,
    validation_curve,
)
from workbench.report.charts.memory import COMPONENTS, memory_bars
from workbench.report.charts.scores import COSTS, far_references, score_against_cost
from workbench.report.charts.style import (
    HEIGHT,
    MUTED,
    PALETTE,
    SECOND,
    Chart,
    Point,
    Row,
    axis_title,
)

__all__ = [
    "COMPONENTS",
    "COSTS",
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
