"""Recipes: the form, the same checks as the command line, one job per start."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_runs import RunsFolder
from opening import open_view, texts

import layout
from recipes import fields, save_recipe
from recipes.snippets import Wanted, command_line, python_lines
from workbench import jobs
from workbench.errors import UsageError
from workbench.recipe import Recipe, load_recipe, recipes_dir
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.schema import TrainingSpec
from workbench.store import Queue, run_path


def test_recipes_shows_a_shipped_recipe_with_the_fields_of_its_method(runs: RunsFolder) -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora")
    assert app.header[0].value == layout.plain("bbc-news / lora")
    labels = {
        widget.label
        for kind in (app.number_input, app.text_input, app.selectbox, app.multiselect)
        for widget in kind
    }
    assert {"rank (r)", "scale (alpha)", "adapted layers", "epochs", "learning rate"} <= labels
    assert "virtual tokens" not in labels
    assert any("method:" in code.value and "name: lora" in code.value for code in app.code)
    assert "No changes." in texts(app)
    assert any(code.value.startswith("workbench run bbc-news/lora --runs") for code in app.code)


def test_a_changed_value_reaches_diff_command_and_fingerprint(runs: RunsFolder) -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora")
    next(w for w in app.number_input if w.label == "rank (r)").set_value(32).run()
    assert "+  r: 32" in texts(app)
    assert "--set method.r=32" in texts(app)
    next(w for w in app.button if w.label == "Reset to the file").click().run()
    assert "--set" not in texts(app)


def test_another_method_brings_its_own_fields(runs: RunsFolder) -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora")
    next(w for w in app.selectbox if w.label == "method").set_value("prefix").run()
    assert "virtual tokens" in {w.label for w in app.number_input}
    assert "--set method.name=prefix" in texts(app)


@pytest.mark.parametrize("typed", [None, 0.5])
def test_learning_rate_name_and_description_come_and_go_with_the_method(
    typed: float | None, runs: RunsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Recipe] = []
    monkeypatch.setattr(jobs, "start", lambda recipes, *_, **__: given.extend(recipes))
    app = open_view("recipes", study="bbc-news", recipe="lora")

    def rate() -> Any:
        return next(w for w in app.number_input if w.label == "learning rate")

    def choose(method: str) -> None:
        next(w for w in app.selectbox if w.label == "method").set_value(method).run()

    assert rate().value == 5e-3
    if typed:
        rate().set_value(typed).run()
    choose("full")
    assert rate().value is None and rate().placeholder == "5e-05 (method's)"
    assert app.header[0].value == layout.plain("bbc-news / full")
    assert "LoRA" not in texts(app).partition("Method")[0]
    app.button(key="start").click().run()
    (recipe,) = given
    assert (recipe.name, recipe.description, recipe.learning_rate) == ("full", "", 5e-5)
    assert run_path(runs.path, recipe, 0).name.startswith("full-s0-")

    app = open_view("recipes", study="bbc-news", recipe="lora", set="method.name=full")
    assert rate().value is None and app.header[0].value == layout.plain("bbc-news / full")
    rate().set_value(3e-4).run()
    assert "--set training.learning_rate=0.0003" in texts(app)
    choose("lora")
    assert rate().value == 5e-3 and app.header[0].value == layout.plain("bbc-news / lora")
    assert "--set" not in texts(app)


def test_a_wrong_value_is_explained_as_on_the_command_line_and_cannot_start(
    runs: RunsFolder,
) -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora")
    next(w for w in app.text_input if w.label == "test texts or share").set_value("lots").run()
    assert "data.test_size" in texts(app)
    assert "start" not in {button.key for button in app.button}


def test_a_folder_without_recipes_is_said(runs: RunsFolder, tmp_path: Path) -> None:
    app = open_view("recipes", path=str(tmp_path))
    assert "holds no recipe" in texts(app)
    assert app.text_input(key="path").value == str(tmp_path)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "~nobody-at-all/x", "/etc/passwd"])
def test_what_cannot_be_a_folder_is_said(path: str, runs: RunsFolder) -> None:
    assert "No recipes here" in texts(open_view("recipes", path=path)) or path == "/etc/passwd"


def test_start_starts_one_job_and_shows_the_run(
    runs: RunsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[list[Recipe], list[int]]] = []

    def start(recipes: list[Recipe], runs_dir: Path, **options: Any) -> None:
        assert runs_dir == runs.path
        assert not options["force"] and options["processes"] == 1
        started.append((recipes, options["seeds"]))

    monkeypatch.setattr(jobs, "start", start)
    app = open_view("recipes", study="bbc-news", recipe="lora")
    assert app.button(key="start").label == "Start 3 runs"
    next(w for w in app.multiselect if w.label == "Seeds").set_value([1]).run()
    assert app.button(key="start").label == "Start 1 run"
    app.button(key="start").click().run()
    shipped = load_recipe(recipes_dir() / "bbc-news" / "lora.yaml")
    assert started == [([shipped], [1])]


@pytest.mark.parametrize("button", ["start", "queue"])
def test_what_starts_is_what_the_form_shows(
    button: str, runs: RunsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Recipe] = []
    monkeypatch.setattr(jobs, "start", lambda recipes, *_, **__: given.extend(recipes))
    monkeypatch.setattr(jobs, "enqueue", lambda recipes, *_, **__: given.extend(recipes))
    monkeypatch.setattr(jobs, "ensure_worker", lambda _: None)
    app = open_view("recipes", study="bbc-news", recipe="lora")
    next(w for w in app.selectbox if w.label == "method").set_value("prefix").run()
    next(w for w in app.number_input if w.label == "virtual tokens").set_value(7).run()
    app.button(key=button).click().run()
    path = recipes_dir() / "bbc-news" / "lora.yaml"
    assert given == [load_recipe(path, ["method.name=prefix", "method.num_virtual_tokens=7"])]


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
    """ZeroShotModel widgets are no override, whatever the types of the fields."""
    app = open_view("recipes", study="bbc-news", recipe=method)
    assert "--set" not in texts(app)


@pytest.mark.parametrize(
    ("label", "chosen", "said"),
    [
        ("adapted layers", ["query", "key"], """method.target_modules=["query", "key"]"""),
        ("adapted layers", ["all-linear"], "method.target_modules=all-linear"),
        ("adapted layers", [], "method.target_modules=null"),
        ("metrics", [], "task.metrics=[]"),
        ("labels", ["sport", "tech"], """task.labels=["sport", "tech"]"""),
        ("label column", ["stars"], "data.label=stars"),
        ("report to", ["tensorboard"], """training.report_to=["tensorboard"]"""),
    ],
)
def test_a_list_is_chosen_word_by_word(
    label: str, chosen: list[str], said: str | None, runs: RunsFolder
) -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora")
    field = next(w for w in app.multiselect if w.label == label)
    field.set_value(chosen).run()
    assert not app.exception
    assert f"--set {shlex.quote(said)}" in texts(app).replace("\\", "")


def test_no_two_fields_have_the_same_name(runs: RunsFolder) -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora")
    kinds = (app.text_input, app.number_input, app.selectbox, app.multiselect, app.checkbox)
    names = [field.label for kind in kinds for field in kind if "#" in str(field.key)]
    assert {"data set", "data revision", "base model", "model revision"} <= set(names)
    assert len(names) == len(set(names))


# --- the same as text ----------------------------------------------------------------------


def test_a_value_is_written_as_it_would_be_in_a_recipe() -> None:
    written = {None: "null", 3: "3", 0.003: "0.003", True: "true", "linear": "linear",
               "null": '"null"', "1e3": '"1e3"'}  # fmt: skip
    assert {value: fields.as_yaml(value) for value in written} == written
    assert fields.as_yaml(["query", "value"]) == '["query", "value"]'
    properties = TrainingSpec.model_json_schema()["properties"]
    kinds = {name: fields._kind(schema)[0] for name, schema in properties.items()}
    assert (kinds["epochs"], kinds["batch_size"]) == ("number", "integer")
    assert (kinds["lr_scheduler"], kinds["dropout"]) == ("enum", "text")
    assert kinds["gradient_checkpointing"] == "boolean"


def test_the_command_and_the_python_say_what_the_form_says(runs: RunsFolder) -> None:
    file = recipes_dir() / "bbc-news" / "lora.yaml"
    recipe = load_recipe(file)
    overrides = ["method.r=16", 'method.target_modules=["query", "value"]']
    wanted = Wanted(path=file, recipe=recipe, overrides=overrides, seeds=[5], force=True)
    assert command_line(wanted) == (
        "workbench run bbc-news/lora --set method.r=16 "
        """--set 'method.target_modules=["query", "value"]' --seeds 5 --force --runs """
        f"{runs.path}"
    )
    assert run_path(runs.path, recipe, 5).parent == runs.path / "bbc-news"
    several = replace(wanted, processes=2, force=False)
    assert "--processes 2 --runs" in command_line(several)
    *lines, _ = python_lines(wanted).splitlines()
    program = "\n".join([*lines, "print(recipe.fingerprint)"])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          env=jobs.child_environment())  # fmt: skip
    assert done.stdout.strip() == load_recipe(file, overrides).fingerprint, done.stderr
    calls = [ast.parse(python_lines(each)).body[-1] for each in (wanted, several)]
    assert [ast.unparse(call) for call in calls] == [
        f"runs = run(recipe, runs_dir={str(runs.path)!r}, seeds=[5], force=True)",
        f"jobs.start([recipe], {str(runs.path)!r}, seeds=[5], processes=2)",
    ]


# --- saving --------------------------------------------------------------------------------


def test_saving_writes_a_recipe_of_the_same_values_and_never_over_another(
    runs: RunsFolder, tmp_path: Path
) -> None:
    app = open_view("recipes", study="bbc-news", recipe="lora")
    next(w for w in app.number_input if w.label == "rank (r)").set_value(32).run()
    name = next(w for w in app.text_input if w.label == "Name")
    name.set_value("lora-32")
    app.button(key="save").click().run()
    file = tmp_path / save_recipe.OWN / "bbc-news" / "lora-32.yaml"
    shipped = load_recipe(recipes_dir() / "bbc-news" / "lora.yaml", ["method.r=32"])
    assert load_recipe(file).fingerprint == shipped.fingerprint
    before = file.read_bytes()
    app.button(key="save").click().run()
    assert "a file of this name exists" in texts(app)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "..\\x", "%2e%2e%2fx", "x\0y", "CON", "a" * 300, "", ".hidden", "a/b",
     "x\n", "\u202ex", "$(touch x)"],
)  # fmt: skip
def test_a_name_never_becomes_another_path(name: str, runs: RunsFolder, tmp_path: Path) -> None:
    recipe = load_recipe(recipes_dir() / "bbc-news" / "lora.yaml")
    folder = tmp_path / "own"
    for study, own in ((name, "ok"), ("ok", name)):
        with pytest.raises(UsageError):
            save_recipe.save(recipe, folder, study, own)
    assert not folder.exists()


def test_a_study_that_is_a_link_is_not_followed(runs: RunsFolder, tmp_path: Path) -> None:
    recipe = load_recipe(recipes_dir() / "bbc-news" / "lora.yaml")
    (tmp_path / "own").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "own" / "away").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="outside the folder"):
        save_recipe.save(recipe, tmp_path / "own", "away", "lora")
    assert not list((tmp_path / "elsewhere").iterdir())


# --- queue ---------------------------------------------------------------------------------


def test_queueing_adds_one_entry_for_each_seed(
    runs: RunsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: list[Path] = []
    monkeypatch.setattr(jobs, "ensure_worker", workers.append)
    app = open_view("recipes", study="bbc-news", recipe="lora")
    app.number_input(key="processes").set_value(2).run()
    app.button(key="queue").click().run()
    entries = Queue(runs.path).list()
    assert [(entry.seed, entry.processes) for entry in entries] == [(0, 2), (1, 2), (2, 2)]
    assert workers == [runs.path]


def test_every_label_is_of_a_setting_that_recipes_have() -> None:
    from recipes.labels import LABELS, label

    schema = Recipe.model_json_schema()

    def keys(part: dict[str, Any], path: str) -> Iterator[str]:
        part = schema["$defs"].get(str(part.get("$ref", "")).rpartition("/")[2], part)
        for each in part.get("oneOf", ()):
            yield from keys(each, path)
        for name, field in part.get("properties", {}).items():
            yield f"{path}{name}"
            yield from keys(field, f"{path}{name}.")

    known = set(keys(schema, ""))
    assert LABELS.keys() <= known
    assert not [key for key in known if "_" in label(key)]
