"""A study's report: one HTML page, a Markdown page, pictures and tables. Loads no torch, and
nothing that draws until it is asked to: that needs the extra ``report``."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from workbench.errors import UsageError
from workbench.store import DEFAULT_RUNS_DIR

EXTRA = {"altair": "altair", "pandas": "pandas", "vl_convert": "vl-convert-python"}
"""Packages of the extra ``report``: what is imported, and what it is called on the index."""
DEFAULT_TEXTS = 20
"""Disagreements whose texts are on the page; the table beside it has all."""


def write_report(
    paths: Sequence[Path] = (DEFAULT_RUNS_DIR,),
    to: Path = Path("report"),
    *,
    baseline: str | None = None,
    title: str | None = None,
    texts: int = DEFAULT_TEXTS,
    force: bool = False,
) -> Path:
    """Writes a report on finished runs and returns its page; replaces one that is there already.

    Args:
        paths: folders of runs, of one study, or single runs.
        baseline: recipe that the others are compared with; None for ``full`` where there is one.
        title: title of the page; None for the names of the studies.
        texts: how many disagreements are shown with the texts of the test examples; with 0 no
            text of the data is in the report.
        force: whether to write among files that no report wrote.

    Raises:
        UsageError: when the extra ``report``, a path, a finished run or the baseline is not there.
        RunRefused: when the folder holds other files and ``force`` is not set.
        StorageError: when it cannot be written.
    """
    check_extra()
    from workbench.report.content import read_content
    from workbench.report.files import check_target, write_folder
    from workbench.report.writing import PAGE, report_files

    check_target(to, force=force)
    content = read_content(paths, baseline=baseline, title=title, texts=texts)
    if not content.comparison.rows:
        raise UsageError(
            "there is no finished run to report on",
            where=", ".join(map(str, paths)),
            why="; ".join(content.comparison.warnings[:3]),
            fix="`workbench run` a study first; `workbench runs` shows what there is",
        )
    write_folder(to, report_files(content, to))
    return to / PAGE


def check_extra() -> None:
    """Refuses (UsageError) before anything is read when a package that draws is not installed."""
    missing = [name for module, name in EXTRA.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
            why="a report's pictures are drawn with it",
            fix="pip install 'peft-workbench[report]'",
        )
