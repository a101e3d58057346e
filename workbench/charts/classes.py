"""What each class gets, and what it is taken for."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from workbench.analysis.classes import Classes, most_common
from workbench.analysis.group import Analysis
from workbench.analysis.tables import class_table
from workbench.charts.figure import Csv, Figure, Option, Picture
from workbench.charts.style import (
    MOST_NAMED,
    NAME,
    ON_STRONG,
    STRONG,
    Chart,
    Fields,
    method_color,
    row_color,
    score_scale,
    strength,
    tooltips,
)
from workbench.formatting import score

MOST_MATRICES = 6
"""Confusion matrices that are shown unasked, those of the best recipes; the tables have all."""
CELL = 40  # pixels


def class_scores(scores: Csv, methods: Mapping[str, str]) -> Chart:
    """F1 of each class as one dot a recipe, with a line from its lowest to its highest seed;
    ``methods`` are those of all recipes of the page, by label."""
    names = list(dict.fromkeys(each["name"] for each in scores))
    look: dict[str, Any] = {"labelExpr": NAME, "labelLimit": 220}
    axis = alt.Axis(**look, grid=True, tickBand="extent", ticks=False)
    base = alt.Chart(pd.DataFrame(scores)).encode(
        y=alt.Y("name:N", title=None, sort=names, axis=axis),
        yOffset=alt.YOffset("recipe:N", sort=list(methods)),
        color=row_color("recipe:N", methods),
    )
    lines = base.mark_rule(strokeWidth=2, opacity=0.55).encode(
        x=alt.X("f1_low:Q", title="F1"), x2="f1_high:Q"
    )
    scale = score_scale("f1", [each[key] for each in scores for key in ("f1_low", "f1_high")])
    axis = alt.Axis(grid=False, tickCount=6)
    shown: Fields = {"recipe:N": "recipe", "name:N": "class", "f1:Q": ("F1", ".3f")}
    shown |= {"f1_low:Q": ("lowest seed", ".3f"), "f1_high:Q": ("highest seed", ".3f")}
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=alt.X("f1:Q", title="F1", scale=scale, axis=axis),
        tooltip=tooltips({**shown, "support:Q": "test examples"}),
    )
    drawn = {each["recipe"] for each in scores}
    return alt.layer(lines, dots).properties(height=len(names) * (12 * len(drawn) + 10))


def confusion_matrix(counts: Sequence[Sequence[float]], names: Sequence[str], color: str) -> Chart:
    """Right classes by row, predictions by column, the share of the row as shade of a colour."""
    cells = [
        {"right": right, "predicted": predicted, "count": count, "share": count / (sum(row) or 1.0)}
        for right, row in zip(names, counts, strict=True)
        for predicted, count in zip(names, row, strict=True)
    ]
    order = list(names)
    names_axis: dict[str, Any] = {"labelOverlap": False, "grid": False, "labelExpr": NAME}
    across = alt.Axis(orient="bottom", labelAngle=-40, labelLimit=170, **names_axis)
    down = alt.Axis(labelLimit=170, **names_axis)
    base = alt.Chart(pd.DataFrame(cells)).encode(
        x=alt.X("predicted:N", sort=order, title="predicted", axis=across),
        y=alt.Y("right:N", sort=order, title="right", axis=down),
    )
    shown: Fields = {
        "right:N": "right",
        "predicted:N": "predicted",
        "count:Q": ("test examples", ".1~f"),
    }
    shades = base.mark_rect(color=color).encode(
        opacity=strength("share:Q"), tooltip=tooltips(shown)
    )
    layers = [shades]
    if len(order) <= 12:
        texts = base.mark_text(fontSize=11).encode(text=alt.Text("count:Q", format=".1~f"))
        some = texts.transform_filter(f"datum.count > 0 && datum.share <= {STRONG}")
        most = texts.transform_filter(f"datum.share > {STRONG}").mark_text(
            fontSize=11, color=ON_STRONG
        )
        layers += [some, most]
    side = max(120, min(CELL, 420 // len(order)) * len(order))
    return alt.layer(*layers).properties(width=side, height=side)


def _draw(analysis: Analysis) -> list[Picture]:
    classes = analysis.classes
    first = next(iter(classes.values()), None)
    if first is None or not first.scores:
        return []
    names = [first.names[i] for i in most_common(first)]
    lowest = {label: min(each.scores, key=lambda s: s.f1) for label, each in classes.items()}
    weakest = "; ".join(f"{label}: {s.name} {score(s.f1)}" for label, s in lowest.items())
    rest = len(first.names) - len(names)
    more = f" {rest} classes with fewer examples are in the table." if rest else ""
    drawn = [label for label in analysis.labels if label in classes][:MOST_NAMED]
    if len(drawn) < len(classes):
        more += f" The best {len(drawn)} of {len(classes)} recipes are drawn."
    shown = [x for x in _csv(analysis) if x["name"] in names and x["recipe"] in drawn]
    return [
        Picture(
            name="classes",
            title="F1 of each class",
            chart=class_scores(shown, {label: analysis.methods[label] for label in drawn}),
            alt=f"F1 of each class by recipe; the lowest of each recipe: {weakest}.",
            caption=f"Dot: mean over seeds; line: lowest to highest seed.{more}",
            width=760,
        )
    ]


def _csv(analysis: Analysis) -> Csv:
    return [
        {"recipe": label} | vars(each)
        for label, classes in analysis.classes.items()
        for each in classes.scores
    ]


FIGURE = Figure(
    name="classes",
    section="Classes",
    title="F1 of each class",
    draw=_draw,
    tables=lambda analysis: [class_table(analysis.classes)] if analysis.classes else [],
    csv=_csv,
    csv_about="scores of each class",
    absent="This task has no classes, or the runs kept no predictions.",
)


def _matrices(analysis: Analysis) -> dict[str, Classes]:
    return {
        label: each
        for label, each in analysis.classes.items()
        if each.confusion is not None and len(each.names) > 1
    }


def _draw_confusion(analysis: Analysis, *, confusion: Sequence[str]) -> list[Picture]:
    pictures: list[Picture] = []
    for label, each in _matrices(analysis).items():
        if label not in confusion:
            continue
        kept = most_common(each)
        counts = [[(each.confusion or [])[i][j] for j in kept] for i in kept]
        names = [each.names[i] for i in kept]
        pictures.append(
            Picture(
                name=f"confusion-{len(pictures) + 1}",
                title=f"Confusion: {label}",
                chart=confusion_matrix(counts, names, method_color(analysis.methods[label])),
                alt=_confusion_alt_text(label, counts, names),
                caption="Right class by row, prediction by column; test examples per seed.",
            )
        )
    return pictures


def _confusion_alt_text(label: str, counts: Sequence[Sequence[float]], names: Sequence[str]) -> str:
    wrong = [
        (number, names[i], names[j])
        for i, row in enumerate(counts)
        for j, number in enumerate(row)
        if i != j and number > 0
    ]
    worst = [f"{right} taken for {said} {n:.3g} times" for n, right, said in sorted(wrong)[:-4:-1]]
    listed = ", ".join(worst) or "none"
    return f"Confusion matrix of {label}. Most frequent confusions: {listed}."


def _confusion_options(analysis: Analysis) -> list[Option]:
    possible = list(_matrices(analysis))
    shown = possible[:MOST_MATRICES]
    return [Option(key="confusion", label="Recipes", choices=possible, default=shown)]


def _confusion_csv(analysis: Analysis) -> Csv:
    return [
        {"recipe": label, "right": right, "predicted": predicted, "examples": n}
        for label, classes in analysis.classes.items()
        for right, row in zip(classes.names, classes.confusion or [], strict=False)
        for predicted, n in zip(classes.names, row, strict=True)
    ]


CONFUSION_FIGURE = Figure(
    name="confusion",
    section="Classes",
    title="Confusion",
    draw=_draw_confusion,
    options=_confusion_options,
    csv=_confusion_csv,
    csv_about="confusions",
    layout="small",
)
