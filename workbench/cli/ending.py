"""How commands that make runs end: what became of them, and the exit code that says so."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from workbench.cli import distributed
from workbench.cli.output import note, print_json, print_table, run_document, test_scores
from workbench.formatting import shortened

if TYPE_CHECKING:
    from workbench.store import Run

MOST_REASON = 100
"""Characters of why a run failed in the closing table; the whole was said when it did."""


def report_runs(
    finished: Sequence[Run], signal_number: int | None = None, *, as_json: bool
) -> None:
    """Prints what became of the runs, tells the webhook, and ends as ``end_as`` says, or by the
    signal that stopped them together."""
    if distributed.is_main():
        from workbench.jobs import announce

        if as_json:
            print_json({"runs": [run_document(each) for each in finished]})
        else:
            rows = [
                (r.id, r.state, test_scores(r) or shortened(r.reason, MOST_REASON), r.path)
                for r in finished
            ]
            print_table(("run", "state", "test", "folder"), rows)
        if failed := announce(finished):
            note(failed)
    if signal_number is not None:
        raise typer.Exit(128 + signal_number)
    end_as(finished)


def end_as(finished: Sequence[Run]) -> None:
    """Ends with the exit code that says what became of the runs; returns if all finished.

    2 when what was asked for cannot be run (its recipe, model or data), 1 when something else
    failed; as shells expect, 143 after SIGTERM and 130 after Ctrl-C or a request to stop.
    """
    states = {each.state for each in finished}
    if "failed" in states or "unreadable" in states:
        codes = {each.status.get("exit_code") for each in finished if each.state == "failed"}
        raise typer.Exit(2 if codes == {2} and "unreadable" not in states else 1)
    if states & {"interrupted", "stopped", "stopping"}:
        numbers = [each.status.get("signal") for each in finished]
        raise typer.Exit(128 + next((n for n in numbers if isinstance(n, int)), signal.SIGINT))
