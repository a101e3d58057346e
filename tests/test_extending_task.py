"""A task is added by the nine files that ARCHITECTURE.md lists, and by no fewer."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")

SPEC = '''

class LongOrShort(TextClassification):
    """Whether a text is long."""

    label = "unread"
    second_text = "unread"
    name: Literal["long-or-short"]


AnyTask'''

DATA = '''"""Texts that are long or short."""

from workbench.data.examples import Examples
from workbench.data.reading import Reading, joined_ids, joined_texts


def read_lengths(splits, spec, task):
    """Texts, each with the class of its length."""
    texts = joined_texts(splits, spec)
    labels = tuple(int(len(text.split()) > 4) for text in texts)
    examples = Examples(ids=joined_ids(splits), texts=texts, pairs=None, labels=labels)
    return Reading(examples, ("short", "long"))
'''

CODE = '''"""Whether a text is long."""

from workbench.tasks.text_classification import TextClassificationTask


class LongOrShortTask(TextClassificationTask):
    """A class for the length of a text."""

    prompt_text = "Is the text long?"
'''

README_RECIPE = """
```yaml
# {"text": "A text."}
task: {name: long-or-short}
model: {source: asset:minilm-l6}
data: {source: texts.jsonl}
method: {name: lora}
```
"""

Step = Callable[[Path], None]


def edited(pattern: str, new: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        text, count = re.subn(pattern, new, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert count, f"nothing in {path.name} is like {pattern}"
        path.write_text(text, encoding="utf-8")

    return edit


def written(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text, encoding="utf-8")  # type: ignore[func-returns-value]


def documented(path: Path) -> None:
    """A row in each table of tasks."""
    edited(r"^\| `causal-lm`, `masked-lm` \|", "| `causal-lm`, `masked-lm`, `long-or-short` |")(
        path
    )
    edited(r"^(\| `masked-lm` \|)(?= the)", r"| `long-or-short` | as classes |\n\1")(path)


def in_readme(path: Path) -> None:
    row = "| `long-or-short` | length | a text | `accuracy`, `f1_macro` | encoder, decoder |"
    edited(r"^\| `masked-lm` \| hidden", rf"{row}\n\g<0>")(path)
    path.write_text(path.read_text(encoding="utf-8") + README_RECIPE, encoding="utf-8")


def in_specs(path: Path) -> None:
    edited(r"\n\nAnyTask", SPEC)(path)
    edited(r"^    \| MaskedLM,", "    | MaskedLM\n    | LongOrShort,")(path)


def in_table(module: str, name: str, line: str) -> Step:
    """A line in a table of tasks, and the import that it needs."""

    def edit(path: Path) -> None:
        edited(r"^from workbench.recipe", f"from {module} import {name}\n\\g<0>")(path)
        edited(r'^    "causal-lm"', f'    "long-or-short": {line},\n\\g<0>')(path)

    return edit


STEPS: dict[str, Step] = {
    "workbench/recipe/tasks.py": in_specs,
    "workbench/data/NEW.py": written(DATA),
    "workbench/data/forms.py": in_table("workbench.data.NEW", "read_lengths", "Form(read_lengths)"),
    "workbench/tasks/NEW.py": written(CODE),
    "workbench/tasks/__init__.py": in_table(
        "workbench.tasks.NEW", "LongOrShortTask", "LongOrShortTask"
    ),
    "tests/test_matrix.py": edited(r'^    "causal-lm"', '    "long-or-short": (0.1, 0.2),\n\\g<0>'),
    "recipes/schema.json": written(""),
    "README.md": in_readme,
    "docs/tasks.md": documented,
}
"""What is written in each file of ARCHITECTURE's list; `make schema` writes the JSON Schema."""

CHECK = """
import json, sys
from pathlib import Path
import pytest
import tests.test_docs as docs
from tests.recipe import test_shipped_recipes as shipped
from tests.test_matrix import LEARNED
from workbench.data.forms import FORMS
from workbench.recipe.tasks import TASK_SPECS
from workbench.tasks import TASKS

def holds(test):
    try:
        test()
    except (AssertionError, KeyError, ValueError):
        return False
    return True

def tables_of(page, headers):
    text = Path(page).read_text(encoding="utf-8")
    return all("long-or-short" in str(docs._rows(text, header)) for header in headers)

found = {
    "workbench/recipe/tasks.py": "long-or-short" in TASK_SPECS,
    "workbench/data/forms.py": FORMS.keys() == TASK_SPECS.keys(),
    "workbench/tasks/__init__.py": TASKS.keys() == TASK_SPECS.keys(),
    "tests/test_matrix.py": LEARNED.keys() == TASK_SPECS.keys(),
    "recipes/schema.json": holds(shipped.test_the_published_schema_is_current),
    "README.md": holds(docs.test_the_readme_has_a_recipe_for_every_task_but_the_first)
    and tables_of("README.md", ["| task | learns |"]),
    "docs/tasks.md": holds(docs.test_the_tables_of_tasks_name_them_all_as_they_are),
}
print(json.dumps([step for step, done in found.items() if not done]))
"""

USE = """
import sys
from pathlib import Path
from workbench import run
from workbench.adapters.loaded import load_adapter
from workbench.costs.texts import read_texts
from workbench.explaining import answer_text, decide
from workbench.pipeline.inspect_data import inspect_data
from workbench.recipe import load_recipe

recipe = load_recipe(sys.argv[1])
assert [row["label"] for row in inspect_data(recipe)["labels"]] == ["short", "long"]
assert len(read_texts(recipe).train) == 12
(done,) = run(recipe, seeds=[0], runs_dir=sys.argv[2])
assert done.state == "finished", done.reason
assert "majority class" in done.result["references"]
adapter = load_adapter(done.path)
answer = answer_text(adapter, "the team won")
assert answer["kind"] == "labels" and answer["prediction"] in ("short", "long")
assert decide(adapter, "the team won", choice=1).about == "long"
assert "pipeline_tag: long-or-short" in (done.path / "adapter" / "README.md").read_text()
print("used")
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__", "ui", "*.png")
    for name in ("workbench", "tests", "recipes", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def take(steps: list[str], copy: Path) -> None:
    for step in steps:
        if step == "recipes/schema.json":
            command = "import json; from workbench.recipe import json_schema; "
            command += "print(json.dumps(json_schema(), indent=2, ensure_ascii=False))"
            (copy / step).write_text(python(copy, command), encoding="utf-8")
        else:
            STEPS[step](copy / step)


def python(copy: Path, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_list_is_that_of_the_architecture_page() -> None:
    (entry,) = re.findall(r"^\*\*A task\*\*.*?(?=^\*\*)", ARCHITECTURE, flags=re.M | re.S)
    listed = re.findall(r"\(\d\)\s`([^`]+)`", entry)
    assert listed == [step.removeprefix("workbench/") for step in STEPS]
    assert len(STEPS) <= 9


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_task_by_the_list_is_trained_exported_and_asked(copy: Path, tiny_bert: Path) -> None:
    take([*STEPS], copy)
    texts = ["the team won", "the team won the final match in the end"] * 10
    data = copy / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": f"{t} {i}"}) + "\n" for i, t in enumerate(texts)))
    recipe = copy / "toy.yaml"
    recipe.write_text(
        f"task: {{name: long-or-short}}\nmodel: {{source: {tiny_bert}, max_length: 16}}\n"
        f"data: {{source: {data}, validation_size: 4, test_size: 4}}\n"
        "method: {name: lora, target_modules: [query]}\ntraining: {max_steps: 2, keep: last}\n"
    )
    said = python(copy, CHECK + USE, str(recipe), str(copy / "runs")).splitlines()
    assert said[0] == "[]" and said[-1] == "used"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_step_that_is_left_out_is_missed(copy: Path) -> None:
    take(["workbench/recipe/tasks.py"], copy)
    missing = json.loads(python(copy, CHECK))
    assert missing == [step for step in STEPS if not step.endswith("NEW.py")][1:]
