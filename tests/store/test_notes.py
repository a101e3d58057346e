"""What people note of a run: kept beside its record, and no part of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.store.stored_recipes import news_recipe
from workbench.errors import RunRefused, UsageError
from workbench.store import open_run, read_run
from workbench.store.notes import Notes, changed_tags, in_words, read_notes, write_notes

SAID = Notes(name="best so far", text="two\nlines", tags=("paper", "v2"), starred=True)


def test_notes_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_notes(tmp_path, SAID)
    assert read_notes(tmp_path) == SAID
    assert in_words(SAID) == '★ "best so far" [paper, v2]: two\nlines'
    assert changed_tags(("a", "b"), ("c", " b "), ("a",)) == ("b", "c")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        '{"name": 3, "tags": "x", "starred": 1, "text": null}',
        '{"tags": [1, null]}',
        "\0",
    ],
)
def test_notes_of_another_form_are_empty(content: str, tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text(content)
    assert read_notes(tmp_path) == Notes()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(json.dumps({"name": "x"}))
    (tmp_path / "notes.json").symlink_to(tmp_path / "elsewhere")
    assert read_notes(tmp_path) == Notes()


@pytest.mark.parametrize(
    "notes",
    [
        Notes(name="x" * 121),
        Notes(text="x" * 10_001),
        Notes(tags=("x" * 41,)),
        Notes(tags=tuple(map(str, range(21)))),
    ],
)
def test_what_is_too_long_is_refused(notes: Notes, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="characters|tags"):
        write_notes(tmp_path, notes)
    assert not (tmp_path / "notes.json").exists()


def test_a_run_without_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunRefused, match="has not started"):
        write_notes(tmp_path / "s" / "r", SAID)


def test_notes_stay_over_attempts_and_change_no_record(tmp_path: Path) -> None:
    writer = open_run(tmp_path, news_recipe(), 0)
    write_notes(writer.path, SAID)
    writer.close("failed", "why")
    before = read_run(writer.path)
    assert before.notes == SAID and "best so far" not in json.dumps(before.status)
    open_run(tmp_path, news_recipe(), 0, resume=True).close("failed")
    assert read_run(writer.path).notes == SAID
    again = open_run(tmp_path, news_recipe(), 0)  # in a new folder of the same name
    assert read_run(again.path).notes == SAID
    again.close("stopped")
