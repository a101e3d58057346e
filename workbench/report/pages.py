"""The pages of a report: HTML that needs no script, font or connection, and Markdown."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from workbench import __version__
from workbench.comparison.formats import markdown_table, markdown_text
from workbench.formatting import plain, score
from workbench.report.content import Content
from workbench.report.pictures import svg_for_page
from workbench.report.reproducing import environments, local_sources

LONGEST_TEXT = 700  # characters that a page shows at once

Filters = Mapping[str, Callable[..., Any]]


def html_page(content: Content, links: list[tuple[str, str]], **shown: Any) -> str:
    """The page with its pictures in it; ``links`` are files beside it, and what each holds."""
    pictures = {
        (group.number, picture.name): Markup(
            svg_for_page(picture.chart, f"g{group.number}-{picture.name}", width=picture.width)
        )
        for group in content.groups
        for picture in group.pictures
    }
    # Text of a run folder on one line, without control characters, and escaped like all else.
    filters: Filters = {"plain": lambda text: plain(one_line(text)), "score": score}
    return _render("report.html.j2", content, filters, pictures=pictures, links=links, **shown)


def markdown_page(
    content: Content,
    pictures: Mapping[tuple[int, str], str],
    recipes: Mapping[str, str],
    **shown: Any,
) -> str:
    """The page with files of pictures, by group and name, and of recipes, by label, beside it."""
    filters: Filters = {
        "plain": lambda text: markdown_text(one_line(text)),
        "table": markdown_table,
        "command": one_line,
    }
    page = _render("report.md.j2", content, filters, pictures=pictures, recipes=recipes, **shown)
    return re.sub(r"\n{3,}", "\n\n", page)


def _render(template: str, content: Content, filters: Filters, **shown: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(template).render(
        content=content,
        environments=environments(content.comparison),
        local_sources=local_sources(content.comparison),
        version=__version__,
        longest=LONGEST_TEXT,
        **shown,
    )


def one_line(text: object) -> str:
    return " ".join(str(text).split())
