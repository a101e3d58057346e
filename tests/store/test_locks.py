"""File systems that cannot lock files, as some network mounts: said, with what to do."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from filelock import Timeout

from tests.store.stored_recipes import news_recipe
from workbench.errors import StorageError
from workbench.store import Queue, lock_of, open_run, run_path


@pytest.fixture(params=["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the file system answers to each request for a lock."""
    code = getattr(errno, request.param)

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    return os.strerror(code)


def test_a_run_is_refused_with_the_file_and_what_to_do(no_locks: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        open_run(tmp_path, news_recipe(), 0)
    told = str(caught.value)
    path = run_path(tmp_path, news_recipe(), 0)
    assert str(path.parent / ".locks" / path.name) in told and no_locks in told
    assert "cannot lock files" in told and "--runs" in told and "local_lock=flock" in told
    assert not path.exists()


def test_a_queue_is_refused_the_same_way(no_locks: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot lock files"):
        Queue(tmp_path).add([])


def test_a_lock_that_somebody_has_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    with lock_of(tmp_path / "folder" / "lock"), pytest.raises(Timeout):
        lock_of(tmp_path / "folder" / "lock", blocking=False).acquire()


def test_a_lock_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="a lock could not be written: ") as caught:
        lock_of(tmp_path / "file" / "lock").acquire()
    assert str(tmp_path / "file" / "lock") in str(caught.value)
