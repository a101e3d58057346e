"""From folders and names to recipes."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_files import BASE, problems_of, write

from workbench.errors import RecipeError
from workbench.recipe import (
    find_recipes,
    layers,
    load_recipe,
    load_recipes,
    readable_recipes,
    recipes_dir,
)
from workbench.recipe.yaml_reader import read_file


def test_find_recipes_leaves_out_bases_and_hidden_files(study: Path) -> None:
    for name in ("b.yaml", "a.yml", "_other.yaml", ".hidden.yaml", "notes.txt"):
        write(study, BASE, name)
    (study / ".cache").mkdir()
    write(study / ".cache", BASE, "c.yaml")
    assert [p.name for p in find_recipes(study)] == ["a.yml", "b.yaml"]
    assert find_recipes(study / "b.yaml") == [study / "b.yaml"]


def test_shipped_recipes_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipes("bbc-news/lora") == [recipes_dir() / "bbc-news" / "lora.yaml"]
    assert len(find_recipes("bbc-news")) == 8
    (tmp_path / "bbc-news").mkdir()
    write(tmp_path / "bbc-news", BASE, "own.yaml")
    assert [p.name for p in find_recipes("bbc-news")] == ["own.yaml"], "a path here comes first"


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("bbc-nws", "Did you mean bbc-news?"),
        ("bbc-news/lroa", "Did you mean bbc-news/lora?"),
        ("../workbench", "one of: "),
        ("", "one of: "),
    ],
)
def test_a_name_that_is_nothing(
    name: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if name == "":
        name = "nothing-like-it"
    (problem,) = problems_of(name)
    assert problem.what == "no such file or folder, and no shipped recipe of that name"
    assert problem.fix.startswith(fix)


def test_folders_without_recipes_and_bases_are_refused(study: Path) -> None:
    (problem,) = problems_of(study)
    assert problem.what == "holds no recipe (*.yaml)"
    (problem,) = problems_of(study / "_base.yaml")
    assert problem.what == "is a base, not a recipe"
    write(study, BASE, "a.yaml")
    write(study, BASE, "b.yaml")
    (problem,) = problems_of(study)
    assert problem.what == "holds 2 recipes, and one is needed"


def test_load_recipes_takes_each_file_once(study: Path) -> None:
    path = write(study, BASE)
    assert len(load_recipes([study, path, str(path)])) == 1


def test_load_recipes_collects_the_problems_of_all_files(study: Path) -> None:
    write(study, "base: _base.yaml\nmethod: {rr: 1}\n", "a.yaml")
    write(study, "base: _base.yaml\nseeds: []\n", "b.yaml")
    write(study, "base: _base.yaml\n", "good.yaml")
    with pytest.raises(RecipeError) as caught:
        load_recipes([study, "no-such-thing-at-all"])
    files = [Path(p.file).name for p in caught.value.problems]
    assert files == ["no-such-thing-at-all", "a.yaml", "b.yaml"]


def test_a_broken_base_is_reported_once_for_the_whole_study(study: Path) -> None:
    write(study, BASE.replace("epochs: 2", "epochs: 0"), "_base.yaml")
    for name in ("a.yaml", "b.yaml"):
        write(study, "base: _base.yaml\n", name)
    with pytest.raises(RecipeError) as caught:
        load_recipes(study)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (str(study / "_base.yaml"), 7)
    assert problem.key == "training.epochs"


def test_a_listing_reads_a_base_once_and_no_recipe_changes_it(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(study, "base: _base.yaml\nmethod: {r: 16}\ndata: {config: cola}\n", "a.yaml")
    write(study, "base: _base.yaml\nmethod: {name: peft, type: LOHA, config: {r: 2}}\n", "b.yaml")
    write(study, "base: _base.yaml\n", "c.yaml")
    write(study, "base: _base.yaml\nmethod: {r: none}\n", "d.yaml")
    alone = [load_recipe(study / f"{name}.yaml") for name in "abc"]

    read: list[str] = []
    monkeypatch.setattr(
        layers, "read_file", lambda path: (read.append(path.name), read_file(path))[1]
    )
    recipes, problems = readable_recipes(study)
    assert read == ["a.yaml", "_base.yaml", "b.yaml", "c.yaml", "d.yaml"]
    assert [file.name for file in recipes] == ["a.yaml", "b.yaml", "c.yaml"]
    assert list(recipes.values()) == alone
    assert [(Path(p.file).name, p.key) for p in problems] == [("d.yaml", "method.r")]


def test_two_files_of_one_name_are_refused(study: Path) -> None:
    write(study, BASE, "a.yaml")
    write(study, BASE + "name: a\n", "b.yaml")
    with pytest.raises(RecipeError, match="my-study/a is also the name of"):
        load_recipes(study)
