"""The list of figures: each keeps its contract, and a chart costs a file, a line and a test."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import toy_chart
from reported_runs import METHODS, add_study

from workbench import charts
from workbench.analysis.group import Analysis
from workbench.charts.figure import Figure, defaults
from workbench.charts.figures import FIGURES
from workbench.report import write_report

FOLDER = Path(charts.__file__).parent
ROOT = FOLDER.parents[1]


def figures_by_file() -> dict[str, list[Figure]]:
    """The figures that each module of ``charts`` defines."""
    names = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
    modules = {name: importlib.import_module(f"workbench.charts.{name}") for name in names}
    found = {n: [v for v in vars(m).values() if isinstance(v, Figure)] for n, m in modules.items()}
    return {name: figures for name, figures in found.items() if figures}


def test_every_figure_is_a_line_in_the_list() -> None:
    defined = [figure.name for found in figures_by_file().values() for figure in found]
    assert sorted(defined) == sorted(figure.name for figure in FIGURES)
    assert len(set(defined)) == len(defined)


def test_every_chart_with_a_figure_has_a_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for name in figures_by_file():
        assert f"workbench.charts.{name} " in tests, f"charts/{name}.py is not tested"


@pytest.mark.parametrize("figure", [*FIGURES, toy_chart.FIGURE], ids=lambda figure: figure.name)
def test_a_figure_keeps_its_contract(figure: Figure, analysis: Analysis) -> None:
    options = figure.options(analysis)
    for option in options:
        chosen = option.default if isinstance(option.default, list) else [option.default]
        assert isinstance(option.default, bool) or set(chosen) <= set(option.choices)
    pictures = figure.draw(analysis, **defaults(options))
    assert pictures or figure.name == "forecast"  # which is a table
    for picture in pictures:
        assert picture.title and len(picture.alt) > 40
        assert any(method in picture.alt for method in METHODS)
        assert re.fullmatch(r"[a-z0-9-]+", picture.name)
    lines = figure.csv(analysis)
    assert bool(lines) == bool(figure.csv_about)


def test_the_names_of_pictures_are_distinct(analysis: Analysis) -> None:
    drawn = [f.draw(analysis, **defaults(f.options(analysis))) for f in FIGURES]
    names = [picture.name for pictures in drawn for picture in pictures]
    assert len(set(names)) == len(names)


def test_a_line_in_the_list_brings_a_chart_into_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps of ARCHITECTURE.md, "A chart"; tests/ui/test_compare_view.py has its tab."""
    entry = (ROOT / "ARCHITECTURE.md").read_text().split("**A chart**")[1].split("\n\n")[0]
    assert re.findall(r"`([\w/]+(?:\.py|/))`", entry)[:3] == [
        *("charts/", "charts/figures.py", "tests/charts/")
    ]
    add_study(tmp_path / "runs", seeds=2)
    monkeypatch.setattr("workbench.report.pictures._svg", lambda *_: "<svg ></svg>")
    monkeypatch.setattr("workbench.report.writing.png_file", lambda *_, **__: b"")
    for there in (False, True):
        page = write_report([tmp_path / "runs"], tmp_path / f"report-{there}")
        markdown = (page.parent / "report.md").read_text()
        for text in (page.read_text(), markdown):
            assert ("How many seeds" in text) == there
            assert ("Seeds of each recipe as bars: " in text) == there
        assert (page.parent / "pictures" / "group-1-toy.svg").is_file() == there
        assert (page.parent / "tables" / "toy.csv").is_file() == there
        assert ('href="tables/toy.csv"' in page.read_text()) == there
        monkeypatch.setattr("workbench.charts.figures.FIGURES", [*FIGURES, toy_chart.FIGURE])
