"""``workbench note``, and where its notes are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_notes_are_set_changed_and_shown(
    workbench: Callable[..., Any], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    make_run("a-s0-1"), make_run("b-s0-1")
    at = ("--runs", tmp_path / "runs")
    assert "notes" not in workbench("runs", *at).out
    options = ("--name", "best\x1b[31m", "--tag", "paper", "--tag", "v2", "--star")
    assert workbench("note", "a-s0-1", *options, *at).code == 0
    document = workbench("note", "a-s0-1", "b-s0-1", "--untag", "v2", "--json", *at).json["notes"]
    assert document["s/a-s0-1"] == {
        "name": "best\x1b[31m", "text": "", "tags": ["paper"], "starred": True, "archived": False,
    }  # fmt: skip
    assert document["s/b-s0-1"]["tags"] == []
    assert '★ "best\ufffd[31m" [paper]' in workbench("runs", *at).out
    assert '★ "best\ufffd[31m" [paper]' in workbench("show", "a-s0-1", *at).out
    assert workbench("runs", "--json", *at).json["runs"][0]["notes"]["tags"] == ["paper"]
    assert "no notes" in workbench("note", "b-s0-1", *at).out


def test_several_tags_are_given_with_commas_or_one_by_one(
    workbench: Callable[..., Any], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    make_run("a-s0-1")
    at = ("--json", "--runs", tmp_path / "runs")

    def tags(*options: str) -> list[str]:
        found: list[str] = workbench("note", "a-s0-1", *options, *at).json["notes"]["s/a-s0-1"][
            "tags"
        ]
        return found

    assert tags("--tag", "a, b c,,a", "--tag", "d") == ["a", "b c", "d"]
    assert tags("--untag", "a,d") == ["b c"]


def test_an_archived_run_is_left_out_of_the_list(
    workbench: Callable[..., Any], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    make_run("a-s0-1"), make_run("b-s0-1")
    at = ("--runs", tmp_path / "runs")
    workbench("note", "a-s0-1", "--archive", *at)
    out = workbench("runs", *at).out
    assert "a-s0-1" not in out and "1 run, 0 active, 1 archived (--archived shows them)" in out
    assert "a-s0-1" in workbench("runs", "--archived", *at).out
    states = [row["notes"]["archived"] for row in workbench("runs", "--json", *at).json["runs"]]
    assert states == [True, False], "a script sees all of them"
    workbench("note", "a-s0-1", "--no-archive", *at)
    assert "a-s0-1" in workbench("runs", *at).out


def test_a_note_that_is_too_long_or_of_no_run_is_refused(
    workbench: Callable[..., Any], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    make_run("a-s0-1")
    at = ("--runs", tmp_path / "runs")
    long = workbench("note", "a-s0-1", "--name", "x" * 200, *at)
    assert long.code == 2 and "the name has 200 characters" in long.err
    assert workbench("note", "none", "--star", *at).code == 3
