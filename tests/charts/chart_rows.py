"""Rows to draw, and what a chart draws."""

from __future__ import annotations

from typing import Any


def values(chart: Any) -> list[dict[str, Any]]:
    """Every row that a chart draws."""
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def row(**more: Any) -> dict[str, Any]:
    score = {"mean": 0.95, "ci_low": 0.94, "ci_high": 0.96, "n": 3}
    score |= {"population_ci_low": None, "population_ci_high": None}
    return {"label": "lora", "study": "news", "method": "lora", "seeds": [0, 1, 2],
            "metrics": {"accuracy": score}, "trainable_parameters": 75_653, **more}  # fmt: skip
