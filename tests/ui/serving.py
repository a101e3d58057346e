"""The app on a free port, as `workbench ui` serves it."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from workbench.cli.ui_server import app_path, command


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_served(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Returns once something answers at the port."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


class Server:
    """A server process; leaving the block ends it and nothing that it started.

    Args:
        runs: the runs folder that it shows.
        port: where it listens; a free port by default.
        app: another script than the app's own.
    """

    def __init__(self, runs: Path, *, port: int = 0, app: Path | None = None) -> None:
        self.runs = runs
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = runs.parent / f"server-{self.port}.log"
        argv, environment = command(runs, self.port)
        if app is not None:
            argv[argv.index(str(app_path()))] = str(app)
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.pid = self._process.pid

    def __enter__(self) -> Server:
        try:
            wait_until_served(self.port, self._process)
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}:\n{self._log.read_text()}") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """Ends the server without warning, as a crash would."""
        self._process.kill()
        self._process.wait()
