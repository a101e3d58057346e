"""The comparison as files: tables, pictures, and the whole report."""

import io
import mimetypes
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from compare.selection import Selection
from layout import errors_shown, plain
from workbench.report import check_extra

TABLES = {"CSV": "csv", "Markdown": "md", "LaTeX": "tex", "JSON": "json"}
"""Formats of the comparison, and how their files end."""


def show(selection: Selection) -> None:
    """Buttons; what takes time is made when its button is pressed."""
    st.subheader("The table", anchor=False)
    with st.container(horizontal=True):
        for name, suffix in TABLES.items():
            key, text = f"download-{name.lower()}", selection.comparison.to(name.lower())
            _button(name, text, f"comparison.{suffix}", key, icon=":material/download:")
    with errors_shown():
        check_extra()
        _report(selection)
        _pictures(selection)


def _report(selection: Selection) -> None:
    st.subheader("The report", anchor=False)
    st.caption(
        "One page that needs nothing else: table, conclusions, pictures, disagreements, recipes, "
        "environment and how to repeat it. In the zip also as Markdown, with every table and "
        "picture as a file."
    )
    texts = st.toggle(
        "With texts of the test data", value=True, key="texts", bind="query-params",
        help="Without, no text of the data leaves this machine with the report.",
    )  # fmt: skip
    page, files = (partial(make, selection, texts) for make in (report_page, report_zip))
    with st.container(horizontal=True):
        icon, key = ":material/article:", "download-report"
        _button("HTML report", page, "report.html", key, icon=icon, type="primary")
        icon, key = ":material/folder_zip:", "download-report-zip"
        _button("Report with all files", files, "report.zip", key, icon=icon)


def _pictures(selection: Selection) -> None:
    from workbench.charts import figures
    from workbench.charts.figure import defaults
    from workbench.report.pictures import png_file, svg_file

    st.subheader("Pictures", anchor=False)
    for analysis in selection.groups:
        if analysis.group.several:
            st.caption(plain(analysis.group.title))
        for figure in figures.FIGURES:
            for picture in figure.draw(analysis, **defaults(figure.options(analysis))):
                with st.container(horizontal=True, vertical_alignment="center"):
                    st.text(picture.title, width=360)
                    for kind, write in (("SVG", svg_file), ("PNG", png_file)):
                        data = partial(write, picture.chart, width=picture.width)
                        key = f"picture-{analysis.number}-{picture.name}-{kind}"
                        _button(kind, data, f"{picture.name}.{kind.lower()}", key)


def _button(label: str, data: Any, file: str, key: str, **look: Any) -> None:
    """A download; data that is a function is made when it is pressed."""
    mime = mimetypes.guess_type(file)[0]
    st.download_button(label, data, file, mime, key=key, on_click="ignore", **look)


def report_page(selection: Selection, texts: bool) -> bytes:
    """The HTML page of the report; ``texts``: whether texts of the test data are on it."""
    return page_of(selection.paths, selection.baseline, texts)


def page_of(paths: Sequence[Path], baseline: str | None, texts: bool) -> bytes:
    """The same of some folders."""
    from workbench.report.writing import PAGE

    page = _files(paths, baseline, texts)[PAGE]
    return page.encode("utf-8") if isinstance(page, str) else page


def report_zip(selection: Selection, texts: bool) -> bytes:
    """The same page with all its files; arguments as ``report_page``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _files(selection.paths, selection.baseline, texts).items():
            archive.writestr(f"report/{name}", content)
    return buffer.getvalue()


def _files(paths: Sequence[Path], baseline: str | None, texts: bool) -> dict[str, str | bytes]:
    from workbench.report import DEFAULT_TEXTS
    from workbench.report.content import read_content
    from workbench.report.writing import report_files

    content = read_content(paths, baseline=baseline, texts=DEFAULT_TEXTS if texts else 0)
    return report_files(content, Path("report"))
