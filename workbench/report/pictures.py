"""Charts as SVG and PNG, without a browser; vl-convert is given no address to fetch from."""

import re
from collections.abc import Mapping
from typing import Any

import altair as alt
import vl_convert

from workbench.charts.figure import WIDTH
from workbench.charts.style import PALETTE, Chart

_VERSION = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
"""Fonts of the same widths everywhere: texts are measured here and drawn by the reader."""
_IN_PAGE = {"ink": "var(--ink)", "quiet": "var(--quiet)", "rule": "var(--rule)", "paper": None}
"""Colours that follow the page: light, dark or print."""
_IN_FILE = {"ink": "#1d2327", "quiet": "#586169", "rule": "#e3e6e3", "paper": "#ffffff"}
"""Colours of a picture that stands alone, on white whatever is around it."""


def svg_for_page(chart: Chart, name: str, *, width: int = WIDTH) -> str:
    """An SVG element whose colours follow the page; its inner ids begin with ``name``."""
    text = _svg(chart, _IN_PAGE, width)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    # The figure around it has the name and the text for a screen reader.
    return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def svg_file(chart: Chart, *, width: int = WIDTH) -> str:
    return _svg(chart, _IN_FILE, width)


def png_file(chart: Chart, *, width: int = WIDTH) -> bytes:
    """The same as PNG, two pixels for one."""
    done: bytes = vl_convert.vegalite_to_png(
        _specification(chart, _IN_FILE, width), vl_version=_VERSION, scale=2, allowed_base_urls=[]
    )
    return done


def _svg(chart: Chart, colors: Mapping[str, str | None], width: int) -> str:
    done: str = vl_convert.vegalite_to_svg(
        _specification(chart, colors, width), vl_version=_VERSION, allowed_base_urls=[]
    )
    return done


def _specification(chart: Chart, colors: Mapping[str, str | None], width: int) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    spec.setdefault("width", width)
    text = {"labelFont": FONT, "titleFont": FONT, "labelFontSize": 12, "titleFontSize": 12}
    ink, quiet, rule = colors["ink"], colors["quiet"], colors["rule"]
    spec["config"] = {
        "aria": False,
        "background": colors["paper"],
        "font": FONT,
        "padding": 8,
        "view": {"stroke": None},
        "range": {"category": list(PALETTE)},
        "text": {"color": ink, "font": FONT},
        "axis": {
            **text,
            "labelColor": quiet,
            "titleColor": ink,
            "titleFontWeight": 600,
            "titlePadding": 10,
            "labelPadding": 5,
            "gridColor": rule,
            "domainColor": rule,
            "tickColor": rule,
        },
        "legend": {**text, "labelColor": ink, "titleColor": ink, "columnPadding": 18},
    }
    return spec
