"""Learning curves over seeds."""

from __future__ import annotations

from chart_rows import values

from workbench.charts.curves import seed_curves


def test_logarithmic_axes_leave_out_what_is_not_above_zero() -> None:
    band = [{"label": "a", "x": x, "mean": 1.0, "low": low, "high": 2.0, "seeds": 2}
            for x, low in ((0, 0.5), (1, 0.5), (2, 0.0))]  # fmt: skip
    for log_x, log_y, kept in ((False, False, 3), (True, False, 2), (True, True, 1)):
        chart = seed_curves(band, "loss", {"a": "lora"}, log_x=log_x, log_y=log_y)
        assert chart is not None and len(values(chart)) == kept
    assert seed_curves([], "loss", {"a": "lora"}) is None
