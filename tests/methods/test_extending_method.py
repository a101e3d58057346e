"""A method is added by the files that ARCHITECTURE.md lists, and by no fewer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.test_extending_task import ARCHITECTURE, ROOT, Step, copy, edited, python, written

__all__ = ["copy"]

SPEC = '''

class Norms(MethodSpec):
    """The layer norms and the head are trained."""

    default_learning_rate: ClassVar[float] = 3e-3
    name: Literal["norms"]


AnyMethod'''

CODE = '''"""Training the layer norms."""

from workbench.methods.base import Method
from workbench.methods.selective import _train_only

NORMS = Method(
    name="norms",
    paper="Qi et al. 2022, arXiv:2202.09357",
    export_kind="delta",
    apply=_train_only(lambda name: "norm" in name.lower() or ".ln_" in name),
)
'''


def in_specs(path: Path) -> None:
    edited(r"\n\nAnyMethod", SPEC)(path)
    edited(r"(\| Prompt) \| Peft,", r"\1 | Norms | Peft,")(path)


def documented(path: Path) -> None:
    """The table of what goes with what, as the test of the page says that it has to be."""
    program = "from pathlib import Path; import tests.test_docs as docs; "
    program += "print('---' + docs.matrix(Path('models')))"
    table = python(path.parents[1], program).partition("---")[2]
    text = path.read_text(encoding="utf-8")
    before, start, rest = text.partition("<!-- matrix -->\n")
    after = rest.partition("<!-- end of matrix -->")
    path.write_text("".join((before, start, table, *after[1:])), encoding="utf-8")


STEPS: dict[str, Step] = {
    "workbench/recipe/methods.py": in_specs,
    "workbench/methods/NEW.py": written(CODE),
    "README.md": edited(r"^\| `peft` \|", r"| `norms` | layer norms and the head | |\n\g<0>"),
    "docs/tasks.md": documented,
}
"""What is written in each file of ARCHITECTURE's list."""

CHECK = """
import json
from tests.methods.test_contract import CASES
from tests.test_docs import README, TASKS_PAGE
from tests.test_matrix import METHODS as IN_MATRIX
from workbench.methods import METHODS
from workbench.recipe.methods import METHOD_SPECS

found = {
    "workbench/recipe/methods.py": "norms" in METHOD_SPECS.keys() & CASES.keys() & IN_MATRIX.keys(),
    "workbench/methods/NEW.py": "norms" in METHODS,
    "README.md": "| `norms` |" in README,
    "docs/tasks.md": "| `prompt` | `norms` |" in TASKS_PAGE,
}
print(json.dumps([step for step, done in found.items() if not done]))
"""

USE = """
import sys
from workbench import plan, run
from workbench.adapters.export import export_run
from workbench.adapters.loaded import load_adapter
from workbench.recipe import load_recipe

recipe = load_recipe(sys.argv[1])
planned = plan(recipe, time=False)
(done,) = run(recipe, seeds=[0], runs_dir=sys.argv[2])
assert done.state == "finished", done.reason
result = done.result
assert planned["adapter_bytes"] == result["adapter_bytes"] > 0
assert planned["trainable_parameters"] == result["parameters"]["trainable"]
texts = ["the team won", "the bank"]
answers = load_adapter(done.path).predict(texts)
merged = load_adapter(export_run(done, done.path / "merged", merge=True)).predict(texts)
assert [a["prediction"] for a in answers] == [m["prediction"] for m in merged]
print("used")
"""


def missing(copy: Path) -> list[str]:
    found: list[str] = json.loads(python(copy, CHECK).splitlines()[-1])
    return found


def test_the_list_is_that_of_the_architecture_page() -> None:
    (entry,) = re.findall(r"^\*\*A method\*\*.*?(?=^\*\*)", ARCHITECTURE, flags=re.M | re.S)
    listed = re.findall(r"\(\d\)\s`([^`]+)`", entry)
    assert listed == [step.removeprefix("workbench/") for step in STEPS]
    assert (ROOT / "recipes" / "schema.json").exists() and "`make schema`" in entry


@pytest.mark.slow
def test_a_method_by_the_list_is_planned_trained_exported_and_merged(
    copy: Path, tiny_bert: Path
) -> None:
    assert missing(copy) == [*STEPS]
    for step, take in STEPS.items():
        take(copy / step)
    assert missing(copy) == []
    data = copy / "texts.jsonl"
    rows = [{"text": f"the goal of team {i}", "label": "ab"[i % 2]} for i in range(24)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = copy / "toy.yaml"
    recipe.write_text(
        f"task: {{name: text-classification}}\nmodel: {{source: {tiny_bert}, max_length: 16}}\n"
        f"data: {{source: {data}, validation_size: 4, test_size: 4}}\n"
        "method: {name: norms}\ntraining: {max_steps: 2, keep: last}\n"
    )
    assert python(copy, USE, str(recipe), str(copy / "runs")).endswith("used\n")
