"""A disk that fills in the middle of a write: the caller is told, and no part is left."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.store.stored_recipes import news_recipe
from workbench.store import open_run, read_run, write_text


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
    with room_for(len(before) + 40), pytest.raises(OSError, match="No space left"):
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
