"""The report as one HTML page that needs nothing else: no script, no font, no connection."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from workbench import __version__
from workbench.analysis.tables import run_table
from workbench.comparison.grid import plain
from workbench.formatting import count, score
from workbench.report.content import Content
from workbench.report.pictures import svg_for_page
from workbench.report.reproducing import environments, local_sources

LONGEST_TEXT = 700
"""Characters of a test text that the page shows at once."""


def html_page(
    content: Content, commands: list[tuple[str, str]], links: list[tuple[str, str]], written: str
) -> str:
    """The page as text.

    Args:
        content: what it says.
        commands: what each command does, and the command.
        links: file beside the page, and what it holds.
        written: the day, as it is to be read.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Text of a run folder on one line, without control characters, and escaped like all else.
    environment.filters |= {"plain": lambda text: plain(" ".join(str(text).split()))}
    environment.filters |= {"score": score, "count": count}
    pictures = {
        (group.number, figure.name): Markup(
            svg_for_page(figure.chart, f"g{group.number}-{figure.name}", width=figure.width)
        )
        for group in content.groups
        for figure in group.figures
    }
    metrics = dict.fromkeys(
        name for row in content.comparison.rows for name in row["metrics"] if row["metrics"][name]
    )
    page = environment.get_template("report.html.j2")
    return page.render(
        content=content,
        pictures=pictures,
        runs=run_table(content.comparison, list(metrics)),
        environments=environments(content.comparison),
        local_sources=local_sources(content.comparison),
        commands=commands,
        links=links,
        written=written,
        version=__version__,
        longest=LONGEST_TEXT,
    )
