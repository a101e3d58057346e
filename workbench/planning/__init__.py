"""What a recipe costs, before it runs: counts, bytes, memory and time."""

from workbench.planning.adapter_size import adapter_size
from workbench.planning.calibration import Calibration
from workbench.planning.forecast import forecast
from workbench.planning.plan import plan
from workbench.planning.rehearsal import Outline
from workbench.planning.shapes import adapt_empty, setting_for
from workbench.planning.warming import warm_up

__all__ = [
    "Calibration",
    "Outline",
    "adapt_empty",
    "adapter_size",
    "forecast",
    "plan",
    "setting_for",
    "warm_up",
]
