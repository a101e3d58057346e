"""Several processes as one: whichever is killed, none is left, and one signal is one signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.jobs.conftest import wait_for
from tests.store.stored_recipes import ROOT, news_recipe
from workbench.store import open_run, read_run, run_path

LAUNCHER = """
import os, sys
from pathlib import Path
from workbench.jobs import ranks, run_together
ranks.FAILED_SECONDS, ranks.ENDED_SECONDS = 1.5, 0.5  # a deaf rank is waited for that long
sys.exit(run_together([sys.executable, "-c", sys.argv[1], sys.argv[2]], 2, dict(os.environ),
                      [Path(p) for p in sys.argv[3:]]))
"""
RANK = """
import os, signal, sys, time
from pathlib import Path
from workbench.jobs import end_with_launcher
end_with_launcher()
folder, rank = Path(sys.argv[1]), os.environ["RANK"]
heard = []
def listen(number, frame):
    heard.append(number)
    (folder / f"heard-{rank}").write_text(" ".join(map(str, heard)))
signal.signal(signal.SIGTERM, listen)
signal.signal(signal.SIGHUP, listen)
"""
READY = """
(folder / f"pid-{rank}.part").write_text(str(os.getpid()))
(folder / f"pid-{rank}.part").rename(folder / f"pid-{rank}")
"""
DEAF = "while True: time.sleep(0.1)\n"
LISTENING = "while not heard: time.sleep(0.05)\ntime.sleep(0.5)\nsys.exit(128 + heard[0])\n"

Launch = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Starts a launcher with two ranks and waits until both say that they are there."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(body: str, *runs: Path, ready: bool = True) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", LAUNCHER, RANK + body, str(tmp_path), *map(str, runs)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        begun.append(process)
        if ready:
            wait_for(lambda: (tmp_path / "pid-0").exists() and (tmp_path / "pid-1").exists())
        return process

    yield begin
    for process in begun:
        process.kill()
        process.wait()
    for file in tmp_path.glob("pid-[01]"):
        if psutil.pid_exists(int(file.read_text())):
            os.kill(int(file.read_text()), signal.SIGKILL)


def ranks_in(folder: Path) -> list[psutil.Process]:
    return [psutil.Process(int((folder / f"pid-{n}").read_text())) for n in (0, 1)]


@pytest.mark.parametrize(
    "victim", ["launcher", "rank 0", pytest.param("rank 1", marks=pytest.mark.slow)]
)
def test_nobody_survives_a_kill(tmp_path: Path, launch: Launch, victim: str) -> None:
    launcher = launch(READY + DEAF)
    ranks = ranks_in(tmp_path)
    os.kill(launcher.pid if victim == "launcher" else ranks[int(victim[-1])].pid, signal.SIGKILL)
    killed = time.monotonic()
    assert launcher.wait(10) == (-9 if victim == "launcher" else 137)
    gone, alive = psutil.wait_procs(ranks, timeout=10)
    assert not alive and time.monotonic() - killed < 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_each_process_once(
    tmp_path: Path, launch: Launch, number: signal.Signals
) -> None:
    launcher = launch(READY + LISTENING)
    launcher.send_signal(number)
    assert launcher.wait(20) == 128 + number
    assert [(tmp_path / f"heard-{n}").read_text() for n in (0, 1)] == [str(int(number))] * 2


def test_a_failure_ends_the_others_and_is_the_exit_code(tmp_path: Path, launch: Launch) -> None:
    body = READY + "if rank == '1': sys.exit(7)\n" + DEAF
    launcher = launch(body)
    started = time.monotonic()
    assert launcher.wait(20) == 7 and time.monotonic() - started < 10
    assert (tmp_path / "heard-0").read_text() == str(int(signal.SIGTERM)), "asked before killed"


def test_all_have_a_place_and_one_port(tmp_path: Path, launch: Launch) -> None:
    names = ["MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"]
    body = f"(folder / f'place-{{rank}}').write_text(' '.join(os.environ[n] for n in {names}))\n"
    listen = """
import socket
with socket.socket() as server:  # as the first process of torch does
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if rank == "0":
        server.bind((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])))
        server.listen()
"""
    assert launch(body + listen, ready=False).wait(30) == 0
    first, second = ((tmp_path / f"place-{n}").read_text().split() for n in (0, 1))
    assert first[:2] == second[:2] and first[0] == "127.0.0.1"
    assert first[2:] == ["0", "0", "2", "2"] and second[2:] == ["1", "1", "2", "2"]


def test_the_record_says_which_process_was_killed(tmp_path: Path, launch: Launch) -> None:
    """What the first process met is the loss of the other, which is the reason."""
    path = run_path(tmp_path, news_recipe(), 0)
    body = f"""
from tests.store.stored_recipes import news_recipe
from workbench.store import open_run
writer = open_run(Path({str(tmp_path)!r}), news_recipe(), 0) if rank == "0" else None
{READY}
if rank == "0":
    while not (folder / "go").exists(): time.sleep(0.05)
    writer.close("failed", "connection closed by peer")
    sys.exit(1)
{DEAF}
"""
    launcher = launch(body, path)
    assert read_run(path).status["launcher"]["pid"] == launcher.pid
    ranks_in(tmp_path)[1].kill()
    time.sleep(0.3)
    (tmp_path / "go").touch()
    assert launcher.wait(20) == 137
    first, second = read_run(path).reason.splitlines()
    assert first.startswith("process 1 of 2 was killed by SIGKILL (signal 9)")
    assert second == "connection closed by peer"
    open_run(tmp_path, news_recipe(), 0).close("stopped")


def test_a_process_alone_is_tied_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.store import launcher_of_this_process

    for name in ("WORKBENCH_LAUNCHER", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert launcher_of_this_process() is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert launcher_of_this_process() == os.getppid()
    monkeypatch.setenv("WORKBENCH_LAUNCHER", "1234")
    assert launcher_of_this_process() == 1234
