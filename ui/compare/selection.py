"""What is compared: the choice of studies, runs, recipes, baseline and metric, in the address."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from layout import empty, errors_shown, runs_dir, say_unknown
from workbench.analysis.group import Analysis
from workbench.comparison import Comparison, compare
from workbench.comparison.comparison import SamplesRead, read_samples
from workbench.comparison.items import PREDICTIONS
from workbench.store import QUEUE_DIR, read_run, stat_key

Stamp = tuple[tuple[object, ...], ...]
_NAMES = ("result.json", "status.json")


@dataclass(frozen=True, kw_only=True)
class Selection:
    comparison: Comparison
    paths: tuple[Path, ...]
    baseline: str | None
    metric: str
    kept: frozenset[str]
    answered: bool = False
    """The answer stands on top of the page already."""

    @property
    def groups(self) -> list[Analysis]:
        """The rows that are shown, by what may be compared."""
        return _analyses(self.comparison, id(self.comparison), self.metric, self.kept)[1]


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
        stamp = _stamp(paths)
        comparison = _compared(paths, stamp, None, None)  # names alone: nothing is tested
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
        metric = _metric(metric_box, comparison)
        comparison = _compared(paths, stamp, baseline, metric)
        if comparison is None:
            return None
    kept = frozenset(shown or labels)
    return Selection(
        comparison=comparison,
        paths=paths,
        baseline=baseline,
        metric=metric,
        kept=kept,
        answered=study is not None,
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


def _metric(box: Any, comparison: Comparison) -> str:
    metrics = list(dict.fromkeys(name for row in comparison.rows for name in row["metrics"]))
    primary = comparison.rows[0]["primary_metric"]
    index = metrics.index(primary) if primary in metrics else 0
    say_unknown("score", metrics, "metric")
    chosen: str = box.selectbox("Metric", metrics, index=index, key="score", bind="query-params")
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
    paths: tuple[Path, ...], stamp: Stamp, baseline: str | None, metric: str | None
) -> Comparison | None:
    """The comparison of some folders, kept until a result in them changes."""
    with errors_shown():
        return _kept(paths, stamp, baseline, metric)
    return None


@st.cache_resource(max_entries=16, show_spinner=False)
def _kept(
    paths: tuple[Path, ...], stamp: Stamp, baseline: str | None, metric: str | None
) -> Comparison:
    read = _read(paths, stamp)
    if metric is None:
        return compare(paths, tests=False, objectives=(), read=read)
    return compare(paths, baseline=baseline, metric=metric, read=read)


@st.cache_resource(max_entries=4, show_spinner=False)
def _read(paths: tuple[Path, ...], stamp: Stamp) -> SamplesRead:
    """The runs of some folders, which comparisons by several metrics and baselines share."""
    return read_samples(paths)


@st.cache_resource(max_entries=4, show_spinner=False)
def _analyses(
    _comparison: Comparison, number: int, metric: str, kept: frozenset[str]
) -> tuple[Comparison, list[Analysis]]:
    """What follows from the predictions is computed once. The comparison is kept with it: its
    ``number`` is that of no other as long as it is there."""
    return _comparison, [Analysis(group) for group in _comparison.groups(metric, kept)]


def _stamp(paths: Sequence[Path]) -> Stamp:
    """Of each run the version of its result and predictions, or its state where it has none; and
    that of the queue."""
    found: list[tuple[object, ...]] = [(stat_key(runs_dir() / QUEUE_DIR),)]
    for path in paths:
        files = [
            file for name in _NAMES for glob in (f"*/{name}", name) for file in path.glob(glob)
        ]
        for run in sorted({file.parent for file in files}):
            result = stat_key(run / "result.json")
            more = stat_key(run / PREDICTIONS) if result else read_run(run).state
            found.append((str(run), result, more))
    return tuple(found)
