"""The command that serves the Streamlit app; Streamlit itself is not imported here."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import workbench
from workbench.errors import UsageError
from workbench.jobs import child_environment
from workbench.store import DEFAULT_RUNS_DIR

LOOPBACK = "127.0.0.1"
EVERYWHERE = ("0.0.0.0", "::")
DEFAULT_PORT = 8501
RUNS_VARIABLE = "WORKBENCH_RUNS"
"""Environment variable that tells the app which runs folder it shows."""
TOKEN_VARIABLE = "WORKBENCH_UI_TOKEN"
"""Environment variable for a token of one's own; a random one at each start otherwise."""
SHORTEST_TOKEN = 16
LARGEST_UPLOAD_MB = 200
"""An upload is held in memory; what is larger comes by its path on the machine that serves."""


def app_path() -> Path:
    """The Streamlit script: inside an installed package, else in the checkout beside it.

    Raises:
        UsageError: when neither is there.
    """
    package = Path(workbench.__path__[0]).resolve()
    for candidate in (package / "_ui" / "app.py", package.parent / "ui" / "app.py"):
        if candidate.is_file():
            return candidate
    fix = "pip install 'peft-workbench[ui]'"
    raise UsageError("the UI is not part of this installation", fix=fix)


def command(
    runs_dir: Path | str = DEFAULT_RUNS_DIR,
    port: int = DEFAULT_PORT,
    address: str = LOOPBACK,
    *,
    expose: bool = False,
) -> tuple[list[str], dict[str, str]]:
    """The argument list and environment that serve the app.

    Whoever has the app's link can start processes and read files as its user, and nothing
    encrypts it, so another address than loopback needs two options.

    Raises:
        UsageError: when Streamlit is missing, ``address`` is not loopback and ``expose`` is not
            set, or the token of the environment is too short.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise UsageError("Streamlit is not installed", fix="pip install 'peft-workbench[ui]'")
    if 0 < len(os.environ.get(TOKEN_VARIABLE, "")) < SHORTEST_TOKEN:
        raise UsageError(
            f"{TOKEN_VARIABLE} is shorter than {SHORTEST_TOKEN} characters",
            why="it can be guessed",
            fix="take a random one, or unset it",
        )
    hosts = _hosts(address, expose)
    app = app_path()
    options = {
        "server.address": address,
        "server.port": str(port),
        "server.headless": "true",
        "server.enableCORS": "true",
        "server.enableXsrfProtection": "true",
        "server.maxUploadSize": str(LARGEST_UPLOAD_MB),
        "server.fileWatcherType": "none",
        "logger.hideWelcomeMessage": "true",
        "runner.magicEnabled": "false",
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none",
        "browser.gatherUsageStats": "false",
        "browser.serverAddress": LOOPBACK if address in EVERYWHERE else address,
        "theme.base": str(app.parent / "theme.toml"),
    }
    argv = [sys.executable, "-P", "-m", "streamlit", "run", str(app.with_name("serve.py"))]
    argv += [f"--{name}={value}" for name, value in options.items()]
    argv += [f"--server.allowedHosts={host}" for host in hosts]
    environment = child_environment() | {RUNS_VARIABLE: str(Path(runs_dir).absolute())}
    return argv, environment


def _hosts(address: str, expose: bool) -> list[str]:
    """The names by which a browser may ask for the app."""
    hosts = [LOOPBACK, "localhost"]
    if address not in hosts:
        if not expose:
            raise UsageError(
                f"{address} can be reached from other machines",
                why="whoever has the app's link can start runs as you, and it is not encrypted",
                fix="tunnel instead (ssh -L 8501:127.0.0.1:8501 HOST), or add --expose",
            )
        hosts.append("*" if address in EVERYWHERE else address)
    return hosts


def serve(runs_dir: Path, port: int, address: str, *, expose: bool) -> int:
    """Serves the app until it is interrupted; returns Streamlit's exit code.

    Raises:
        UsageError: as ``command`` does.
    """
    argv, environment = command(runs_dir, port, address, expose=expose)
    if address not in (LOOPBACK, "localhost"):
        print(
            f"warning: {address} can be reached from other machines; whoever has the link can "
            "start runs as you, and nothing that travels is encrypted",
            file=sys.stderr,
        )
    server = subprocess.Popen(argv, env=environment)
    before = signal.signal(signal.SIGTERM, lambda number, frame: server.terminate())
    try:
        while True:
            try:
                return server.wait()
            except KeyboardInterrupt:
                # The terminal sends the same signal to the server, which then ends by itself.
                continue
    finally:
        signal.signal(signal.SIGTERM, before)
