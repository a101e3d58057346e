"""Finished runs side by side: seeds taken together, intervals, warnings. Loads no torch."""

from workbench.comparison.comparison import Comparison, compare
from workbench.comparison.pareto import pareto
from workbench.comparison.schema import ParetoStatus, Reference, Row, Summary, Verdict
from workbench.comparison.statistics import Interval, interval

__all__ = [
    "Comparison",
    "Interval",
    "ParetoStatus",
    "Reference",
    "Row",
    "Summary",
    "Verdict",
    "compare",
    "interval",
    "pareto",
]
