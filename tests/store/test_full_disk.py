"""A disk that fills in the middle of a write: the caller is told, and no part is left."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.small_disk import fill_bytes, fill_inodes, small_disk
from tests.store.stored_recipes import news_recipe
from workbench.errors import StorageError
from workbench.store import open_run, read_run, record_death, run_path, write_json, write_text
from workbench.store.run_writer import RESERVE


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes; the kernel writes what fits, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_row_that_does_not_fit_leaves_no_part_of_it(tmp_path: Path) -> None:
    writer = open_run(tmp_path, news_recipe(), 0)
    log = writer.path / "events.jsonl"
    writer.event("first")
    before = log.read_bytes()
    with room_for(len(before) + 40), pytest.raises(StorageError, match="File too large"):
        writer.event("second", text="x" * 1000)
    assert log.read_bytes() == before
    writer.event("third")
    writer.close("stopped")
    assert [row["kind"] for row in read_run(writer.path).events()[0]] == ["first", "third"]


def test_a_text_that_does_not_fit_leaves_the_old_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "old")
    with room_for(40), pytest.raises(OSError):
        write_text(path, "new" * 1000)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


FILLS = pytest.mark.parametrize("fill", [fill_bytes, fill_inodes])
Fill = Callable[[Path], None]


@FILLS
def test_a_run_on_a_disk_that_stays_full_is_closed_with_its_reason(
    fill: Fill, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "size=1m,nr_inodes=60") as runs:
        writer = open_run(runs, news_recipe(), 0)
        writer.event("first")
        fill(runs / "ballast")
        with pytest.raises(StorageError, match="status could not be written: the disk is full"):
            writer.update(phase="train")
        writer.close("failed", "why it failed " * 9000, failure="disk")
        run = read_run(writer.path)
        assert run.state == "failed" and run.status["failure"] == "disk"
        assert run.reason.startswith("why it failed") and run.reason.endswith(" ...")
        assert not (run.path / RESERVE).exists() and not list(run.path.glob("*.tmp"))


@FILLS
def test_a_death_is_recorded_on_a_disk_that_stays_full(fill: Fill, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m,nr_inodes=60") as runs:
        writer = open_run(runs, news_recipe(), 0)
        writer._closed.set()
        writer._heart.join()
        write_json(writer.path / "status.json", {**writer._status, "pid": 2**22 + 1})
        writer._owner.release()  # as if its process were gone
        fill(runs / "ballast")
        assert record_death(writer.path, "killed by SIGKILL")
        run = read_run(writer.path)
        assert run.state == "interrupted" and run.reason == "killed by SIGKILL"


@FILLS
def test_a_run_that_finds_no_space_is_not_begun_and_leaves_the_one_before(
    fill: Fill, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "size=1m,nr_inodes=60") as runs:
        open_run(runs, news_recipe(), 0).close("stopped", "before")
        path = run_path(runs, news_recipe(), 0)
        before = sorted(path.iterdir())
        fill(runs / "ballast")
        for resume in (False, True):
            with pytest.raises(StorageError, match="could not be written: the disk is full"):
                open_run(runs, news_recipe(), 0, resume=resume)
            assert sorted(path.iterdir()) == before and read_run(path).reason == "before"
        with pytest.raises(StorageError, match="the disk is full"):
            open_run(runs, news_recipe("another"), 0)
        assert not run_path(runs, news_recipe("another"), 0).exists()
        assert [each for each in path.parent.iterdir() if each.suffix == ".tmp"] == []


def test_a_planted_reserve_is_not_written_through(tmp_path: Path) -> None:
    open_run(tmp_path, news_recipe(), 0).close("stopped")
    path, precious = run_path(tmp_path, news_recipe(), 0), tmp_path / "precious"
    precious.write_bytes(b"x" * 2**14)
    (path / RESERVE).symlink_to(precious)
    writer = open_run(tmp_path, news_recipe(), 0, resume=True)
    assert not (path / RESERVE).is_symlink()
    writer.close("stopped")
    assert precious.read_bytes() == b"x" * 2**14
