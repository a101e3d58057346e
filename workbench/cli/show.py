"""Commands that look at run folders: ``runs``, ``show``, ``log``."""

from __future__ import annotations

import sys
import textwrap
import time
from codecs import getincrementaldecoder
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer

from workbench.cli.options import JSON_OPTION, RUN, RUNS_OPTION
from workbench.cli.output import echo, print_json, print_table, run_document, test_scores
from workbench.formatting import duration, plural

if TYPE_CHECKING:
    from workbench.store import Run

POLL_SECONDS = 0.5
BLOCK = 64 * 1024
REASON_WIDTH = 80
"""Characters of a reason in the list; `workbench show` has all of it."""


def runs(
    path: Path | None = typer.Argument(None, help="Folder of runs; --runs by default."),
    runs_dir: Path = RUNS_OPTION,
    archived: bool = typer.Option(False, "--archived", help="Archived runs too, as --json."),
    as_json: bool = JSON_OPTION,
) -> None:
    """List runs with state, progress and test scores."""
    from workbench.store import ACTIVE, list_runs
    from workbench.store.leftovers import tidy
    from workbench.store.notes import in_words

    everything = list_runs(path if path is not None else runs_dir)
    tidy(everything)
    noted = [(run, run.notes) for run in everything]
    if not archived:
        noted = [(run, notes) for run, notes in noted if not notes.archived]
    found, hidden = [run for run, _ in noted], len(everything) - len(noted)
    if as_json:
        print_json({"runs": [_row(run) for run in everything]})
        return
    if not everything:
        echo(f"no runs below {path or runs_dir}; `workbench run RECIPE` makes some")
        return
    rows = []
    for run, notes in noted:
        reason = textwrap.shorten(run.reason, REASON_WIDTH, placeholder=" …")
        progress, when = reason or progress_text(run.status), run.status.get("started_at")
        row = (run.id, run.state, run.status.get("method"), progress, test_scores(run))
        said = textwrap.shorten(in_words(notes), REASON_WIDTH, placeholder=" …")
        rows.append((*row, _clock_time(when), said))
    headers = ("run", "state", "method", "progress", "test", "started", "notes")
    shown = len(headers) if any(row[-1] for row in rows) else len(headers) - 1
    print_table(headers[:shown], [row[:shown] for row in rows])
    active = sum(run.state in ACTIVE for run in found)
    left_out = f", {hidden} archived (--archived shows them)" if hidden else ""
    echo(f"{plural(len(found), 'run')}, {active} active{left_out}")


def _row(run: Run) -> dict[str, Any]:
    known = ("study", "recipe", "seed", "method", "model", "fingerprint", "phase", "progress")
    times = ("started_at", "ended_at")
    known_notes = {"notes": asdict(run.notes)}
    return run_document(run) | known_notes | {key: run.status.get(key) for key in (*known, *times)}


def _clock_time(seconds: Any) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else ""
    except (TypeError, OverflowError, ValueError, OSError):  # not a time: the file is corrupt
        return ""


def progress_text(status: dict[str, Any]) -> str:
    """How far a run is: ``train 10/100, 31.0 s left``."""
    progress = status.get("progress")
    if not isinstance(progress, dict) or status.get("ended_at"):
        return ""
    parts = [str(progress.get("phase") or status.get("phase") or "")]
    if progress.get("step") is not None:
        parts.append(f"{progress['step']}/{progress.get('steps', '?')}")
    left = progress.get("eta_seconds")
    text = " ".join(part for part in parts if part)
    return f"{text}, {duration(left)} left" if isinstance(left, int | float) else text


def show(
    name: str = RUN,
    runs_dir: Path = RUNS_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Show the record of a run: scores, costs, warnings."""
    from workbench.store import find_run
    from workbench.store.leftovers import tidy

    run = find_run(name, runs_dir)
    tidy([run])
    if as_json:
        print_json({**_row(run), "status": run.status, "result": run.result or None})
        return
    from workbench.cli.record import print_record

    print_record(run)


def log(
    name: str = RUN,
    runs_dir: Path = RUNS_OPTION,
    follow: bool = typer.Option(False, "--follow", "-f", help="Follow until the run ends."),
    lines: int | None = typer.Option(
        None, "--lines", "-n", min=0, help="Print the last lines only."
    ),
) -> None:
    """Print the log of a run."""
    from workbench.store import ACTIVE, find_run, read_run

    run = find_run(name, runs_dir)
    path = run.path / "log.txt"
    offset = _print_from(path, _start_of(path, lines))
    if not path.exists() and not follow:
        echo(f"the log of {run.id} is empty", err=True)
    while follow:
        ended = read_run(run.path).state not in ACTIVE  # asked before reading: no line is missed
        offset = _print_from(path, offset)
        if ended:
            break
        time.sleep(POLL_SECONDS)


def _opened(path: Path) -> IO[bytes]:
    from workbench.errors import StorageError
    from workbench.store import open_regular

    try:
        return open_regular(path)
    except OSError as error:
        what, why = f"cannot be read: {error.strerror}", "only files of the run itself are shown"
        raise StorageError(what, where=str(path), why=why) from error


def _start_of(path: Path, lines: int | None) -> int:
    """Byte offset of the last so many lines, found from the end: a log may be long."""
    if lines is None or not path.exists():
        return 0
    with _opened(path) as file:
        position = end = file.seek(0, 2)
        tail = b""
        while position > 0 and tail.count(b"\n") <= lines:
            position = max(0, position - BLOCK)
            file.seek(position)
            tail = file.read(end - position)
    kept = tail.splitlines(keepends=True)[-lines:] if lines else []
    return end - sum(map(len, kept))


def _print_from(path: Path, offset: int) -> int:
    if not path.exists():
        return offset
    decoder = getincrementaldecoder("utf-8")(errors="replace")
    with _opened(path) as file:
        file.seek(offset)
        while block := file.read(BLOCK):
            echo(decoder.decode(block), nl=False)
            offset += len(block)
    sys.stdout.flush()
    return offset
