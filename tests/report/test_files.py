"""Where a report goes: whole or not there, and nobody else's files are lost to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from reported_runs import add_study

from workbench.errors import RunRefused, StorageError, UsageError
from workbench.report import write_report
from workbench.report.files import file_names, foreign_files, write_folder


def test_a_report_is_replaced_and_its_old_files_go(tmp_path: Path) -> None:
    write_folder(tmp_path / "r", {"old.txt": "1", "tables/a.csv": "1"})
    write_folder(tmp_path / "r", {"new.txt": b"2"})
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == ["new.txt", "report.json"]
    assert os.listdir(tmp_path) == ["r"]


@pytest.mark.usefixtures("undrawn")
def test_a_folder_of_something_else_is_refused_and_untouched(runs: Path, tmp_path: Path) -> None:
    add_study(runs, seeds=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunRefused, match="thesis.tex"):
        write_report([runs], tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["thesis.tex"]
    write_report([runs], tmp_path / "mine", force=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / "mine" / "report.html").is_file()
    assert foreign_files(tmp_path / "mine") == ["thesis.tex"]
    with pytest.raises(RunRefused):
        write_report([runs], tmp_path / "mine")
    with pytest.raises(RunRefused):
        write_report([runs], runs)


@pytest.mark.usefixtures("undrawn")
def test_an_empty_folder_and_a_missing_one_are_fine_a_file_is_not(
    runs: Path, tmp_path: Path
) -> None:
    add_study(runs, seeds=1)
    (tmp_path / "empty").mkdir()
    assert write_report([runs], tmp_path / "empty").is_file()
    assert write_report([runs], tmp_path / "a" / "b").is_file()
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="not a folder"):
        write_report([runs], tmp_path / "file")


def test_a_write_that_fails_leaves_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "r", {"a.txt": "old"})

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="No space left"):
        write_folder(tmp_path / "r", {"a.txt": "new"})
    assert (tmp_path / "r" / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["r"]


def test_nothing_finished_is_said_in_words(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finished run"):
        write_report([runs], tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_names_of_files_are_distinct_and_harmless() -> None:
    names = file_names(["lora", "LoRA", "../x", "a/b", "a b", "", "é" * 300])
    assert len(set(map(str.lower, names.values()))) == len(names)
    assert names["lora"] == "lora" and names["LoRA"] == "LoRA-2" and names["../x"] == "x"
    assert all(name and "/" not in name and not name.startswith(".") for name in names.values())
