"""Recipes: the form, the same checks as the command line, one job per start."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import RunsFolder
from opening import open_view, texts

import forms
import launch
import plans
import shell
from workbench import jobs
from workbench.recipe import Recipe, load_recipe, recipes_dir
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.schema import TrainingSpec
from workbench.store import run_path


def test_recipes_shows_a_shipped_recipe_with_the_fields_of_its_method(runs: RunsFolder) -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora")
    assert app.header[0].value == shell.plain("bbc-news / lora")
    labels = {
        widget.label
        for kind in (app.number_input, app.text_input, app.selectbox)
        for widget in kind
    }
    assert {"r", "alpha", "targets", "epochs", "learning rate", "train size"} <= labels
    assert "virtual tokens" not in labels
    assert any("method:" in code.value and "name: lora" in code.value for code in app.code)
    assert "Nothing: these are the values of the file." in texts(app)
    assert any(code.value.startswith("workbench run bbc-news/lora --runs") for code in app.code)


def test_a_changed_value_reaches_diff_command_and_fingerprint(runs: RunsFolder) -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora")
    next(w for w in app.number_input if w.label == "r").set_value(32).run()
    assert "+  r: 32" in texts(app)
    assert "--set method.r=32" in texts(app)
    next(w for w in app.button if "file" in w.label and "Back" in w.label).click().run()
    assert "--set" not in texts(app)


def test_another_method_brings_its_own_fields(runs: RunsFolder) -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora")
    next(w for w in app.selectbox if w.label == "method").set_value("prefix").run()
    assert "virtual tokens" in {w.label for w in app.number_input}
    assert "--set method.name=prefix" in texts(app)


def test_a_wrong_value_is_explained_as_on_the_command_line_and_cannot_start(
    runs: RunsFolder,
) -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora")
    next(w for w in app.text_input if w.label == "test size").set_value("lots").run()
    assert "data.test_size" in texts(app)
    assert "start" not in {button.key for button in app.button}


def test_a_folder_without_recipes_is_said(runs: RunsFolder, tmp_path: Path) -> None:
    app = open_view("recipes", path=str(tmp_path))
    assert "holds no recipe" in texts(app)
    assert app.text_input(key="path").value == str(tmp_path)


def test_start_starts_one_job_and_shows_the_run(
    runs: RunsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[list[Recipe], list[int]]] = []

    def start(recipes: list[Recipe], runs_dir: Path, *, seeds: list[int], force: bool) -> None:
        assert runs_dir == runs.path
        assert not force
        started.append((recipes, seeds))

    monkeypatch.setattr(jobs, "start", start)
    app = open_view("recipes", study="bbc-news", recipe="lora")
    assert app.button(key="start").label == "Start 3 runs"
    app.multiselect[0].set_value([1]).run()
    assert app.button(key="start").label == "Start 1 run"
    app.button(key="start").click().run()
    shipped = load_recipe(recipes_dir() / "bbc-news" / "lora.yaml")
    assert started == [([shipped], [1])]


def test_what_has_finished_is_not_started_unasked(runs: RunsFolder) -> None:
    recipe = load_recipe(recipes_dir() / "bbc-news" / "lora.yaml")
    for seed in recipe.seeds:
        runs.add(recipe, seed)
    app = open_view("recipes", study="bbc-news", recipe="lora")
    assert app.button(key="start").disabled
    app.checkbox(key="again").check().run()
    assert not app.button(key="start").disabled
    assert "--force" in texts(app)


@pytest.mark.parametrize("method", [name for name in METHOD_SPECS if name != "peft"])
def test_every_shipped_recipe_of_a_method_starts_as_its_file(runs: RunsFolder, method: str) -> None:
    """Untouched widgets are no override, whatever the types of the fields."""
    app = open_view("recipes", study="bbc-news", recipe=method)
    assert "--set" not in texts(app)


# --- counting ------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replaces the command that counts by some Python."""

    def write(source: str) -> None:
        script = tmp_path / "command"
        script.write_text(f"#!{interpreter}\n{source}\n", encoding="utf-8")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(plans.sys, "executable", str(script))

    interpreter = sys.executable
    plans._counts.clear()
    return write


def test_parameters_are_counted_once(runs: RunsFolder, command: Callable[[str], None]) -> None:
    command(
        "import json; print(json.dumps({'plans': [{'trainable_parameters': 75653, "
        "'head_parameters': 1925, 'adapter_parameters': 73728, 'total_parameters': 22715141}]}))"
    )
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app.button(key="count").click().run()
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown == {"trainable": "75.7k", "of the model": "0.33%", "method": "73.7k",
                     "task head": "1.93k"}  # fmt: skip
    command("raise SystemExit(1)")
    assert plans.known(load_recipe("bbc-news/lora")) is not None
    assert "count" not in {button.key for button in app.run().button}


def test_a_plan_shows_what_a_training_takes(
    runs: RunsFolder, command: Callable[[str], None]
) -> None:
    found = {
        "trainable_parameters": 75653, "total_parameters": 22715141, "adapter_bytes": 306140,
        "steps": 100, "train_seconds": 16.2, "peak_memory_bytes": 313_000_000, "fits": False,
        "free_memory_bytes": 200_000_000, "largest_batch_size": 9, "notes": ["a *note*"],
        "memory": {"weights_bytes": 136_000_000, "runtime_bytes": 32_000_000},
    }  # fmt: skip
    command(f"import json; print(json.dumps({{'plans': [{found!r}]}}))")
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app.button(key="count").click().run()
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["adapter file"] == "306 kB" and shown["training steps take"] == "16.2 s"
    assert shown["peak memory"] == "313 MB" and shown["largest batch"] == "9"
    assert "weights 136 MB, runtime 32 MB" in texts(app)
    assert "200 MB are free" in texts(app)
    assert not app.exception


@pytest.mark.parametrize(
    "source", ["import sys; sys.exit('no such model')", "print('no such model')"]
)
def test_a_count_that_fails_says_why(
    runs: RunsFolder, command: Callable[[str], None], source: str
) -> None:
    command(source)
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app.button(key="count").click().run()
    assert "could not be counted" in texts(app)
    assert "no such model" in texts(app)
    assert not app.exception


def test_a_value_is_written_as_it_would_be_in_a_recipe() -> None:
    written = {None: "null", 3: "3", 0.003: "0.003", True: "true", "linear": "linear",
               "null": '"null"', "1e3": '"1e3"'}  # fmt: skip
    assert {value: forms.as_yaml(value) for value in written} == written
    assert forms.as_yaml(["query", "value"]) == '["query", "value"]'
    properties = TrainingSpec.model_json_schema()["properties"]
    kinds = {name: forms._kind(schema)[0] for name, schema in properties.items()}
    assert (kinds["epochs"], kinds["batch_size"]) == ("number", "integer")
    assert (kinds["schedule"], kinds["dropout"]) == ("enum", "text")
    assert kinds["gradient_checkpointing"] == "boolean"


def test_the_command_line_says_what_the_form_says(runs: RunsFolder) -> None:
    file = recipes_dir() / "bbc-news" / "lora.yaml"
    recipe = load_recipe(file)
    overrides = ["method.r=16", 'method.targets=["query", "value"]']
    line = launch.command_line(file, overrides, [5], recipe, True)
    assert line == (
        "workbench run bbc-news/lora --set method.r=16 "
        """--set 'method.targets=["query", "value"]' --seeds 5 --force --runs """
        f"{runs.path}"
    )
    assert run_path(runs.path, recipe, 5).parent == runs.path / "bbc-news"
