"""What all charts share: middle tones that hold on a light and on a dark page, axes, formats."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from workbench.recipe.catalogue import bounds, higher_is_better
from workbench.recipe.methods import METHOD_SPECS

Row = Mapping[str, Any]
Point = tuple[float, float]
Chart = alt.LayerChart | alt.FacetChart
Fields = dict[str, str | tuple[str, str]]

ACCENT, SECOND, MUTED, ALARM = "#0f8a80", "#d07a26", "#8b949a", "#c2504a"
PALETTE = (
    *(ACCENT, "#7d868c", "#8a8f3c", SECOND, "#9a6a4f"),
    *("#6f63b6", "#b05c9d", "#4b8fc9", ALARM),
)
"""In the order of `METHOD_SPECS`: grey, which references have too, and red are for methods that
few comparisons have."""
HEIGHT = 240
_LEGEND = 44
"""Characters beside each other in the legend of the narrowest chart."""
MOST_NAMED = 16
"""Rows that are named in a chart; of more, tooltips and the table tell which is which."""
SCORE = ".4~r"
"""Vega's format of a score: four digits, whether it is an accuracy or a perplexity."""
BYTES = "format(datum.value, '~s') + 'B'"


LONGEST_NAME = 24
_INVISIBLE = r"[\\u0000-\\u001f\\u200b\\u200c\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u2069\\ufeff]"
_RIGHT_TO_LEFT = r"[\\u0590-\\u08ff\\ufb1d-\\ufdff\\ufe70-\\ufefc]"


def shown_name(value: str) -> str:
    """Vega's expression for a name that somebody gave: a long one loses its middle, what is
    invisible or turns the text around it is seen, and what is written from right to left stands
    apart. Tooltips have the whole name."""
    half = (LONGEST_NAME - 1) // 2
    seen = f"replace({value}, regexp('{_INVISIBLE}', 'g'), '\ufffd')"
    short = f"slice({seen}, 0, {half}) + '…' + slice({seen}, -{half})"
    text = f"(length({value}) > {LONGEST_NAME} ? {short} : {seen})"
    apart = f"'\u2068' + {text} + '\u2069'"
    return f"(test(regexp('{_RIGHT_TO_LEFT}'), {value}) ? {apart} : {text})"


NAME = shown_name("datum.label")
"""Of a tick or of an entry of a legend."""


def row_colors(methods: Mapping[str, str]) -> alt.Scale:
    """The colour of each row by its method, of which every chart has the same; further rows of a
    method have shades of it. ``methods`` is by label."""
    others = sorted({*methods.values()} - METHOD_SPECS.keys())  # names of recipes, say
    names = [*METHOD_SPECS, *others]
    base = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}
    taken: dict[str, int] = {}
    colors = {}
    for label in sorted(methods):  # in an order that no score changes
        method = methods[label]
        number = taken[method] = taken.get(method, -1) + 1
        colors[label] = _shade(base[method], number)
    return alt.Scale(domain=list(methods), range=[colors[label] for label in methods])


def method_color(method: str) -> str:
    """The colour of a method where it stands alone."""
    color: str = row_colors({method: method}).to_dict()["range"][0]
    return color


def _shade(color: str, number: int) -> str:
    """A colour for 0; lighter, darker, lighter still and so on for the numbers after it."""
    toward, part = 255 * (number % 2), min(0.5, 0.25 * ((number + 1) // 2))
    parts = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(each + (toward - each) * part):02x}" for each in parts)


def row_color(field: str, methods: Mapping[str, str]) -> alt.Color:
    """The colour by row, with a legend above the plot and as strong as the lines."""
    look: dict[str, Any] = {"title": None, "orient": "top", "symbolOpacity": 1}
    longest = min(max(map(len, methods), default=0), LONGEST_NAME)
    columns = max(1, min(4, _LEGEND // (longest + 4)))
    legend = alt.Legend(
        **look, symbolType="circle", labelExpr=NAME, labelLimit=220, columns=columns
    )
    shown = None if len(methods) > MOST_NAMED else legend
    return alt.Color(field, scale=row_colors(methods), legend=shown)


def methods_of(rows: Iterable[Row]) -> dict[str, str]:
    """The method of each row by its label."""
    return {str(row["label"]): str(row["method"]) for row in rows}


def tooltips(fields: Fields) -> list[alt.Tooltip]:
    """What a reader sees at a mark: by field its title, or its title and Vega's format."""
    return [
        alt.Tooltip(field, title=shown)
        if isinstance(shown, str)
        else alt.Tooltip(field, title=shown[0], format=shown[1])
        for field, shown in fields.items()
    ]


def axis_title(metric: str) -> str:
    """The metric, and which way is better where that is down."""
    return metric if higher_is_better(metric) else f"{metric} (lower is better)"


def score_scale(metric: str, shown: Collection[float]) -> alt.Scale:
    """An axis around all that is shown, with a margin for names, that has no score that cannot
    be."""
    lowest, highest = bounds(metric)
    margin = 0.08 * (max(shown) - min(shown)) or 0.02 * abs(max(shown)) or 0.02
    domain = [max(lowest, min(shown) - margin), min(highest, max(shown) + margin)]
    return alt.Scale(zero=False, nice=False, domain=domain)


STRONG, ON_STRONG = 0.9, "#000000"
"""The share from which a shade is read better in black than in the page's colour of texts, which
is light on a dark page."""


def strength(field: str, most: float = 1.0) -> alt.Opacity:
    """How strong the colour of a cell is: faint at 0, full at ``most``, on any page."""
    scale = alt.Scale(domain=[0, most], range=[0.04, 1])
    return alt.Opacity(field, scale=scale, legend=None)


def few_ticks() -> alt.Axis:
    """The axis of a count such as the step; Vega sets ticks at halves where there are few."""
    whole = "datum.value == floor(datum.value) ? format(datum.value, ',d') : ''"
    return alt.Axis(tickCount=6, grid=False, labelExpr=whole)


def log_domain(values: Sequence[float], longest: int = 0) -> tuple[float, float]:
    """Both ends of a logarithmic axis, with space for a name of ``longest`` characters above the
    outermost values."""
    margin = max(1.8, (max(values) / min(values)) ** (0.005 * min(longest, LONGEST_NAME + 6)))
    return min(values) / margin, max(values) * margin


def log_axis(
    values: Sequence[float], field: str, title: str, labels: str | None = None, longest: int = 0
) -> alt.X:
    """A logarithmic axis over positive amounts with a tick at each power of ten, or more if few;
    ``labels`` is Vega's expression for a tick's label, None for SI prefixes; ``longest`` as in
    `log_domain`."""
    domain = list(log_domain(values, longest))
    low, high = (math.log10(end) for end in domain)
    ticks = [10.0**n for n in range(math.ceil(low), math.floor(high) + 1)]
    if len(ticks) < 3:
        powers = range(math.floor(low), math.ceil(high) + 1)
        ticks = [d * 10.0**n for n in powers for d in (1, 2, 5) if low <= math.log10(d) + n <= high]
    axis = alt.Axis(format="~s", values=ticks, grid=False)
    if labels:
        axis = alt.Axis(values=ticks, labelExpr=labels, grid=False)
    scale = alt.Scale(type="log", domain=domain, nice=False)
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)
