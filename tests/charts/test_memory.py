"""Bars of memory by component."""

from __future__ import annotations

from chart_rows import values

from workbench.charts.memory import memory_bars
from workbench.charts.style import method_color


def test_memory_is_stacked_by_component_with_the_peak_apart() -> None:
    bar = {"label": "lora", "weights_bytes": 90, "gradients_bytes": 1, "optimizer_bytes": None,
           "activations_bytes": 100, "peak_memory_bytes": 210}  # fmt: skip
    chart = memory_bars([bar], {"lora": "lora"})
    assert chart is not None
    drawn = values(chart)
    assert {r["part"]: r["bytes"] for r in drawn if "part" in r} == {
        "weights": 90, "gradients": 1, "activations": 100
    }  # fmt: skip
    assert [r["peak"] for r in drawn if "peak" in r] == [210]
    assert memory_bars([{"label": "lora", "peak_memory_bytes": None}], {}) is None


def test_the_forecast_is_a_bar_of_its_own() -> None:
    bar = {"label": "lora", "weights_bytes": 90, "peak_memory_bytes": 210}
    bar |= {"forecast": {"weights_bytes": 91, "peak_memory_bytes": 200}}
    chart = memory_bars([bar], {"lora": "lora"})
    assert chart is not None
    drawn = values(chart)
    assert {(r["which"], r["bytes"]) for r in drawn if "bytes" in r} == {
        ("measured", 90), ("forecast", 91)
    }  # fmt: skip
    assert {(r["which"], r["peak"]) for r in drawn if "peak" in r} == {
        ("measured", 210), ("forecast", 200)
    }  # fmt: skip


def test_components_are_shades_of_the_colour_of_their_method() -> None:
    rows = [
        {"label": name, "weights_bytes": 90, "activations_bytes": 100, "peak_memory_bytes": 210}
        for name in ("a", "b")
    ]
    chart = memory_bars(rows, {"a": "lora", "b": "prompt"})
    assert chart is not None
    bars = chart.to_dict()["layer"][0]["encoding"]
    scale = bars["color"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == {
        "a": method_color("lora"), "b": method_color("prompt")
    }  # fmt: skip
    shades = bars["opacity"]["scale"]["range"]
    assert len(set(shades)) == len(bars["opacity"]["scale"]["domain"]) == 4
