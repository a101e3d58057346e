"""Finished runs side by side: seeds taken together, intervals, warnings. Loads no torch."""

from workbench.comparison.comparison import Comparison, compare
from workbench.comparison.pareto import pareto
from workbench.comparison.schema import ParetoStatus, Row, Verdict
