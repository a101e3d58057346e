"""Old names of recipe keys: an error in a recipe, read in what an older version has stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from workbench.errors import RecipeError
from workbench.pipeline.resume_check import differences
from workbench.recipe import Recipe, load_recipe, stored_recipe
from workbench.recipe.layers import flatten
from workbench.recipe.renamed import (
    ADDED,
    KEYS,
    as_first_written,
    as_today,
    best_as_today,
    search_as_today,
)
from workbench.recipe.schema import TrainingSpec
from workbench.store import read_run
from workbench.training.events import BestCheckpoint
from workbench.tuning.folder import tuning_folder
from workbench.tuning.journal import Journal
from workbench.tuning.space import Choices, Space

OLD: dict[str, Any] = {
    "study": "news",
    "name": "lora",
    "task": {"name": "instruction", "decoding": {"beams": 4}},
    "model": {"source": "asset:smollm2-135m"},
    "data": {"source": "asset:bbc-headlines", "text": "article", "label": "headline"},
    "method": {"name": "lora", "targets": ["q_proj"]},
    "training": {"schedule": "cosine", "warmup_fraction": 0.1, "evaluation_batch_size": 8},
}
FINGERPRINT = "1685f0fc97fbcd9287cebd4a5e48e47ec84a4f5faa029981daf8a4df740437cc"
"""Of `OLD`, as the version computed it that first wrote recipes."""


def recipe_file(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "lora.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def test_every_old_key_is_an_error_that_names_the_new_one(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, OLD | {"data": {**OLD["data"], "duplicates": "refuse"}})
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    found = {problem.key: (problem.line, problem.fix) for problem in error.value.problems}
    assert found == {
        "task.decoding.beams": (6, "write num_beams"),
        "data.duplicates": (13, "write duplicates: error"),
        "method.targets": (16, "write target_modules"),
        "training.schedule": (19, "write lr_scheduler"),
        "training.warmup_fraction": (20, "write warmup_ratio"),
        "training.evaluation_batch_size": (21, "write eval_batch_size"),
    }


def test_an_old_key_hides_no_other_problem(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, OLD | {"training": {"schedule": "sine", "epochs": 0}})
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    assert {"training.schedule", "training.lr_scheduler", "training.epochs"} <= {
        problem.key for problem in error.value.problems
    }


@pytest.mark.parametrize("key", ["training.schedule=cosine", "method.targets=[q_proj]"])
def test_an_old_key_of_an_override_is_an_error_too(tmp_path: Path, key: str) -> None:
    path = recipe_file(tmp_path, as_today(OLD))
    with pytest.raises(RecipeError, match=f"--set: {key.partition('=')[0]}"):
        load_recipe(path, [key])


def test_an_old_key_in_python_is_an_error_that_names_the_new_one() -> None:
    with pytest.raises(ValidationError, match="`schedule` is now called `lr_scheduler`"):
        TrainingSpec.model_validate({"schedule": "cosine"})


def test_the_run_of_an_older_version_is_read_under_the_new_names(tmp_path: Path) -> None:
    (tmp_path / "news" / "lora-s0").mkdir(parents=True)
    run = read_run(tmp_path / "news" / "lora-s0")
    recipe_file(tmp_path, OLD).rename(run.path / "recipe.yaml")
    recipe = stored_recipe(run.recipe_text(), "recipe.yaml")
    assert recipe.training.lr_scheduler == "cosine" and recipe.training.warmup_ratio == 0.1
    assert recipe.method.target_modules == ["q_proj"]  # type: ignore[union-attr]
    assert recipe.fingerprint == FINGERPRINT
    (run.path / "recipe.yaml").write_text("half: [written")
    assert run.recipe_text() == "half: [written"


def test_the_search_that_found_values_is_read_under_the_new_names() -> None:
    tuning = {"search": {"training.schedule": "linear,cosine", "method.r": "2..32"}}
    searched = as_today({"tuning": tuning})["tuning"]["search"]
    assert list(searched) == ["training.lr_scheduler", "method.r"]


def test_the_search_of_an_older_version_is_found_and_continued(tmp_path: Path) -> None:
    """The folder's name is what that version gave it; its journal keeps the keys of then."""
    recipe = Recipe.model_validate(as_today(OLD))
    space: Space = {"training.warmup_ratio": Choices((0.0, 0.1))}
    assert tuning_folder(tmp_path, recipe, space, 0).name == "lora-93686778"
    journal = Journal(tmp_path / "optuna.jsonl", space, higher=True, seed=0)
    journal.begin({"training.warmup_ratio": 0.1})
    assert "training.warmup_fraction" in (tmp_path / "optuna.jsonl").read_text()
    assert "training.warmup_ratio" not in (tmp_path / "optuna.jsonl").read_text()
    assert journal.values(0) == {"training.warmup_ratio": 0.1}
    trial = {"values": {"training.warmup_fraction": 0.1}, "score": 0.5}
    search = {"search": {"training.warmup_fraction": "0.0,0.1"}, "best": trial, "trials": [trial]}
    found = search_as_today(search)
    assert found["search"] == {"training.warmup_ratio": "0.0,0.1"}
    assert found["best"]["values"] == found["trials"][0]["values"] == {"training.warmup_ratio": 0.1}


def test_the_checkpoint_of_an_older_version_is_read_under_the_new_names() -> None:
    best = BestCheckpoint(**best_as_today({"step": 40, "value": 0.9, "misses": 2}))
    assert best.epochs_without_improvement == 2


def test_keys_that_came_later_change_neither_fingerprint_nor_a_resumed_run() -> None:
    recipe = Recipe.model_validate(as_today(OLD))
    now = flatten(recipe.numerics())
    assert recipe.fingerprint == FINGERPRINT and ADDED.keys() & now.keys()
    was = {key: value for key, value in now.items() if key not in ADDED}
    assert not differences(was, now)
    assert differences(was, now | {key: "other" for key in ADDED.keys() & now.keys()})


def test_the_two_ways_are_each_others_inverse_and_keep_the_order() -> None:
    values = Recipe.model_validate(as_today(OLD)).model_dump(mode="json")
    first = as_first_written(values)
    assert list(first["training"])[5] == "evaluation_batch_size"
    assert Recipe.model_validate(as_today(first)).model_dump(mode="json") == values
    assert len(KEYS) == len({new.rpartition(".")[2] for new in KEYS.values()})


@pytest.mark.parametrize(
    ("key", "value"),
    [("quoting", "none"), ("separator", "bar"), ("normalise_labels", True), ("group", "author")],
)
def test_a_later_key_changes_the_fingerprint_only_when_it_changes_a_run(
    key: str, value: object
) -> None:
    values = as_today(OLD)
    assert Recipe.model_validate(values).fingerprint == FINGERPRINT
    changed = values | {"data": {**values["data"], key: value}}
    assert Recipe.model_validate(changed).fingerprint != FINGERPRINT


def test_conditions_of_a_checkpoint_that_lack_a_later_key_are_the_same() -> None:
    now = {"data.source": "a.csv", "data.quoting": "auto", "data.group": None}
    assert differences({"data.source": "a.csv"}, now) == []
    assert differences({"data.source": "a.csv"}, now | {"data.quoting": "none"}) == [
        "data.quoting was auto, is none"
    ]


MASKED: dict[str, Any] = {
    "study": "news",
    "name": "lora",
    "task": {"name": "masked-lm", "metrics": ["masked_accuracy", "pseudo_perplexity"]},
    "model": {"source": "asset:minilm-l6"},
    "data": {"source": "asset:bbc-news", "text": "text"},
    "method": {"name": "lora"},
}

MASKED_FINGERPRINT = "9ccc0799c38ea8151d06d4c734d044bafcf6b4a9d2747fad0c6c95fc5f6c1884"
"""Of `MASKED`, as the version computed it that wrote it."""


def test_an_old_metric_is_an_error_that_names_the_new_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe_file(tmp_path, MASKED))
    (problem,) = error.value.problems
    assert (problem.key, problem.fix) == ("task.metrics", "write masked_perplexity")


def test_the_metric_of_an_older_run_has_its_new_name_and_the_same_fingerprint(
    tmp_path: Path,
) -> None:
    run = read_run(older_masked_run(tmp_path))
    recipe = stored_recipe(run.recipe_text(), "recipe.yaml")
    assert recipe.task.metrics == ["masked_accuracy", "masked_perplexity"]
    assert recipe.fingerprint == MASKED_FINGERPRINT
    assert run.result is not None
    for part in ("test", "validation"):
        assert run.result["metrics"][part] == {"masked_perplexity": 8.0}
    assert run.result["selected"]["metric"] == "masked_perplexity"
    assert run.result["references"] == {"base model (zero-shot)": {"masked_perplexity": 20.0}}
    assert run.events()[0][0]["metrics"] == {"masked_perplexity": 9.0}


def older_masked_run(runs: Path) -> Path:
    folder = runs / "news" / "lora-s0"
    folder.mkdir(parents=True)
    recipe_file(runs, MASKED).rename(folder / "recipe.yaml")
    scores = {"pseudo_perplexity": 8.0}
    result = {
        "version": 1,
        "metrics": {"test": scores, "validation": scores},
        "selected": {"metric": "pseudo_perplexity"},
        "references": {"base model (zero-shot)": {"pseudo_perplexity": 20.0}},
    }
    (folder / "result.json").write_text(json.dumps(result))
    status = {"version": 1, "state": "finished", "study": "news", "recipe": "lora", "seed": 0}
    (folder / "status.json").write_text(json.dumps(status))
    event = {"kind": "validation", "metrics": {"pseudo_perplexity": 9.0}}
    (folder / "events.jsonl").write_text(json.dumps(event) + "\n")
    return folder
