"""A study that is there: its rows, what can be added to it, and the command that made it."""

from pathlib import Path

import pytest
import yaml

from tests.own_data import write_study
from workbench.cli.new import choices_of
from workbench.errors import RecipeError, UsageError
from workbench.new_study import Choices, Given
from workbench.new_study.existing import (
    add_method,
    list_studies,
    more_seeds,
    read_study,
    unfinished_runs,
    write_seeds,
)
from workbench.recipe import load_recipe, load_recipes
from workbench.store import open_run

BASE = """# Made by: workbench new topics --data topics.csv
task: {name: text-classification}
model: {source: "asset:minilm-l6", max_length: 32}
data: {source: "asset:bbc-news", train_size: 40, test_size: 20}
training: {epochs: 2}
seeds:
- 0
- 1
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "my-recipes" / "topics", BASE)


def ran(runs: Path, folder: Path, name: str, seed: int) -> None:
    writer = open_run(runs, load_recipe(folder / f"{name}.yaml"), seed)
    writer.close("failed", "stopped here")


def test_rows_are_recipes_with_their_runs_by_seed(tmp_path: Path, study: Path) -> None:
    runs = tmp_path / "runs"
    ran(runs, study, "lora", 1)
    old = (study / "lora.yaml").read_text(encoding="utf-8")
    ran(runs, study, "full", 7)
    (study / "lora.yaml").write_text(old + "training: {learning_rate: 0.5}\n", encoding="utf-8")
    found = read_study("topics", runs, study.parent)
    rows = {(row.name, row.recipe is None): sorted(row.runs) for row in found.rows}
    assert rows == {("full", False): [7], ("lora", False): [], ("lora", True): [1]}
    assert found.seeds == [0, 1, 7]
    left = {recipe.name: seeds for recipe, seeds in unfinished_runs(found)}
    assert left == {"full": [0, 1], "lora": [0, 1]}
    assert [each.name for each in found.recipes] == ["full", "lora"]


def test_a_study_without_its_recipes_has_those_of_its_runs(tmp_path: Path, study: Path) -> None:
    runs = tmp_path / "runs"
    ran(runs, study, "lora", 1)
    expected = load_recipe(study / "lora.yaml")
    found = read_study("topics", runs, tmp_path / "elsewhere")
    assert not found.is_own and [each.fingerprint for each in found.recipes] == [
        expected.fingerprint
    ]
    assert found.missing_methods[0] == "full" and "lora" not in found.missing_methods


def test_what_was_added_to_a_study_of_others_does_not_hide_its_runs(
    tmp_path: Path, study: Path
) -> None:
    runs, recipes = tmp_path / "runs", tmp_path / "elsewhere"
    ran(runs, study, "lora", 1)
    (study / "lora.yaml").write_text("base: _base.yaml\nmethod: {name: lora, r: 2}\n")
    ran(runs, study, "lora", 1)
    add_method(read_study("topics", runs, recipes), "ia3")
    found = read_study("topics", runs, recipes)
    assert {each.name for each in found.recipes} == {"ia3", "lora"}
    assert next(each for each in found.recipes if each.name == "lora").method.r == 2


def test_a_folder_without_recipes_hides_none_of_the_runs(tmp_path: Path, study: Path) -> None:
    runs = tmp_path / "runs"
    ran(runs, study, "lora", 1)
    (tmp_path / "elsewhere" / "topics").mkdir(parents=True)
    found = read_study("topics", runs, tmp_path / "elsewhere")
    assert [each.name for each in found.recipes] == ["lora"]


def test_studies_are_listed_newest_first(tmp_path: Path, study: Path) -> None:
    import os

    runs = tmp_path / "runs"
    ran(runs, study, "lora", 1)
    other = study.parent / "other"
    other.mkdir()
    (other / "a.yaml").write_text("method: {name: full}\n", encoding="utf-8")
    os.utime(other, (1, 1))
    assert list_studies(runs, study.parent) == ["topics", "other"]
    os.utime(other, (4e9, 4e9))
    assert list_studies(runs, study.parent) == ["other", "topics"]


def test_another_method_starts_from_the_values_tuned_for_the_model(
    tmp_path: Path, study: Path
) -> None:
    found = read_study("topics", tmp_path / "runs", study.parent)
    recipe = add_method(found, "prompt")
    tuned = load_recipe("quickstart/prompt")
    assert recipe.learning_rate == tuned.learning_rate and recipe.method == tuned.method
    assert recipe.model.max_length == 32 and recipe.seeds == [0, 1]
    assert [each.name for each in load_recipes(study)] == ["full", "lora", "prompt"]
    with pytest.raises(UsageError, match="a recipe of this name is there"):
        add_method(found, "prompt")


def test_another_method_of_a_study_without_recipes_is_like_its_runs(
    tmp_path: Path, study: Path
) -> None:
    runs = tmp_path / "runs"
    ran(runs, study, "lora", 1)
    lora, recipes = load_recipe(study / "lora.yaml"), tmp_path / "elsewhere"
    added = add_method(read_study("topics", runs, recipes), "ia3")
    assert added == load_recipe(recipes / "topics" / "ia3.yaml")
    assert (added.data, added.model, added.task) == (lora.data, lora.model, lora.task)
    assert added.training.epochs == 2 and added.study == "topics"


def test_a_method_that_does_not_go_with_the_study_leaves_no_file(
    tmp_path: Path, study: Path
) -> None:
    base = BASE.replace("text-classification", "causal-lm").replace("minilm-l6", "smollm2-135m")
    (study / "_base.yaml").write_text(base, encoding="utf-8")
    (study / "head.yaml").unlink(missing_ok=True)
    found = read_study("topics", tmp_path / "runs", study.parent)
    with pytest.raises(RecipeError, match="brings no new head"):
        add_method(found, "head")
    assert not (study / "head.yaml").exists()


@pytest.mark.parametrize("seeds", ["seeds: [0, 1]", "seeds: [0,\n  1]", "seeds:\n- 0\n- 1"])
def test_seeds_are_written_into_the_studys_own_recipes(
    tmp_path: Path, study: Path, seeds: str
) -> None:
    base = BASE.replace("seeds:\n- 0\n- 1\n", "") + "evaluation: {retention: false}\n" + seeds
    (study / "_base.yaml").write_text(base, encoding="utf-8")
    found = read_study("topics", tmp_path / "runs", study.parent)
    new = more_seeds(found, 2)
    assert new == [2, 3] and write_seeds(found, [*found.seeds, *new])
    assert {tuple(each.seeds) for each in load_recipes(study)} == {(0, 1, 2, 3)}
    before, after = (yaml.safe_load(t) for t in (base, (study / "_base.yaml").read_text("utf-8")))
    assert {**before, "seeds": [0, 1, 2, 3]} == after


def test_what_cannot_be_read_is_said_and_hides_nothing(tmp_path: Path, study: Path) -> None:
    (study / "broken.yaml").write_text("base: [", encoding="utf-8")
    (tmp_path / "runs" / "topics" / "lora-s3-0123abcd").mkdir(parents=True)
    (tmp_path / "runs" / "topics" / "lora-s3-0123abcd" / "status.json").write_text("{")
    found = read_study("topics", tmp_path / "runs", study.parent)
    assert {row.name for row in found.rows} == {"full", "lora"} and found.problems
    assert any(run.state == "unreadable" for row in found.rows for run in row.runs.values())


def test_a_command_is_read_back_as_its_choices() -> None:
    choices = Choices(
        name="mine",
        source="a file.csv",
        given=Given("text-classification", "review", "", ["a", "b"], ""),
        model="some/model",
        methods=("lora", "prefix"),
        seeds=(3,),
        data={"unusable_rows": "drop", "merge_labels": {"pos": "positive"}},
        keep_labels=True,
        overrides=("training.epochs=2", "lora:method.r=4"),
    )
    assert choices_of(choices.command()) == choices
    for other in ("", "rm -rf x", "workbench new 'x", "workbench new x --data y --new-option"):
        with pytest.raises(UsageError, match="not a command of `workbench new`"):
            choices_of(other)
