"""Each view on made-up run folders: finished, running, failed, corrupt, none at all."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import RunsFolder, news_recipe
from streamlit.testing.v1 import AppTest

import forms
import launch
import plans
import shell
from archives import adapter_zip
from workbench import jobs
from workbench.jobs import launching
from workbench.recipe import Recipe, dump_recipe, load_recipe, recipes_dir
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.schema import TrainingSpec
from workbench.store import read_run, run_path, write_json
from workbench.ui import app_path

HOSTILE = "<img src=x onerror=alert(1)> **bold** :red[x] $a$ [a](javascript:b)"


def open_view(name: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(app_path()), default_timeout=20)
    if name != "recipes":
        app.run()
        app.switch_page(f"views/{name}.py")
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def texts(app: AppTest) -> str:
    """All that the page says, as one text."""
    kinds = (
        app.title,
        app.header,
        app.subheader,
        app.caption,
        app.text,
        app.code,
        app.markdown,
        app.error,
        app.warning,
        app.success,
    )
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def count_of(runs: RunsFolder) -> int:
    return len(list((runs.path).rglob("status.json")))


# --- recipes -------------------------------------------------------------------------------


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


# --- runs ----------------------------------------------------------------------------------


def test_runs_says_when_there_are_none(runs: RunsFolder) -> None:
    assert "No runs yet" in texts(open_view("runs"))


def test_runs_lists_every_state_and_survives_a_corrupt_folder(runs: RunsFolder) -> None:
    runs.add(news_recipe("lora"), 0)
    runs.add(news_recipe("lora"), 1, "running")
    runs.add(news_recipe("prompt"), 0, "failed", reason="the loss was nan")
    runs.add(news_recipe("full"), 0, "running", pid=2**22 - 1)
    runs.add_corrupt()
    table = open_view("runs").dataframe[0].value
    states = {
        (r, s): state[0] for r, s, state in zip(table.recipe, table.seed, table.state, strict=True)
    }
    assert states[("lora", 0)] == "finished"
    assert states[("lora", 1)] == "running"
    assert states[("prompt", 0)] == "failed"
    assert states[("full", 0)] == "interrupted"
    assert list(table.state).count(["unreadable"]) == 1
    assert table.state.iloc[0] == ["running"]  # what is active stands first
    lora = table[(table.recipe == "lora") & (table.seed == 0)].iloc[0]
    assert (lora.progress, lora.score) == (1.0, "0.958 accuracy")


def test_a_finished_run_shows_its_result_recipe_and_log(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 1)
    app = open_view("runs", run=f"news/{path.name}")
    tiles = {metric.label: metric.value for metric in app.metric}
    assert tiles[shell.plain("test accuracy")] == "0.961"
    assert tiles["trainable"] == "75.7k"
    assert tiles["peak memory"] == "231 MB"
    assert dump_recipe(news_recipe("lora")).strip() in texts(app)
    assert "loading\ntraining" in texts(app)
    assert "stop" not in {button.key for button in app.button}


def test_a_running_run_can_be_stopped(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0, "running")
    app = open_view("runs", run=f"news/{path.name}")
    app.button(key="stop").click().run()
    assert (path / "stop").exists()
    assert read_run(path).state == "running"  # asked, not killed
    app.run()
    assert app.button(key="kill").label == "End it now"
    assert app.dataframe[0].value.state.iloc[0] == ["stopping"]


def test_a_failed_run_says_why_in_words_and_can_be_resumed(
    runs: RunsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "out of memory\n  fix: lower training.micro_batch_size"
    path = runs.add(news_recipe("lora"), 0, "failed", reason=reason)
    resumed: list[Path] = []
    monkeypatch.setattr("workbench.jobs.resume", lambda run: resumed.append(run.path))
    app = open_view("runs", run=f"news/{path.name}")
    assert reason in texts(app)
    app.button(key="resume").click().run()
    assert resumed == [path]


@pytest.mark.parametrize("name", ["news/none-s0-00000000", "../../etc", "/etc"])
def test_an_address_without_a_run_breaks_nothing(runs: RunsFolder, name: str) -> None:
    app = open_view("runs", run=name)
    assert ("its process is starting" in texts(app).lower()) == name.startswith("news")


def test_a_corrupt_run_is_shown_as_such(runs: RunsFolder) -> None:
    path = runs.add_corrupt()
    assert "half written" in texts(open_view("runs", run=f"news/{path.name}"))


@pytest.mark.parametrize(
    "result", [{}, {"metrics": 3, "parameters": None, "memory": [], "warnings": {"a": 1}}]
)
def test_a_result_of_another_shape_breaks_nothing(
    runs: RunsFolder, result: dict[str, object]
) -> None:
    path = runs.add(news_recipe("lora"), 0)
    write_json(path / "result.json", result)
    write_json(path / "status.json", {"state": "finished", "progress": "x", "started_at": "y"})
    (path / "events.jsonl").write_text('{"kind": "validation"}\n{"kind": "step", "step": null}\n')
    open_view("runs", run=f"news/{path.name}")
    open_view("compare")
    open_view("export")


def test_a_job_that_waits_is_shown_and_one_that_never_began_says_why(
    runs: RunsFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "child"
    script.write_text(
        f"#!{sys.executable}\nimport time\nprint('no such module', flush=True)\ntime.sleep(60)\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(launching.sys, "executable", str(script))
    job = jobs.start([news_recipe("lora")], runs.path, seeds=[0])
    assert open_view("runs").dataframe[0].value.state.iloc[0] == ["starting"]
    os.kill(job.pid, 9)
    while job.alive:
        pass
    said = texts(open_view("runs"))
    assert "ended before its first run began" in said
    assert "no such module" in said


# --- compare -------------------------------------------------------------------------------


def test_compare_puts_recipes_side_by_side(runs: RunsFolder) -> None:
    runs.add_study()
    runs.add_corrupt()
    app = open_view("compare")
    table = app.dataframe[0].value.set_index("recipe")
    assert table.loc["lora", "accuracy"] == "0.961 ± 0.007"
    assert table.loc["full", "vs baseline"] == "baseline"
    assert table.loc["lora", "vs baseline"].startswith("-0.007")
    assert table.loc["lora", "seeds"] == "0, 1, 2"
    assert table.loc["TF-IDF + logistic regression", "accuracy"] == "0.952"
    assert "Below the axis: majority class 0.230" in texts(app).replace("\\", "")
    assert "1 unreadable run is left out" in texts(app)
    assert {button.key for button in app.download_button} == {
        f"download-{name}" for name in ("csv", "markdown", "latex", "json")
    }


def test_compare_says_when_nothing_has_finished(runs: RunsFolder) -> None:
    runs.add(news_recipe("lora"), 0, "running")
    assert "Nothing to compare yet" in texts(open_view("compare"))


# --- export --------------------------------------------------------------------------------


def test_export_shows_the_check_and_the_card_as_text(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    app = open_view("export")
    assert app.selectbox(key="run").value == f"news/{path.name}"
    assert "16 examples" in texts(app)
    assert any("<b>Not bold</b>" in code.value for code in app.code)
    assert list(app.dataframe[0].value["file"]) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors"
    ]  # fmt: skip


def test_export_warns_of_an_unchecked_adapter(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0)
    result = read_run(path).result
    write_json(path / "result.json", {**result, "export": {"kind": "peft"}})
    assert "not checked" in texts(open_view("export"))


def test_the_zip_holds_the_regular_files_and_no_others(runs: RunsFolder, tmp_path: Path) -> None:
    path = runs.add(news_recipe("lora"), 0)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (path / "adapter" / "link").symlink_to(secret / "key")
    (path / "adapter" / "folder").symlink_to(secret)
    (path / "adapter" / "inner").mkdir()
    (path / "adapter" / "inner" / "more.json").write_text("{}")
    with zipfile.ZipFile(io.BytesIO(adapter_zip(path / "adapter"))) as archive:
        names = sorted(name.partition("/")[2] for name in archive.namelist())
        assert names == ["README.md", "adapter_config.json", "adapter_model.safetensors",
                         "inner/more.json"]  # fmt: skip
        weights = archive.read(f"{path.name}/adapter_model.safetensors")
    assert weights == (path / "adapter" / "adapter_model.safetensors").read_bytes()


# --- what holds everywhere -----------------------------------------------------------------


def test_hostile_text_is_never_markup(runs: RunsFolder) -> None:
    path = runs.add(news_recipe("lora"), 0, "failed", reason=HOSTILE)
    (path / "log.txt").write_text(HOSTILE)
    with open(path / "events.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": "warning", "message": HOSTILE}) + "\n")
    app = open_view("runs", run=f"news/{path.name}")
    for kind in (app.markdown, app.caption, app.warning, app.error, app.header, app.subheader):
        for element in kind:
            assert not re.search(r"(?<!\\)[<*:$[]+(img|bold|red|a\$|a\])", element.value)
            assert not getattr(element.proto, "allow_html", False)
    assert any(HOSTILE in code.value for code in app.code)


def test_escaped_text_reads_as_it_was() -> None:
    for text in (
        HOSTILE,
        "a -> b -- c <- d",
        "http://x.example, www.x.example, me@x.example",
    ):
        escaped = shell.plain(text)
        assert re.sub(r"\\(?=[^\w\s])|\u2060", "", escaped) == text
        assert "://" not in escaped and "www." not in escaped and "->" not in escaped
    assert shell.plain("lora, seed 0") == "lora, seed 0"


def test_no_source_file_renders_html() -> None:
    sources = list(app_path().parent.rglob("*.py"))
    assert len(sources) >= 10
    for source in sources:
        text = source.read_text(encoding="utf-8")
        assert "unsafe_allow" not in text and "st.html" not in text, source


def test_the_server_process_never_loads_torch(runs: RunsFolder) -> None:
    runs.add_study()
    views = "".join(
        f"app.switch_page('views/{name}.py').run()\nassert not app.exception\n"
        for name in ("runs", "compare", "export")
    )
    source = (
        f"import sys\nsys.path.insert(0, {str(app_path().parent)!r})\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"app = AppTest.from_file({str(app_path())!r}, default_timeout=20).run()\n"
        f"assert not app.exception\n{views}"
        "print(sorted({'torch', 'transformers', 'datasets', 'peft'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True,
                          env=jobs.child_environment())  # fmt: skip
    assert done.stdout.strip() == "[]", done.stderr


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
