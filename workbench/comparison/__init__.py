"""Finished runs side by side: seeds taken together, intervals, warnings. Loads no torch."""

from workbench.comparison.comparison import Comparison, compare
from workbench.comparison.configuration import config_difference
from workbench.comparison.pareto import Standing, pareto
from workbench.comparison.rows import Reference, Row, Summary
from workbench.comparison.statistics import Interval, interval
from workbench.comparison.verdicts import Verdict

__all__ = [
    "Comparison",
    "Interval",
    "Reference",
    "Row",
    "Standing",
    "Summary",
    "Verdict",
    "compare",
    "config_difference",
    "interval",
    "pareto",
]
