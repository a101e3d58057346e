"""A package index that does not answer: given up soon, and said."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workbench.assets import ASSETS, fetch, pip
from workbench.errors import AssetError


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The only index that pip knows, which takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        for name, value in {"CONFIG_FILE": os.devnull, "INDEX_URL": address}.items():
            monkeypatch.setenv(f"PIP_{name}", value)
        yield server


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], tuple[str, float]]:
    def refuse() -> tuple[str, float]:
        monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
        monkeypatch.delenv("WORKBENCH_WHEELS", raising=False)
        started = time.monotonic()
        with pytest.raises(AssetError) as caught:
            fetch(next(iter(ASSETS)))
        assert "WORKBENCH_WHEELS" in caught.value.fix and caught.value.where
        return caught.value.why, time.monotonic() - started

    return refuse


def test_a_silent_index(
    index: socket.socket, refused: Callable[[], tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pip, "ANSWER_SECONDS", 0.5)
    why, seconds = refused()
    assert "has not answered within 0.5 s" in why
    assert seconds < 14, "pip's own limit is 15 s, four times"


def test_an_index_that_refuses(
    index: socket.socket, refused: Callable[[], tuple[str, float]]
) -> None:
    index.close()
    why, _ = refused()
    assert "the package index was not reached" in why or "has not answered" in why


@pytest.fixture
def stands_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], tuple[bool, str]]:
    """Runs a program in the place of pip, with 0.3 s for an answer."""
    monkeypatch.setattr(pip, "ANSWER_SECONDS", 0.3)
    monkeypatch.delenv(pip.PATIENCE_VARIABLE, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(program: str) -> tuple[bool, str]:
        (tmp_path / "pip.py").write_text(f"from time import sleep\n{program}")
        succeeded, _, errors = pip.run_pip([], tmp_path)
        return succeeded, errors

    return run


WAITS = "print('Getting page http://x'); sleep(0.9); "


def test_once_the_index_has_answered_nothing_is_cut(
    stands_in: Callable[[str], tuple[bool, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = "print('Getting page http://x'); print('Fetched page http://x'); "
    assert stands_in(f"{page}print('Collecting x'); sleep(0.9)") == (True, "")
    assert stands_in(f"sleep(0.6); {page}") == (True, ""), "it has not asked yet"
    assert stands_in(WAITS)[0] is False
    assert stands_in(f"{page}{WAITS}")[0] is False, "a second index is silent"
    monkeypatch.setenv(pip.PATIENCE_VARIABLE, "30")
    assert stands_in(WAITS) == (True, "")
