"""The plain-load check: an export counts only if plain transformers + PEFT reproduce it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.errors import ExportError

SCRIPT = Path(__file__).with_name("plain_load_worker.py")
RELATIVE_TOLERANCE = 1e-3
"""Largest difference of an output, relative to the largest (at least 1). Padding and another
attention kernel move fp32 logits by about 1e-6; a lost head or prompt by 0.1 and more."""


class PlainLoader:
    """A separate process that knows nothing of the workbench and loads what it exports."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._ready = False

    def start(self) -> None:
        """Starts the process, whose imports take 4 s of a core: while a run prepares, they are
        free on a machine of two cores."""
        if self._process is None or self._process.poll() is not None:
            self._ready = False
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"},
                # Not in our process group: Ctrl-C must not kill the check of a run that is ending.
                start_new_session=True,
            )

    def wait(self) -> None:
        """Returns when the imports are done, which would slow whatever is timed meanwhile."""
        self.start()
        assert self._process is not None and self._process.stdout is not None
        if not self._ready:
            self._process.stdout.readline()
            self._ready = True

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request; with ``error`` where there is none."""
        self.wait()
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer: dict[str, Any] = (
            json.loads(line) if line else {"error": "the checking process ended"}
        )
        return answer

    def outputs(self, request: dict[str, Any]) -> list[list[float]]:
        """What a plain load says, one row of numbers per input.

        Raises:
            ExportError: with the loader's own words when it cannot load the folder.
        """
        answer = self.ask(request)
        if "error" in answer:
            raise ExportError(
                f"plain transformers + PEFT cannot load the export: {answer['error']}",
                where=request["folder"],
                fix="the run's own checkpoint is kept under checkpoints/; please report the method "
                "and model",
            )
        return answer["outputs"]  # type: ignore[no-any-return]

    def close(self) -> None:
        """Ends the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> PlainLoader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def compare_outputs(
    own: Sequence[Sequence[float]],
    plain: Sequence[Sequence[float]],
    folder: Path,
    tolerance: float = RELATIVE_TOLERANCE,
) -> float:
    """The largest difference between the run's outputs and a plain load's, a row per input.

    Raises:
        ExportError: when it exceeds the tolerance, or there are more numbers on one side.
    """
    counts = [len(row) for row in own], [len(row) for row in plain]
    if counts[0] != counts[1]:
        raise ExportError(
            "plain transformers + PEFT give other outputs than the run: another number of them",
            where=str(folder),
            why="the outputs of virtual tokens are counted in, or a head is of another size",
            fix="nothing was exported; please report the method and model",
        )
    pairs = [(a, b) for x, y in zip(own, plain, strict=True) for a, b in zip(x, y, strict=True)]
    finite = all(math.isfinite(a) and math.isfinite(b) for a, b in pairs)
    difference = max((abs(a - b) for a, b in pairs), default=0.0) if finite else math.nan
    allowed = tolerance * max([1.0, *(abs(a) for a, _ in pairs)])
    if not difference <= allowed:
        raise ExportError(
            f"plain transformers + PEFT give other outputs than the run: they differ by "
            f"{difference:.3g}, allowed are {allowed:.3g}",
            where=str(folder),
            why="the exported adapter would not do what the recorded accuracy says",
            fix="nothing was exported; please report the method and model",
        )
    return difference
