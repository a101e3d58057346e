"""The comparison to take away: tables, pictures, and the whole report."""

from __future__ import annotations

import io
import zipfile
from functools import partial

import streamlit as st

from compare.selection import Selection
from layout import plain, show_error
from workbench.errors import WorkbenchError
from workbench.report import check_extra

TABLES = {
    "CSV": ("csv", "text/csv", "csv"),
    "Markdown": ("markdown", "text/markdown", "md"),
    "LaTeX": ("latex", "application/x-tex", "tex"),
    "JSON": ("json", "application/json", "json"),
}


def show(selection: Selection) -> None:
    """Buttons; what takes time is made when its button is pressed."""
    st.header("To take away", anchor=False)
    st.subheader("The table", anchor=False)
    with st.container(horizontal=True):
        for name, (format, mime, suffix) in TABLES.items():
            st.download_button(
                name,
                selection.comparison.to(format),
                f"comparison.{suffix}",
                mime,
                on_click="ignore",
                icon=":material/download:",
                key=f"download-{format}",
            )
    try:
        check_extra()
    except WorkbenchError as error:
        show_error(error)
        return
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
    with st.container(horizontal=True):
        st.download_button(
            "HTML report",
            partial(report_page, selection, texts),
            "report.html",
            "text/html",
            on_click="ignore",
            icon=":material/article:",
            key="download-report",
            type="primary",
        )
        st.download_button(
            "Report with all files",
            partial(report_zip, selection, texts),
            "report.zip",
            "application/zip",
            on_click="ignore",
            icon=":material/folder_zip:",
            key="download-report-zip",
        )


def _pictures(selection: Selection) -> None:
    from workbench.report.figures import score_memory_and_curves
    from workbench.report.pictures import png_file, svg_file

    st.subheader("Pictures", anchor=False)
    several = len(selection.groups) > 1
    for group in selection.groups:
        if several:
            st.caption(plain(f"Group {group.number}: {group.title}"))
        figures = score_memory_and_curves(group.rows, group.samples, group.metric, group.references)
        for figure in figures:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.text(figure.title, width=360)
                for suffix, mime, draw in (
                    ("SVG", "image/svg+xml", svg_file),
                    ("PNG", "image/png", png_file),
                ):
                    st.download_button(
                        suffix,
                        partial(draw, figure.chart, width=figure.width),
                        f"{figure.name}.{suffix.lower()}",
                        mime,
                        on_click="ignore",
                        key=f"picture-{group.number}-{figure.name}-{suffix}",
                    )


def report_page(selection: Selection, texts: bool) -> bytes:
    """The HTML page of the report.

    Args:
        selection: what is compared.
        texts: whether texts of the test data are on it.
    """
    from workbench.report.writing import PAGE

    page = _files(selection, texts)[PAGE]
    return page.encode("utf-8") if isinstance(page, str) else page


def report_zip(selection: Selection, texts: bool) -> bytes:
    """The same page with all its files; arguments as ``report_page``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _files(selection, texts).items():
            archive.writestr(f"report/{name}", content)
    return buffer.getvalue()


def _files(selection: Selection, texts: bool) -> dict[str, str | bytes]:
    from pathlib import Path

    from workbench.report import DEFAULT_TEXTS
    from workbench.report.content import read_content
    from workbench.report.writing import report_files

    content = read_content(
        selection.paths, baseline=selection.baseline, texts=DEFAULT_TEXTS if texts else 0
    )
    return report_files(content, Path("report"))
