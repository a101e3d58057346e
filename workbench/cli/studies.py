"""What commands print and write of whole studies: several data sets, several sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli.output import echo, note, print_json
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.charts.figure import Csv, Picture
    from workbench.comparison.table import Table

ACROSS_OPTION = typer.Option(
    False, "--across", help="Take each study as a data set and compare over all of them."
)
ACROSS_OUTPUT = typer.Option(
    None,
    "--output",
    metavar="DIR",
    help="Of --across: write table, csv, JSON and charts to this folder.",
)
FORMATS = ("table", "markdown", "csv", "json")


def check_format(format: str, option: str) -> None:
    if format not in FORMATS:
        raise UsageError(f"{option} with --format {format}", fix=f"use one of {', '.join(FORMATS)}")


def check_output(output: Path | None) -> None:
    """Refuses a folder that cannot be written to, or without what draws, before anything runs."""
    if output is not None:
        from workbench.report import check_extra
        from workbench.report.files import check_target

        check_extra()
        check_target(output, force=False)


def check_across(across: bool, output: Path | None, others: Sequence[object]) -> None:
    """Refuses options of ``compare`` that do not go together; ``others`` are None if not given."""
    if across and any(option is not None for option in others):
        fix = "of the other options --baseline, --metric and --all-pairs go with it"
        raise UsageError("--across with an option of other comparisons", fix=fix)
    if output is not None and not across:
        fix = "add --across, or write a page with `workbench report`"
        raise UsageError("--output without --across", fix=fix)


def compare_across(
    folders: Sequence[Path],
    baseline: str | None,
    metric: str | None,
    all_pairs: bool,
    format: str,
    output: Path | None,
) -> None:
    """``compare --across``: recipes over several data sets."""
    check_format(format, "--across")
    check_output(output)
    from workbench.analysis import across, across_text

    found = across.compare_across(folders, baseline=baseline, metric=metric, all_pairs=all_pairs)

    def draw() -> list[Picture]:
        from workbench.charts.across import pictures

        return pictures(found)

    show(
        "across",
        document=found.document(),
        tables=across_text.tables(found),
        said=across_text.sentences(found),
        notes=found.notes,
        csv=across_text.csv_lines(found),
        draw=draw,
        format=format,
        output=output,
    )


def show(
    name: str,
    *,
    document: Mapping[str, Any],
    tables: Sequence[Table],
    said: Sequence[str],
    notes: Sequence[str],
    csv: Csv,
    draw: Callable[[], list[Picture]],
    format: str,
    output: Path | None,
) -> None:
    """Prints an analysis in one format, and writes all of it, with its pictures, to a folder."""
    if format == "json":
        print_json(document)
    elif format == "csv":
        from workbench.comparison.formats import csv_text

        echo(csv_text(csv).rstrip("\n"))
    elif format == "markdown":
        from workbench.report.study_files import markdown

        echo(markdown(tables, [*said, *notes]).rstrip("\n"))
    else:
        from workbench.comparison.sentences import Said
        from workbench.comparison.terminal import plain_tables

        echo(plain_tables(tables, [Said(text) for text in said], notes).rstrip("\n"))
    if output is not None:
        from workbench.report.study_files import markdown, write_study_files

        text = markdown(tables, [*said, *notes])
        written = write_study_files(
            output, name, document=document, csv=csv, text=text, drawn=draw()
        )
        note(f"written: {', '.join(str(path) for path in written)}")
