"""From files, bases and overrides to recipes."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_files import BASE, problems_of, write

from workbench.errors import RecipeError
from workbench.recipe import (
    Recipe,
    build,
    dump_recipe,
    load_recipe,
    load_recipes,
)
from workbench.recipe.methods import METHOD_SPECS


def test_a_file_holds_only_what_differs(study: Path) -> None:
    recipe = load_recipe(write(study, "base: _base.yaml\nmethod: {r: 16}\nseeds: [7]\n"))
    assert (recipe.study, recipe.name) == ("my-study", "mine")
    assert recipe.method.model_dump() | {"name": "lora", "r": 16, "alpha": 32.0} == (
        recipe.method.model_dump()
    )
    assert recipe.model.max_length == 64 and recipe.training.batch_size == 8
    assert recipe.seeds == [7], "lists are replaced, not appended to"


def test_a_method_of_another_name_replaces_the_whole_method(study: Path) -> None:
    recipe = load_recipe(write(study, "base: _base.yaml\nmethod: {name: prefix}\n"))
    assert recipe.method.name == "prefix"
    by_override = load_recipe(write(study, "base: _base.yaml\n"), ["method.name=prefix"])
    assert by_override.method == recipe.method


def test_another_method_by_override_leaves_the_values_of_the_first_behind(study: Path) -> None:
    own = "base: _base.yaml\ndescription: of lora\nname: {}\n"
    own += "training: {{learning_rate: 5e-3, epochs: 7}}\nmethod: {{name: lora}}\n"
    for name, expected in (("lora", "full"), ("lora-r8", "full-r8"), ("first", "first-full")):
        path = write(study, own.format(name))
        recipe = load_recipe(path, ["method.name=full"])
        assert (recipe.name, recipe.description) == (expected, "")
        assert recipe.learning_rate == METHOD_SPECS["full"].default_learning_rate
        assert recipe.training.epochs == 7
        given = load_recipe(path, ["method.name=full", "name=own", "training.learning_rate=1e-4"])
        assert (given.name, given.learning_rate) == ("own", 1e-4)
        same = load_recipe(path, ["method.name=lora"])
        assert same == load_recipe(path) and same.learning_rate == 5e-3


def test_another_method_by_override_keeps_the_learning_rate_of_the_base(study: Path) -> None:
    base = study / "_base.yaml"
    base.write_text(BASE.replace("epochs: 2", "epochs: 2, learning_rate: 3e-4"))
    assert (
        load_recipe(write(study, "base: _base.yaml\n"), ["method.name=full"]).learning_rate == 3e-4
    )


def test_study_and_name_can_be_written(study: Path) -> None:
    recipe = load_recipe(write(study, "base: _base.yaml\nstudy: other\nname: better\n"))
    assert (recipe.study, recipe.name) == ("other", "better")


def test_null_takes_a_value_of_the_base_back(study: Path) -> None:
    recipe = load_recipe(write(study, "base: _base.yaml\ndata: {config: null}\n"))
    assert recipe.data.config is None


def test_overrides_win_and_later_ones_win_over_earlier(study: Path) -> None:
    path = write(study, "base: _base.yaml\n")
    recipe = load_recipe(
        path,
        ["method.r=2", "training.learning_rate=1e-4", "method.r=3", "seeds=[4, 5]", "data.text=s"],
    )
    assert recipe.method.model_dump()["r"] == 3
    assert recipe.training.learning_rate == 1e-4 and recipe.seeds == [4, 5]
    assert recipe.data.text == "s"


def test_a_dumped_recipe_loads_equal_with_the_same_fingerprint(study: Path, tmp_path: Path) -> None:
    (study / "rows.csv").write_text("text,label\n")
    (study / "model").mkdir()
    recipe = load_recipe(
        write(study, "base: _base.yaml\ndescription: 'a: b # 1e-4'\n"),
        ["data.source=" + str(study / "rows.csv"), "data.config=null", "method.alpha=5.5",
         "task.labels=['1e3', 'yes', 'no']"],
    )  # fmt: skip
    stored = tmp_path / "elsewhere" / "run-s0" / "recipe.yaml"
    stored.parent.mkdir(parents=True)
    stored.write_text(dump_recipe(recipe))
    again = load_recipe(stored)
    assert again == recipe
    assert again.fingerprint == recipe.fingerprint


def test_the_fingerprint_ignores_how_a_number_is_written(study: Path) -> None:
    ia3 = "base: _base.yaml\nmethod: {name: ia3}\n"
    fingerprints = {
        load_recipe(write(study, ia3 + training)).fingerprint
        for training in ("", "training: {epochs: 2.0}\n", "training: {weight_decay: 0}\n")
    }
    assert len(fingerprints) == 1
    written_out = load_recipe(write(study, BASE.replace("alpha: 32", "alpha: 16"), "a.yaml"))
    left_out = load_recipe(write(study, BASE.replace(", alpha: 32", ""), "b.yaml"))
    assert written_out.fingerprint == left_out.fingerprint


def test_the_fingerprint_notices_every_kind_of_change(study: Path) -> None:
    path = write(study, "base: _base.yaml\n")
    changes = ["method.r=5", "training.epochs=3", "data.split_seed=1", "model.max_length=65"]
    fingerprints = {load_recipe(path, [c]).fingerprint for c in [*changes, "seeds=[9]"]}
    assert len(fingerprints) == 5
    assert load_recipe(path).fingerprint in fingerprints, "seeds are no part of it"


def test_local_sources_count_from_the_file_that_names_them(tmp_path: Path) -> None:
    for folder in ("a", "b", "b/texts", "a/texts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "b/_base.yaml").write_text(BASE.replace("nyu-mll/glue\n  config: sst2", "./x.csv"))
    recipe = load_recipe(write(tmp_path / "a", "base: ../b/_base.yaml\n"))
    assert recipe.data.source == str(tmp_path / "b/x.csv")
    for written, meant in [
        ("../x.jsonl", "x.jsonl"), ("x.PARQUET", "a/x.PARQUET"), ("texts", "a/texts"),
        ("./none", "a/none"), (str(tmp_path / "b/./texts"), "b/texts"),
    ]:  # fmt: skip
        text = f"base: ../b/_base.yaml\ndata: {{source: {written}}}\n"
        recipe = load_recipe(write(tmp_path / "a", text))
        assert recipe.data.source == str(tmp_path / meant)


def test_local_sources_of_overrides_count_from_here(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = write(study, "base: _base.yaml\ndata: {config: null}\n")
    assert load_recipe(path, ["data.source=x.csv"]).data.source == str(tmp_path / "x.csv")
    at_home = load_recipe(path, ["data.source=~/x.csv"])
    assert at_home.data.source == str(tmp_path / "home/x.csv")
    assert load_recipe(path, ["data.source=imdb"]).data.source == "imdb"


def test_a_base_that_changes_is_read_again(study: Path) -> None:
    path = write(study, "base: _base.yaml\n")
    assert load_recipe(path).training.epochs == 2
    write(study, BASE.replace("epochs: 2", "epochs: 7"), "_base.yaml")
    assert load_recipe(path).training.epochs == 7


def test_local_sources_have_to_exist_before_anything_runs(study: Path) -> None:
    text = BASE.replace("nyu-mll/glue\n  config: sst2", "./none.csv")
    path = write(study, text)
    assert load_recipe(path).data.source == str(study / "none.csv"), "reading a record is fine"
    with pytest.raises(RecipeError) as caught:
        load_recipes(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (4, "data.source")
    assert problem.what == f"no such file or folder: {study / 'none.csv'}"


@pytest.mark.parametrize(
    ("base", "what"),
    [
        ("none.yaml", "no such file"),
        ("../../x.yaml", "../../x.yaml is outside this study and its neighbours"),
        ("/etc/passwd", "/etc/passwd is outside this study and its neighbours"),
        ("mine.yaml", "is this file itself"),
        ("[a, b]", "must be the name of a file"),
        ("''", "must be the name of a file"),
        (".", "no such file"),
    ],
)
def test_bases_that_are_refused(study: Path, base: str, what: str) -> None:
    (problem,) = problems_of(write(study, f"name: x\nbase: {base}\n"))
    assert (problem.line, problem.key) == (2, "base")
    assert problem.what.startswith(what)


def test_a_base_of_a_base_is_refused(study: Path) -> None:
    write(study, "seeds: [0]\nbase: _base.yaml\n", "_second.yaml")
    (problem,) = problems_of(write(study, "base: _second.yaml\n"))
    assert (Path(problem.file).name, problem.line) == ("_second.yaml", 2)
    assert problem.what == "a base cannot have a base itself"


def test_build_takes_the_values_of_a_form(study: Path) -> None:
    values = load_recipe(write(study, "base: _base.yaml\n")).model_dump()
    recipe, problems = build(values)
    assert isinstance(recipe, Recipe) and not problems
    values["training"]["epochs"] = -1
    recipe, (problem,) = build(values)
    assert recipe is None and problem.key == "training.epochs"
