"""Signals as requests: the first asks, its echo is nothing, a second one ends the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench.pipeline import signals
from workbench.pipeline.signals import handle_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with handle_signals() as request:
        assert request.signal_number is None
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)  # at once: the echo of a machine that goes down
        assert request.signal_number == number
    assert signal.getsignal(number) == before


def test_the_second_signal_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "ECHO_SECONDS", 0.01)
    # Tests that a script starts with & inherit a Ctrl-C that is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), handle_signals() as request:
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.02)
        signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)
    assert request.signal_number == signal.SIGTERM


def test_an_ignored_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handle_signals() as request:
            signal.raise_signal(signal.SIGHUP)
            assert request.signal_number is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_lost_terminal_can_still_be_printed_to(tmp_path: Path) -> None:
    """The terminal is a pty whose other end is closed, as when a window or an ssh is."""
    source = (
        "import sys, time\nfrom workbench.pipeline.signals import handle_signals\n"
        "with handle_signals() as request:\n"
        "    print('ready', flush=True)\n"
        "    while request.signal_number is None: time.sleep(0.02)\n"
        "    for _ in range(3): print('progress', flush=True)\n"
        f"open({str(tmp_path / 'saved')!r}, 'w').write(str(int(request.signal_number)))\n"
    )
    near, far = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", source],
        stdin=far,
        stdout=far,
        stderr=far,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    os.close(far)
    said = b""
    while not said.endswith(b"\n"):  # a line cut off by the end of its terminal is an error
        said += os.read(near, 100)
    assert said.startswith(b"ready")
    os.close(near)
    process.send_signal(signal.SIGHUP)
    assert process.wait(20) == 0
    assert (tmp_path / "saved").read_text() == str(int(signal.SIGHUP))
