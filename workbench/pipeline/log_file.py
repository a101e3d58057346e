"""log.txt: what a run prints, beside what the terminal shows, without the secrets in it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, TextIO

from workbench.redact import without_secrets


class _Tee:
    """A text stream that writes to two places and is the first one in everything else."""

    def __init__(self, shown: TextIO, kept: IO[str]) -> None:
        self._shown, self._kept = shown, kept

    def write(self, text: str) -> int:
        self._kept.write(without_secrets(text))
        return self._shown.write(text)

    def flush(self) -> None:
        self._kept.flush()
        self._shown.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._shown, name)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


@contextmanager
def tee_log(path: Path) -> Iterator[None]:
    """Copies stdout, stderr, warnings and log records of the block to a file."""
    with open(path, "a", encoding="utf-8", buffering=1) as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(_Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        root = logging.getLogger()
        root.addHandler(handler)
        logging.captureWarnings(True)
        out, err = _Tee(sys.stdout, file), _Tee(sys.stderr, file)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                yield
        finally:
            logging.captureWarnings(False)
            root.removeHandler(handler)
