"""pip as a process, which is not waited for where the package index says nothing."""

import os
import subprocess
import sys
import threading
from pathlib import Path

ANSWER_SECONDS = 4
"""From pip's request for a page of the index until that page is here."""
PATIENCE_VARIABLE = "PIP_DEFAULT_TIMEOUT"
ASKED, ANSWERED = "Getting page http", ("Fetched page", "Could not fetch", "Collecting")
"""How lines of ``pip -vv`` begin before and after such a request (tried with 23.2; 22.0 and 24.2
have the same words)."""


def run_pip(arguments: list[str], folder: Path) -> tuple[bool, str, str]:
    """Runs pip; returns whether it succeeded and what it wrote to stdout and stderr.

    It is ended where the index does not answer; by itself it would wait 15 s four times. Once an
    answer has come its own limits hold, so no download is cut.
    """
    limit = float(os.environ.get(PATIENCE_VARIABLE) or ANSWER_SECONDS)
    waiting, silent = threading.Timer(limit, lambda: None), ""

    def give_up() -> None:
        nonlocal silent
        silent = f"the package index has not answered within {limit:g} s"
        silent = f"\nERROR: {silent} ({PATIENCE_VARIABLE}=60 would wait longer)"
        process.kill()

    said = ""
    with (
        open(folder / "pip-errors.txt", "w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "pip", "-vv", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            text=True,
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            said += line
            if line.lstrip().startswith((ASKED, *ANSWERED)):
                waiting.cancel()
            if line.lstrip().startswith(ASKED):
                waiting = threading.Timer(limit, give_up)
                waiting.start()
        waiting.cancel()
        process.wait()
        errors.seek(0)
        return process.returncode == 0, said, errors.read() + silent
