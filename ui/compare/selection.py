"""What is compared: the choice of studies, runs, recipes, baseline and metric, in the address."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import streamlit as st

from layout import empty, errors_shown, runs_dir, say_unknown
from workbench.analysis.group import Analysis
from workbench.comparison import Comparison, compare

Stamp = tuple[tuple[str, int], ...]
KEPT_SECONDS = 30
"""How long a comparison is kept whose results did not change: a run may have failed meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    comparison: Comparison
    paths: tuple[Path, ...]
    baseline: str | None
    metric: str
    kept: frozenset[str]

    @cached_property
    def groups(self) -> list[Analysis]:
        """The rows that are shown, by what may be compared."""
        return [Analysis(group) for group in self.comparison.groups(self.metric, self.kept)]


def choose(study: str | None = None) -> Selection | None:
    """The widgets on top of the page; None where there is nothing to compare, which is said.

    Args:
        study: the one whose page this is; None to ask which.
    """
    narrow, wide = [0.9, 1.2, 1.2], [3.0]
    widths = [*wide, *narrow] if study is None else [*narrow, *wide]
    boxes = st.columns(widths, vertical_alignment="bottom")
    narrower, baseline_box, metric_box = boxes[1:] if study is None else boxes[:3]
    chosen = _studies(boxes[0]) if study is None else [study]
    if not chosen:
        return None
    with narrower.popover("Filter", icon=":material/filter_list:", width="stretch"):
        names = _run_names(chosen)
        say_unknown("runs", names, "run")
        only = st.multiselect(
            "Single runs", names, key="runs", bind="query-params",
            placeholder="all", help="Compare these runs and no others.",
        )  # fmt: skip
        paths = tuple(runs_dir() / name for name in only or chosen)
        comparison = _compared(paths, None, None)
        if comparison is None:
            return None
        labels = [row["label"] for row in comparison.rows]
        say_unknown("recipes", labels, "recipe")
        shown = st.multiselect(
            "Recipes", labels, key="recipes", bind="query-params", placeholder="all",
            help="Show these rows. All of them stay in the tests' correction and the downloads.",
        )  # fmt: skip
    baseline, metric = None, ""
    if labels:
        baseline = _baseline(baseline_box, comparison)
        metrics = list(dict.fromkeys(name for row in comparison.rows for name in row["metrics"]))
        primary = comparison.rows[0]["primary_metric"]
        index = metrics.index(primary) if primary in metrics else 0
        say_unknown("score", metrics, "metric")
        metric = metric_box.selectbox(
            "Metric", metrics, index=index, key="score", bind="query-params"
        )
        comparison = _compared(paths, baseline, metric)
        if comparison is None:
            return None
    kept = frozenset(shown or labels)
    return Selection(
        comparison=comparison, paths=paths, baseline=baseline, metric=metric, kept=kept
    )


def _studies(box: Any) -> list[str]:
    """The studies that are chosen; with none, it is said why."""
    # Those with a finished run; their results are not read.
    studies = sorted({path.parent.parent.name for path in runs_dir().glob("*/*/result.json")})
    if not studies:
        empty("Nothing to compare yet", "A recipe appears here when its first run has finished.")
        return []
    say_unknown("studies", studies, "study")
    chosen: list[str] = box.multiselect(
        "Studies", studies, default=studies[:1], key="studies", bind="query-params"
    )
    if not chosen:
        empty("No study chosen", "Choose one above.")
    return chosen


def _baseline(box: Any, comparison: Comparison) -> str | None:
    recipes = sorted({row["recipe"] for row in comparison.rows})
    say_unknown("baseline", recipes, "baseline")
    chosen: str | None = box.selectbox(
        "Baseline",
        recipes,
        index=recipes.index("full") if "full" in recipes else None,
        key="baseline",
        bind="query-params",
        placeholder="none",
        help="The recipe that the others are compared with.",
    )
    return chosen


def _run_names(studies: Sequence[str]) -> list[str]:
    return [
        f"{study}/{path.parent.name}"
        for study in studies
        for path in sorted((runs_dir() / study).glob("*/result.json"))
    ]


def _compared(
    paths: tuple[Path, ...], baseline: str | None, metric: str | None
) -> Comparison | None:
    """The comparison of some folders, kept until a result in them changes."""
    with errors_shown():
        return _kept(paths, baseline, metric, _stamp(paths))
    return None


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=16, show_spinner=False)
def _kept(
    paths: tuple[Path, ...], baseline: str | None, metric: str | None, stamp: Stamp
) -> Comparison:
    return compare(paths, baseline=baseline, metric=metric, tests=None if metric else False)


def _stamp(paths: Sequence[Path]) -> Stamp:
    """Which results there are and when each was written."""
    found = []
    for path in paths:
        for result in sorted([*path.glob("*/result.json"), *path.glob("result.json")]):
            with suppress(OSError):
                found.append((str(result), result.stat().st_mtime_ns))
    return tuple(found)
