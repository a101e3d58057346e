"""Code that comes with a model, data set, recipe, adapter or template is refused or ignored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jinja2.exceptions import SecurityError, UndefinedError
from transformers import AutoTokenizer

from tests.small_recipes import small_recipe
from tests.trained_runs import TrainedRuns
from workbench.adapters.loaded import load_adapter
from workbench.cli import main
from workbench.errors import DataError, ExportError
from workbench.recipe.schema import Recipe
from workbench.store import Run
from workbench.tasks import make_task

Make, Train = Callable[..., Recipe], Callable[..., Run]

AUTO_MAP = {
    "AutoConfig": "modeling_evil.EvilConfig",
    "AutoModel": "modeling_evil.EvilModel",
    "AutoModelForSequenceClassification": "modeling_evil.EvilModel",
}


def test_code_beside_a_model_is_not_run(
    model_folder: Callable[..., Path], evil_code: str, canary: Path, make_recipe: Make,
    train: Train, tmp_path: Path,
) -> None:  # fmt: skip
    folder = model_folder(auto_map=AUTO_MAP, **{"trust_remote_code": True})
    (folder / "modeling_evil.py").write_text(evil_code)
    recipe = make_recipe(model={"source": str(folder)}, training={"max_steps": 1})
    run = train(recipe, seed=0, runs_dir=tmp_path / "runs")
    assert run.state == "finished", run.reason


def test_a_model_that_is_nothing_but_code_is_refused(
    model_folder: Callable[..., Path], evil_code: str, canary: Path, make_recipe: Make,
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = model_folder(auto_map=AUTO_MAP, model_type="evil")
    (folder / "modeling_evil.py").write_text(evil_code)
    # transformers asks on the terminal where it is not told what to do.
    monkeypatch.setattr("builtins.input", lambda *_: "n")
    run = train(make_recipe(model={"source": str(folder)}), seed=0, runs_dir=tmp_path / "runs")
    assert run.state == "failed" and "custom code" in run.reason
    assert "Traceback" not in run.reason


@pytest.mark.parametrize(
    "field", ["_attn_implementation_internal", "_attn_implementation", "attn_implementation"]
)
def test_a_kernel_of_the_hub_named_in_a_config_is_not_loaded(
    field: str, model_folder: Callable[..., Path], make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    """CVE-2026-4372: transformers before 5.3 fetched and ran what this field names."""
    folder = model_folder(**{field: "somebody/evil-kernel"})
    recipe = make_recipe(model={"source": str(folder)}, training={"max_steps": 1})
    run = train(recipe, seed=0, runs_dir=tmp_path / "runs")
    assert run.state == "finished", run.reason
    assert run.result["policy"]["attention"] in ("sdpa", "eager")
    assert "evil-kernel" not in (run.adapter / "config.json").read_text()


@pytest.mark.parametrize("method", ["lora", "head", "full"])
def test_a_kernel_named_in_an_export_is_not_loaded(
    method: str, make_recipe: Make, trained_runs: TrainedRuns, tmp_path: Path
) -> None:
    run = trained_runs.copy(make_recipe(method, training={"max_steps": 1}), tmp_path)
    path = run.adapter / "config.json"
    values = {**json.loads(path.read_text()), "attn_implementation": "somebody/evil-kernel"}
    path.write_text(json.dumps(values))
    (answer,) = load_adapter(run.path).predict(["the team"])
    assert answer["prediction"] in run.result["data"]["labels"]


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_beside_an_adapter_is_not_run(
    name: str,
    evil_code: str,
    canary: Path,
    make_recipe: Make,
    trained_runs: TrainedRuns,
    tmp_path: Path,
) -> None:
    run = trained_runs.copy(make_recipe(training={"max_steps": 1}), tmp_path)
    (run.adapter / "modeling_evil.py").write_text(evil_code)
    path = run.adapter / name
    auto_map = {**AUTO_MAP, "AutoTokenizer": ["modeling_evil.EvilModel", None]}
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": auto_map}))
    (answer,) = load_adapter(run.path).predict(["the team"])
    assert answer["prediction"] in run.result["data"]["labels"]
    assert not canary.exists()


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("adapter_config.json", {"auto_mapping": {"base_model_class": "system"}}),
        ("adapter_config.json", {"megatron_config": {"a": 1}, "megatron_core": "os"}),
        ("adapter_config.json", {"megatron_core": "os"}),
        ("adapter_config.json", {"rank_pattern": {"auto_map": "evil.Model"}}),
        ("workbench.json", {"auto_class": "pipeline"}),
        ("workbench.json", {"auto_class": "AutoModel"}),
        ("workbench.json", {"kind": "pickle"}),
        ("workbench.json", {"task": {"name": "os"}}),
        ("workbench.json", {"task": {"name": "text-classification", "evil": 1}}),
    ],
)
def test_names_in_an_export_are_only_those_of_an_export(
    file: str,
    values: dict[str, Any],
    canary: Path,
    make_recipe: Make,
    trained_runs: TrainedRuns,
    tmp_path: Path,
) -> None:
    run = trained_runs.copy(make_recipe(training={"max_steps": 1}), tmp_path)
    path = run.adapter / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    with pytest.raises(ExportError) as caught:
        load_adapter(run.path)
    assert "workbench import" in str(caught.value)


# --- data -----------------------------------------------------------------------------------


@pytest.mark.parametrize("splits", [None, {"train": "evil"}])
def test_a_data_set_that_is_a_program_is_not_run(
    splits: dict[str, str] | None, canary: Path, make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "evil.py").write_text(f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n")
    recipe = make_recipe(data={"source": str(folder), "splits": splits})
    run = train(recipe, seed=0, runs_dir=tmp_path / "runs")
    assert run.state == "failed", run.reason
    assert "comes as a program, evil.py, which is not run" in run.reason


def test_datasets_itself_refuses_a_script(canary: Path, tmp_path: Path) -> None:
    """datasets 4 has dropped loading scripts; the floor in pyproject.toml is for this."""
    from datasets import load_dataset

    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "evil.py").write_text(f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n")
    with pytest.raises(Exception, match="(?i)scripts are no longer supported|no .*data files"):
        load_dataset(str(folder / "evil.py"))


# --- recipes --------------------------------------------------------------------------------

RECIPE = """\
task: {name: text-classification}
model: {source: google-bert/bert-base-uncased}
data: {source: nyu-mll/glue}
method: {name: lora}
"""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("description: !!python/object/apply:os.system ['touch CANARY']", "the tag tag:yaml.org"),
        ("description: !!python/object/new:subprocess.Popen [[touch, CANARY]]", "is not allowed"),
        ("? !!python/name:os.system\n: 1", "is not allowed"),
        ("trust_remote_code: true", "code that comes with a model or data set is never run"),
        ("a: &a [x]\nb: [*a, *a]", "anchors and aliases (& and *) are not allowed"),
        ("description: " + "x" * 300_000, "a recipe has at most 262,144"),
    ],
)
def test_a_recipe_runs_nothing_and_leaves_nothing(
    line: str, words: str, canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(f"{RECIPE}{line}\n")
    for command in ("check", "run"):
        assert main([command, "r.yaml"]) == 2
        err = capsys.readouterr().err
        assert words in err and "Traceback" not in err and len(err) < 3000
    assert {path.name for path in tmp_path.iterdir()} <= {"r.yaml", "model"}


# --- chat templates -------------------------------------------------------------------------

TEMPLATES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.system('touch CANARY') }}",
    "{{ messages.append(1) }}",
    "{{ raise_exception.__globals__['os'].system('touch CANARY') }}",
    "{{ range(10 ** 12) | list }}",
]


def test_the_template_would_be_obeyed_outside_of_the_sandbox() -> None:
    """The control: jinja2 without its sandbox does evaluate the second of these."""
    import jinja2

    reached = jinja2.Environment().from_string("{{ cycler.__init__.__globals__.os.name }}")
    assert reached.render() == "posix"


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_chat_template_stays_in_its_sandbox(
    template: str, canary: Path, tiny_llama: Path, train: Train, tmp_path: Path
) -> None:
    template = template.replace("CANARY", str(canary))
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    (folder / "chat_template.jinja").write_text(template)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with pytest.raises((SecurityError, OverflowError, UndefinedError)):
        tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
    run = train(small_recipe("instruction", "lora", folder, tmp_path), 0, tmp_path / "runs")
    assert run.state == "failed" and "Traceback" not in run.reason, run.reason


def test_a_refused_template_is_told_in_words(
    canary: Path, tiny_llama: Path, train: Train, tmp_path: Path
) -> None:
    recipe = small_recipe("instruction", "lora", tiny_llama, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.chat_template = TEMPLATES[0]
    with pytest.raises(DataError, match="the chat template refuses a conversation") as caught:
        make_task(recipe.task, ()).stop_ids(tokenizer)
    assert "set task.chat: false" in str(caught.value)
