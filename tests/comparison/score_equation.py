"""The interval of a difference of shares, solved numerically."""

from __future__ import annotations

from scipy.optimize import brentq


def solved(low: float, high: float) -> tuple[float, float]:
    """From the interval of a t test: where ``(D - d)² = half² (1 - D²)``, as the variance of
    numbers from -1 to 1 whose mean is D is at most ``1 - D²``."""
    centre, half = (low + high) / 2, (high - low) / 2

    def equation(end: float) -> float:
        return float((end - centre) ** 2 - half**2 * (1 - end**2))

    return brentq(equation, -1, centre, xtol=1e-13), brentq(equation, centre, 1, xtol=1e-13)
