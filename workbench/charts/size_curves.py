"""Score against training size, as a line for each recipe."""

from typing import Any

from workbench.analysis.size_curves import SizeCurves
from workbench.charts.curves import seed_curves
from workbench.charts.figure import Picture
from workbench.charts.style import axis_title
from workbench.formatting import score


def pictures(curves: SizeCurves) -> list[Picture]:
    bands: list[dict[str, Any]] = []
    for name in curves.names:
        for size, point in sorted(curves.of(name).items()):
            values = point.scores.values()
            ends = {"low": min(values), "high": max(values), "seeds": len(values)}
            bands.append({"label": name, "x": size, "mean": point.interval.mean, **ends})
    chart = seed_curves(
        bands,
        axis_title(curves.metric),
        {name: name for name in curves.names},
        x_title="training examples",
        log_x=True,
        points=True,
        metric=curves.metric,
        ticks=curves.sizes,
    )
    if chart is None:
        return []
    last = {band["label"]: band for band in bands}
    ends_said = [f"{name} {score(band['mean'])} with {band['x']}" for name, band in last.items()]
    return [
        Picture(
            name="size-curves",
            title=f"{curves.metric} by the number of training examples",
            chart=chart,
            alt=f"{curves.metric} of each recipe over the number of training examples; at the end: "
            f"{'; '.join(ends_said)}.",
            caption="Mean over seeds; the band reaches from the lowest to the highest seed.",
        )
    ]
