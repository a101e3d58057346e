"""Deleting: the run's own folder, once it has ended, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.stored_recipes import news_recipe
from workbench.errors import RunRefused
from workbench.store import delete_run, list_runs, open_run, read_run


def ended(runs: Path, seed: int = 0) -> Path:
    writer = open_run(runs, news_recipe(), seed)
    (writer.path / "checkpoints" / "step-000001").mkdir(parents=True)
    writer.close("stopped")
    return writer.path


def test_a_run_that_has_ended_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    path, other = ended(tmp_path), ended(tmp_path, 1)
    before = {file: file.read_bytes() for file in other.rglob("*") if file.is_file()}
    delete_run(read_run(path))
    assert [run.path for run in list_runs(tmp_path)] == [other]
    assert not [entry for entry in path.parent.iterdir() if "deleted" in entry.name]
    assert {file: file.read_bytes() for file in other.rglob("*") if file.is_file()} == before
    assert open_run(tmp_path, news_recipe(), 0).path == path  # its name is free again


def test_a_run_that_is_active_stays(tmp_path: Path) -> None:
    writer = open_run(tmp_path, news_recipe(), 0)
    writer.update(state="running")
    with pytest.raises(RunRefused, match="another process has this run|this run is running"):
        delete_run(read_run(writer.path))
    assert read_run(writer.path).state == "running"
    writer.close("stopped")


def test_a_run_that_was_started_again_meanwhile_stays(tmp_path: Path) -> None:
    path = ended(tmp_path)
    seen = read_run(path)
    writer = open_run(tmp_path, news_recipe(), 0, resume=True)
    with pytest.raises(RunRefused):
        delete_run(seen)
    assert (path / "checkpoints" / "step-000001").is_dir()
    writer.close("stopped")


def test_of_a_link_only_the_link_goes(tmp_path: Path) -> None:
    real = ended(tmp_path / "elsewhere")
    link = tmp_path / "runs" / "study" / real.name
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    delete_run(read_run(link))
    assert not link.is_symlink()
    assert (real / "status.json").is_file()


def test_a_folder_that_nobody_can_read_can_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "study" / "broken"
    path.mkdir(parents=True)
    (path / "status.json").write_text('{"state": "fin')
    delete_run(read_run(path))
    assert not path.exists()
