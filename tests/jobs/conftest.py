"""Jobs whose supervisor is real and whose run only writes a run folder, without torch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.store.stored_recipes import ROOT, news_recipe
from workbench.jobs import launch
from workbench.recipe import Recipe

STAND_IN = """#!{python}
import os, signal, sys, time
from pathlib import Path
arguments = [each for each in sys.argv[1:] if each != "-P"]
if arguments[1] != "workbench":
    os.execv({python!r}, [{python!r}, *arguments])
from workbench.recipe import load_recipe
from workbench.store import open_run, read_run
command, given = arguments[2], Path(arguments[3])
root = Path(arguments[arguments.index("--runs") + 1])
recipe = load_recipe(given / "recipe.yaml" if command == "resume" else given)
seed = int(arguments[arguments.index("--seeds") + 1]) if "--seeds" in arguments else 0
behaviour = recipe.name.partition("-")[0]
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(signal.SIGTERM))
if behaviour == "crash":
    sys.exit("no such module")
writer = open_run(root, recipe, seed, resume=command == "resume")
writer.update(state="running", devices=os.environ.get("CUDA_VISIBLE_DEVICES"))
print("began", flush=True)
if behaviour == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if behaviour == "fail":
    writer.close("failed", "the loss was nan")
    sys.exit(1)
if behaviour == "long" and command == "run":
    (writer.path / "checkpoints" / "last").mkdir(parents=True)
    while not (asked or writer.stop_requested):
        time.sleep(0.05)
    writer.close("stopped", "stopped on request", signal=asked[0] if asked else None)
    sys.exit(143 if asked else 130)
if behaviour == "stubborn":
    while True:
        time.sleep(1)
writer.finish({{"resumed": command == "resume"}})
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program in the place of the interpreter; ends whatever was started with it."""
    script = tmp_path / "stand-in"
    script.write_text(STAND_IN.format(python=sys.executable), encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(launch.sys, "executable", str(script))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield script
    for process in psutil.process_iter(["cmdline"]):
        if any(str(tmp_path) in part for part in process.info["cmdline"] or ()):
            process.kill()


def named(name: str) -> Recipe:
    """A recipe whose run does what the first part of its name says."""
    return news_recipe(name)


def wait_for(condition: Callable[[], object], what: str = "", seconds: float = 40.0) -> None:
    """Waits until something holds, and fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited too long {what}"
        time.sleep(0.05)


Begin = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def worker(stand_in: Path) -> Iterator[Begin]:
    """Starts a real worker process whose runs are stand-ins; ``said.txt`` is what it said."""
    begun: list[subprocess.Popen[bytes]] = []
    source = (
        "import sys\nfrom workbench.cli import main\nfrom workbench.jobs import launch\n"
        "launch.sys.executable = sys.argv[1]\nsys.exit(main(sys.argv[2:]))"
    )

    def begin(root: Path, *slots: str) -> subprocess.Popen[bytes]:
        options = [option for slot in slots or ("cpu",) for option in ("--devices", slot)]
        command = ["queue", "start", "--foreground", "--runs", str(root), *options]
        with open(root / "said.txt", "ab") as said:
            process = subprocess.Popen(
                [PYTHON, "-c", source, str(stand_in), *command],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stderr=said,
                start_new_session=True,
            )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.wait()


PYTHON = sys.executable
