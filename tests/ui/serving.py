"""The app on a free port, as `workbench ui` serves it."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from workbench.cli.ui_server import TOKEN_VARIABLE, app_path, command

if TYPE_CHECKING:
    from playwright.sync_api import Page

TOKEN = "the-token-of-tests"


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
        app: another folder of the app than its own.
        token: of its link; a random one where it is empty.
    """

    def __init__(
        self, runs: Path, *, port: int = 0, app: Path | None = None, token: str = TOKEN
    ) -> None:
        self.runs = runs
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = runs.parent / f"server-{self.port}.log"
        argv, environment = command(runs, self.port)
        environment[TOKEN_VARIABLE] = token
        if app is not None:
            script = str(app_path().with_name("serve.py"))
            argv[argv.index(script)] = str(app / "serve.py")
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.pid = self._process.pid

    def __enter__(self) -> Server:
        try:
            wait_until_served(self.port, self._process)
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}:\n{self.log.read_text()}") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def open(self, page: Page, address: str = "/") -> None:
        """Opens a page of the app as the printed link does, with the token in it."""
        page.goto(f"{self.url}{address}{'&' if '?' in address else '?'}token={TOKEN}")

    def kill(self) -> None:
        """Ends the server without warning, as a crash would."""
        self._process.kill()
        self._process.wait()
