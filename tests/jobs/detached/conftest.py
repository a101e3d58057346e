"""Jobs that run any Python in the place of a run, and processes that sleep."""

from __future__ import annotations

import contextlib
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.jobs import launch
from workbench.recipe import Recipe
from workbench.store import process_start_time, write_json

Script = Callable[[str], None]
Sleeper = Callable[..., subprocess.Popen[bytes]]
INTERPRETER = sys.executable


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.model_validate(
        {
            "study": "news",
            "name": "lora-r4",
            "task": {"name": "text-classification"},
            "model": {"source": "asset:minilm-l6"},
            "data": {"source": "asset:bbc-news"},
            "method": {"name": "lora", "r": 4},
            "seeds": [0, 1],
        }
    )


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """Makes a job's process run some Python instead of the workbench; ends what is left of it."""
    script = tmp_path / "child"
    before = {process.pid for process in psutil.Process().children()}

    def write(source: str) -> None:
        script.write_text(f"#!{INTERPRETER}\n{source}\n", encoding="utf-8")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    write("import time; time.sleep(60)")
    monkeypatch.setattr(launch.sys, "executable", str(script))
    yield write
    monkeypatch.setattr(launch.sys, "executable", INTERPRETER)
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have just ended by itself
            if process.pid not in before and str(script) in process.cmdline():
                process.kill()


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def write_status(path: Path, process: subprocess.Popen[bytes], **fields: Any) -> None:
    path.mkdir(parents=True, exist_ok=True)
    started = process_start_time(process.pid)
    status = {
        "version": 1,
        "state": "running",
        "pid": process.pid,
        "started_at": time.time(),
        "process_started_at": started,
        "host": socket.gethostname(),
        "heartbeat_at": time.time(),
        **fields,
    }
    write_json(path / "status.json", status)


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """Starts processes that say when they are ready, and ends them afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(before: str = "") -> subprocess.Popen[bytes]:
        source = f"import os, signal, subprocess, sys, time\n{before}\nprint('ready', flush=True)\n"
        process = subprocess.Popen(
            [INTERPRETER, "-c", source + "time.sleep(60)"], stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"ready"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
