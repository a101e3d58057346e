"""Recipes over several data sets: their interquartile means, and the profile of their runs."""

import altair as alt
import pandas as pd

from workbench.analysis.across import Across
from workbench.analysis.seed_bootstrap import Estimate
from workbench.charts.figure import Picture
from workbench.charts.style import HEIGHT, NAME, Chart, row_color

_SHOWN = ("value", "low", "high")


def pictures(found: Across) -> list[Picture]:
    ends = [f"{name} {found.iqm[name].value:.3f}" for name in found.methods]
    caption = "The bar and the band are 95% intervals over seeds (stratified bootstrap)."
    return [
        Picture(
            name="interquartile-means",
            title="Interquartile mean of the normalised scores",
            chart=_interquartile_means(found),
            alt=f"Interquartile mean over {len(found.data_sets)} data sets: {', '.join(ends)}.",
            caption=caption,
        ),
        Picture(
            name="performance-profile",
            title="Performance profile",
            chart=_profiles(found),
            alt="Share of runs above each normalised score; interquartile means for orientation: "
            f"{', '.join(ends)}.",
            caption=f"A curve above another has more runs above that score. {caption}",
        ),
    ]


def _row(name: str, estimate: Estimate) -> dict[str, object]:
    """Without an interval both ends are the value."""
    low, high = (estimate.value if end is None else end for end in (estimate.low, estimate.high))
    return {"label": name, "value": estimate.value, "low": low, "high": high}


def _interquartile_means(found: Across) -> Chart:
    rows = [_row(name, found.iqm[name]) for name in found.methods]
    names = alt.Axis(labelExpr=NAME, labelLimit=260)
    y = alt.Y("label:N", title=None, sort=found.methods, axis=names)
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=y,
        color=row_color("label:N", {each: each for each in found.methods}),
        tooltip=["label:N", *map(_number, _SHOWN)],
    )
    x = alt.X("value:Q", title="normalised score", scale=alt.Scale(zero=False))
    bar = base.mark_rule(strokeWidth=3, opacity=0.5).encode(x=alt.X("low:Q"), x2="high:Q")
    return alt.layer(bar, base.mark_circle(size=90, opacity=1).encode(x=x)).properties(
        height=max(60, 34 * len(rows))
    )


def _profiles(found: Across) -> Chart:
    rows = [
        _row(each.method, point) | {"threshold": threshold}
        for each in found.profiles
        for threshold, point in zip(found.thresholds, each.points, strict=True)
    ]
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart(pd.DataFrame(rows)).encode(
        x=alt.X("threshold:Q", title="normalised score", scale=alt.Scale(zero=False, nice=False)),
        color=row_color("label:N", {each: each for each in found.methods}),
    )
    band = base.mark_area(opacity=0.16, line=False).encode(
        y=alt.Y("low:Q", title="share of runs above", scale=scale), y2="high:Q"
    )
    line = base.mark_line(strokeWidth=2, interpolate="step-after").encode(
        y=alt.Y("value:Q", title="share of runs above", scale=scale),
        tooltip=["label:N", _number("threshold"), *map(_number, _SHOWN)],
    )
    return alt.layer(band, line).properties(height=HEIGHT)


def _number(field: str) -> alt.Tooltip:
    return alt.Tooltip(f"{field}:Q", format=".3f")
