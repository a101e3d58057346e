"""What the pages say is so: commands exist and run, tables are complete, code works."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoConfig, AutoModelForMaskedLM

import workbench
from tests.test_layers import ASIDE, LAYERS, ON_TOP
from tests.tiny_models import make_tiny
from workbench.cli import main
from workbench.data import load_data
from workbench.distributed.policy import choose_policy
from workbench.errors import MethodError, UsageError, WorkbenchError
from workbench.methods.build import build_model
from workbench.models import empty_base, load_base
from workbench.recipe import Recipe, load_recipe
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.rules import check_rules
from workbench.recipe.schema import DataSpec
from workbench.recipe.tasks import TASK_SPECS
from workbench.tasks import make_task

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
TASKS_PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
CPU = torch.device("cpu")
QUICK = {"recipes", "check", "runs", "compare"}


def _blocks(language: str) -> list[str]:
    """The README's code blocks in one language ("" for plain ones)."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    return [text for name, text in fenced if name == language]


def _commands() -> list[list[str]]:
    """The `workbench` command lines in the README's code blocks, without their comments."""
    lines = [line for block in _blocks("") for line in block.splitlines()]
    found = [shlex.split(line, comments=True) for line in lines if line.startswith("workbench ")]
    assert len(found) >= 10
    return [words[1:] for words in found]


def test_every_command_in_the_readme_exists_with_its_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command, *arguments in _commands():
        assert main([command, "--help"]) == 0, command
        page = capsys.readouterr().out
        for option in (a for a in arguments if a.startswith("--")):
            assert option in page, f"workbench {command} has no {option}"


@pytest.mark.parametrize("words", [w for w in _commands() if w[0] in QUICK], ids=" ".join)
def test_the_quick_commands_of_the_readme_run(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "bbc-news").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0


def test_the_readme_lists_every_method_and_existing_targets() -> None:
    table = README[README.index("## Methods") : README.index("## Extend")]
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", table, flags=re.MULTILINE)) == set(METHOD_SPECS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake ([a-z]+)\b", README))
    targets |= set(re.findall(r"`make ([a-z]+)`", ARCHITECTURE))
    assert targets >= {"demo", "test", "check", "ui", "bench", "schema"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), f"no target {target}"


def test_links_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")]
    count = 0
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                count += 1
                assert (page.parent / target).exists(), f"{page.name}: {target}"
    assert count >= 4


def test_what_is_promised_names_tests_that_exist() -> None:
    for page in (ROOT / "SECURITY.md", ROOT / "docs" / "reliability.md"):
        named = re.findall(r"`(tests/[^`]*)`", page.read_text(encoding="utf-8"))
        assert len(named) >= 10
        for each in named:
            file, _, test = each.partition("::")
            assert (ROOT / file).exists(), each
            assert not test or f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), each


def test_the_architecture_page_has_the_packages_in_their_order() -> None:
    table = ARCHITECTURE.partition("## Packages")[2].partition("A package imports")[0]
    first = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    packages = re.findall(r"`(\w+)(?:\.py|/)`", first)
    assert packages[: len(LAYERS)] == LAYERS
    assert {*packages[len(LAYERS) :]} == {*ASIDE, *ON_TOP, "ui"} - {"__init__"}


def test_the_architecture_page_names_what_exists() -> None:
    pipeline = ARCHITECTURE.partition("## Pipeline")[2].partition("## Packages")[0]
    paths = re.findall(r"\bworkbench/[\w/]+(?:\.py)?", pipeline)
    paths += re.findall(r"`(\w+/\w+\.py)`", ARCHITECTURE)
    assert len(paths) > 20
    missing = [
        p
        for p in paths
        if "NEW" not in p and not ((ROOT / p).exists() or (ROOT / "workbench" / p).exists())
    ]
    assert not missing


def test_the_changelog_has_this_version() -> None:
    assert f"## {workbench.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f'version = "{workbench.__version__}"' in (ROOT / "pyproject.toml").read_text("utf-8")


FEW = (
    '"data.train_size=320", "data.validation_size=20", "data.test_size=40", "model.max_length=48", '
)
"""Articles: as many as 20 steps read, only their first lines, and fewer to be tested on."""


@pytest.mark.assets
def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    (code,) = _blocks("python")
    code = code.replace('"recipes/', f'"{ROOT}/recipes/')
    few = code.replace('["training.max_steps', f'[{FEW}"training.max_steps')
    assert few != code
    done = subprocess.run(
        [sys.executable, "-c", few],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "lora" in done.stdout and "'prediction': 'business'" in done.stdout


# --- tasks ----------------------------------------------------------------------------------


def _rows(page: str, header: str) -> list[list[str]]:
    """The cells of the table that has a header like this, row by row."""
    lines = page[page.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_tables_of_tasks_name_them_all_as_they_are() -> None:
    shown = {
        _code(row[0])[0]: (_code(row[3]), row[4]) for row in _rows(README, "| task | learns |")
    }
    tasks = {name: spec.model_validate({"name": name}) for name, spec in TASK_SPECS.items()}
    assert shown == {
        name: (list(task.score_names), ", ".join(task.families)) for name, task in tasks.items()
    }
    for header in ("| task | `text` |", "| task | loss |", "| task | what does not fit |"):
        named = [task for row in _rows(TASKS_PAGE, header) for task in _code(row[0])]
        assert sorted(named) == sorted(TASK_SPECS)
    (decoding,) = re.findall(r"^```yaml\n(.*?)^```$", TASKS_PAGE, flags=re.DOTALL | re.MULTILINE)
    TASK_SPECS["instruction"].model_validate(yaml.safe_load(decoding)["task"])


def _task_recipes() -> list[str]:
    return [text for text in _blocks("yaml") if re.search(r"^task:", text, flags=re.MULTILINE)]


def _task_of(text: str) -> str:
    return str(yaml.safe_load(text)["task"]["name"])


@pytest.mark.parametrize("text", _task_recipes(), ids=_task_of)
def test_the_recipes_of_the_readme_read_the_rows_above_them(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    recipe = load_recipe(path, ["data.duplicates=keep"])
    row = json.loads(text.splitlines()[0].removeprefix("# "))
    Path(recipe.data.source).write_text(f"{json.dumps(row)}\n" * 20, encoding="utf-8")
    assert len(load_data(recipe.data, recipe.task).train) == 14


def test_the_splits_of_the_readme_are_read(tmp_path: Path) -> None:
    (block,) = [text for text in _blocks("yaml") if "splits:" in text]
    data = yaml.safe_load(block)["data"]
    for role, name in data["splits"].items():
        rows = "".join(f"{role} {i},{i % 5}\n" for i in range(10))
        path = tmp_path / data["source"] / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"review,stars\n{rows}", encoding="utf-8")
    spec = DataSpec.model_validate(data | {"source": str(tmp_path / data["source"])})
    loaded = load_data(spec, TASK_SPECS["text-classification"](name="text-classification"))
    for role in ("train", "validation", "test"):
        assert set(getattr(loaded, role).texts) == {f"{role} {i}" for i in range(10)}


def test_the_readme_has_a_recipe_for_every_task_but_the_first() -> None:
    names = {_task_of(text) for text in _task_recipes()}
    assert names == set(TASK_SPECS) - {"text-classification"}


def _recipe(task: str, folder: Path, method: str) -> Recipe:
    fields = {}
    if "num_virtual_tokens" in METHOD_SPECS[method].model_fields:
        fields = {"num_virtual_tokens": 4}
    return Recipe.model_validate(
        {
            "task": {"name": task},
            "model": {"source": str(folder), "max_length": 16},
            "data": {"source": "/rows.jsonl"},
            "method": {"name": method, **fields},
        }
    )


def _refusal(recipe: Recipe) -> str | None:
    """Why a method cannot be put on a model, in the words that the user sees; nothing is loaded."""
    found = next((f for f in check_rules(recipe) if f.path[0] == "method"), None)
    if found:
        return f"{found.what}. Fix: {found.fix}"
    try:
        build_model(recipe, make_task(recipe.task, ("A", "B")), empty_base)
    except MethodError as error:
        return _sentence(error)
    return None


def _model_refusal(recipe: Recipe) -> str | None:
    """Why a model cannot do a task at all."""
    try:
        policy = choose_policy(recipe.training, CPU)
        load_base(recipe.model, make_task(recipe.task, ("A", "B")), policy)
    except UsageError as error:
        return _sentence(error)
    return None


def _sentence(error: WorkbenchError) -> str:
    what = re.sub(r", e\.g\. \S+$", "", error.what)  # one of many tensors, any
    return f"{'; '.join(filter(None, (what, error.why)))}. Fix: {error.fix}"


def matrix(folder: Path) -> str:
    """The table of docs/tasks.md: what goes with what, and the reasons where it does not."""
    families = {"BERT": "bert", "DistilBERT": "distilbert", "GPT-2": "gpt2", "Llama": "llama"}
    models = {name: make_tiny(family, folder / family) for name, family in families.items()}
    # With the head that its published checkpoints have.
    config = AutoConfig.from_pretrained(models["DistilBERT"])
    AutoModelForMaskedLM.from_config(config).save_pretrained(models["DistilBERT"])
    methods = [name for name in METHOD_SPECS if name != "peft"]
    lines = [
        f"| task | model | {' | '.join(f'`{name}`' for name in methods)} |",
        f"| {' | '.join(['---'] * (len(methods) + 2))} |",
    ]
    reasons: dict[str, int] = {}
    for task in TASK_SPECS:
        for model, folder in models.items():
            recipes = [_recipe(task, folder, method) for method in methods]
            of_model = _model_refusal(recipes[0])
            cells = []
            for why in (of_model or _refusal(recipe) for recipe in recipes):
                named = why and why.replace(str(folder), "the model").replace(task, "the task")
                number = named and reasons.setdefault(named, len(reasons) + 1)
                cells.append(f"no ({number})" if number else "yes")
            lines.append(f"| `{task}` | {model} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{number}. {reason}" for reason, number in reasons.items())])


def test_the_matrix_of_methods_and_tasks_is_the_one_in_force(
    tmp_path: Path,
) -> None:
    table = matrix(tmp_path)
    shown = TASKS_PAGE.partition("<!-- matrix -->\n")[2].partition("\n<!-- end of matrix -->")[0]
    assert shown == table, f"docs/tasks.md has to hold:\n{table}"
