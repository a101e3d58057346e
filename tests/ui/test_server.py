"""The server is for this machine: it listens on loopback only and sends nothing home."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from serving import Server, free_port, wait_until_served

from workbench.cli import ui_server
from workbench.errors import UsageError
from workbench.jobs import child_environment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> object:
    with Server(tmp_path_factory.mktemp("served") / "runs") as running:
        yield running


def test_the_server_listens_on_loopback_alone(server: Server) -> None:
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    listening = [
        connection.laddr
        for process in family
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == {server.port}


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.0.7"])
def test_another_address_needs_two_options(address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="other machines"):
        ui_server.command(tmp_path, 8501, address)
    argv, _ = ui_server.command(tmp_path, 8501, address, expose=True)
    assert f"--server.address={address}" in argv


def test_the_command_says_where_the_runs_are_and_sends_nothing_home(tmp_path: Path) -> None:
    argv, environment = ui_server.command(tmp_path, 9000)
    assert environment[ui_server.RUNS_VARIABLE] == str(tmp_path)
    assert {"--server.port=9000", "--server.address=127.0.0.1"} <= set(argv)
    assert "--browser.gatherUsageStats=false" in argv
    assert "--server.enableXsrfProtection=true" in argv
    assert f"--server.maxUploadSize={ui_server.LARGEST_UPLOAD_MB}" in argv
    assert {a for a in argv if "allowedHosts" in a} == {
        "--server.allowedHosts=127.0.0.1", "--server.allowedHosts=localhost"
    }  # fmt: skip
    theme = Path(next(a for a in argv if a.startswith("--theme.base=")).partition("=")[2])
    assert theme.is_file()


def test_serve_warns_when_it_is_exposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Ended:
        def __init__(self, argv: list[str], env: dict[str, str]) -> None:
            assert "--server.address=0.0.0.0" in argv

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Ended)
    assert ui_server.serve(tmp_path, 8501, "0.0.0.0", expose=True) == 0
    assert "nothing that travels is encrypted" in capsys.readouterr().err


def test_a_token_that_can_be_guessed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ui_server.TOKEN_VARIABLE, "secret")
    with pytest.raises(UsageError, match="shorter than 16 characters"):
        ui_server.command(tmp_path)


def test_ending_the_command_ends_the_server(tmp_path: Path) -> None:
    port = free_port()
    source = (
        "from workbench.cli.ui_server import serve\n"
        f"raise SystemExit(serve({str(tmp_path)!r}, {port}, '127.0.0.1', expose=False))"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", source],
        env=child_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until_served(port, command)
    (server,) = psutil.Process(command.pid).children()
    command.terminate()
    command.wait(20)
    assert not server.is_running()
