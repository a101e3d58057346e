"""A study on the disk: whole or not there, the same again, and never over another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.own_data import clean_reviews
from workbench.errors import StorageError, UsageError
from workbench.new_study import Choices, inspect, write_study
from workbench.recipe import load_recipes


def looked_at(path, **more):
    return inspect(Choices(name="my-study", source=str(path), **more), path.parent / "my-data")


def written(tmp_path, **more):
    found = looked_at(clean_reviews(tmp_path / "reviews.csv"), **more)
    folder = tmp_path / "my-recipes" / "my-study"
    return found.checked.draft, folder, write_study(found.checked.draft, folder)


def test_a_study_is_written_as_recipes_that_the_command_line_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draft, folder, new = written(tmp_path)
    assert new and sorted(os.listdir(folder)) == [
        "_base.yaml",
        "full.yaml",
        "lora.yaml",
        "prompt.yaml",
    ]
    recipes = load_recipes(folder)
    assert [r.fingerprint for r in recipes] == [r.fingerprint for r in draft.recipes()]
    assert {recipe.study for recipe in recipes} == {"my-study"}
    first = (folder / "_base.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# Made by: {draft.choices.command()}"
    assert "source: ../../reviews.csv" in (folder / "_base.yaml").read_text(encoding="utf-8")


def test_the_same_study_again_changes_nothing_and_another_is_never_overwritten(tmp_path):
    draft, folder, _ = written(tmp_path)
    assert write_study(draft, folder) is False
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = looked_at(tmp_path / "reviews.csv", seeds=(7,)).checked.draft
    with pytest.raises(UsageError, match="with other content") as caught:
        write_study(other, folder)
    assert "choose another name" in caught.value.fix
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("file", "before", "after", "same"),
    [
        ("_base.yaml", "# test: ", "# a line of an older version: ", True),
        ("_base.yaml", "task:\n", "task:\n  problem_type: single_label_classification\n", True),
        ("lora.yaml", "base: _base.yaml\n", "base: _base.yaml\nprune: 3\n", False),
        ("_base.yaml", "batch_size: 16", "batch_size: 8", False),
        ("_base.yaml", "task:", "tusk:", False),
        ("full.yaml", "base: _base.yaml", "base: [", False),
    ],
)
def test_a_study_that_means_the_same_is_the_same(tmp_path, file, before, after, same):
    draft, folder, _ = written(tmp_path)
    text = (folder / file).read_text(encoding="utf-8")
    assert before in text
    (folder / file).write_text(text.replace(before, after), encoding="utf-8")
    if same:
        assert write_study(draft, folder) is False
    else:
        with pytest.raises(UsageError, match="with other content"):
            write_study(draft, folder)
    (folder / "more.yaml").write_text("base: _base.yaml\nmethod: {name: full}\n")
    with pytest.raises(UsageError, match="with other content"):
        write_study(draft, folder)


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_disk_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch, at):
    done = []

    def failing(path: Path) -> None:
        done.append(path)
        if len(done) == at:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("workbench.new_study.write.sync", failing)
    with pytest.raises(StorageError, match="No space left"):
        written(tmp_path)
    assert not list((tmp_path / "my-recipes").iterdir())


def test_what_a_killed_process_had_begun_is_removed(tmp_path):
    left = tmp_path / "my-recipes" / ".my-study.999999999.tmp"
    left.mkdir(parents=True)
    (left / "_base.yaml").write_text("half", encoding="utf-8")
    _, folder, _ = written(tmp_path)
    assert list(folder.parent.iterdir()) == [folder]


def test_a_name_that_leads_elsewhere_is_refused(tmp_path):
    for name in ("../x", "a/b", ".hidden", ""):
        with pytest.raises(UsageError, match="cannot be a name"):
            Choices(name=name, source="x.csv")
