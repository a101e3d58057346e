"""log.txt gets what a run prints, beside what the terminal shows, without the secrets in it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import IO, TextIO

from workbench.redact import without_secrets
from workbench.store.disk import explained


class _Kept:
    """What is kept of the output. A full disk costs text here, and the run meets it elsewhere: no
    print ends it, at a place that has nothing to do with files."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._file.write(without_secrets(text).encode("utf-8", "replace"))
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered."""


class _Tee:
    """A text stream that writes to two places and is the first one in everything else."""

    def __init__(self, shown: TextIO, kept: _Kept) -> None:
        self._shown, self._kept = shown, kept

    def write(self, text: str) -> int:
        self._kept.write(text)
        with suppress(OSError):  # a terminal or a pipe that has gone
            self._shown.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._shown.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._shown, name)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


@contextmanager
def tee_log(path: Path) -> Iterator[None]:
    """Copies stdout, stderr, warnings and log records of the block to a file."""
    with explained(path, 1, "the log"):
        opened = open(path, "ab", buffering=0)
    with opened as file:
        kept = _Kept(file)
        handler = logging.StreamHandler(kept)
        handler.setFormatter(_Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        root = logging.getLogger()
        root.addHandler(handler)
        logging.captureWarnings(True)
        out, err = _Tee(sys.stdout, kept), _Tee(sys.stderr, kept)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                yield
        finally:
            logging.captureWarnings(False)
            root.removeHandler(handler)
