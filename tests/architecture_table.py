"""The table of docs/tasks.md that says which architecture takes which method, and why not.

``python -m tests.architecture_table`` tries every cell, which takes half an hour, and writes it;
names of architectures behind it try those alone. Each cell is a run: two steps on a tiny random
model, its test, and the plain-load check of what it exports.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.architectures import DECODERS, ENCODERS, FAMILIES, save_architecture
from tests.tiny_models import TOPICS, WORDS, topic_rows

PAGE = Path(__file__).parents[1] / "docs" / "tasks.md"
START, END = "<!-- architectures -->\n", "\n<!-- end of architectures -->"
TASKS = {
    "encoder": ("text-classification", "token-classification"),
    "decoder": ("text-classification", "causal-lm", "instruction"),
}
METHODS: dict[str, dict[str, Any]] = {
    "full": {},
    "head": {},
    "lora": {},
    "ia3": {},
    "prefix": {"num_virtual_tokens": 4},
    "p-tuning": {"num_virtual_tokens": 4, "encoder_size": 8},
    "prompt": {"num_virtual_tokens": 4},
}
WITHOUT_NEW_HEAD = {"causal-lm", "instruction"}
ALL_LINEAR = "with target_modules: all-linear; by default refused, as "
Cells = dict[tuple[str, str], str]
"""By task and method: "yes", or why not."""
Run = Callable[[Any, Path], Any]
"""Runs a recipe into a folder."""


def tasks_of(name: str) -> tuple[str, ...]:
    """The tasks that an architecture is tried on."""
    return TASKS["encoder" if name in ENCODERS else "decoder"]


def outcomes(name: str, folder: Path, run: Run) -> Cells:
    """What comes of every task and method on one architecture."""
    return {
        (task, method): outcome(name, task, method, folder, run)
        for task in tasks_of(name)
        for method in METHODS
        if not (method == "head" and task in WITHOUT_NEW_HEAD)
    }


def outcome(name: str, task: str, method: str, folder: Path, run: Run) -> str:
    """What comes of one task and method on one architecture."""
    if not (folder / "model").is_dir():
        save_architecture(name, folder / "model")
    kind = json.loads((folder / "model" / "config.json").read_text())["model_type"]
    found = _said(run(recipe_of(task, method, folder, METHODS[method]), folder / "runs"), kind)
    if method == "lora" and found.startswith("method.target_modules: "):
        everywhere = METHODS[method] | {"target_modules": "all-linear"}
        if _said(run(recipe_of(task, method, folder, everywhere), folder / "runs"), kind) == "yes":
            found = ALL_LINEAR + found.removeprefix("method.target_modules: ")
    return found


def _said(run: Any, kind: str) -> str:
    """ "yes", or what was refused and why, without the kind of model: they share their reasons."""
    if run.state == "finished":
        return "yes"
    what, *more = run.reason.splitlines()
    why = next((line.strip().removeprefix("why: ") for line in more if "why: " in line), "")
    return re.sub(rf"\b{kind}\b", "the model", f"{what}; {why}" if why else what)


def recipe_of(task: str, method: str, folder: Path, fields: Mapping[str, Any]) -> Any:
    from workbench.recipe import Recipe

    file = folder / f"{task}.jsonl"
    if not file.is_file():
        file.write_text("".join(json.dumps(row) + "\n" for row in _rows(task)))
    own: dict[str, Any] = {}
    if task == "instruction":
        own = {"decoding": {"max_new_tokens": 4}, "metrics": ["perplexity", "exact_match"]}
    return Recipe.model_validate(
        {
            "study": task,
            "name": method,
            "task": {"name": task, **own},
            "model": {"source": str(folder / "model"), "max_length": 24},
            "data": {"source": str(file), "validation_size": 8, "test_size": 12},
            "method": {"name": method, **fields},
            "training": {"max_steps": 2, "batch_size": 8, "precision": "fp32"},
        }
    )


def _rows(task: str) -> list[dict[str, Any]]:
    """Texts of several lengths, so that batches are padded."""
    rows = topic_rows(48)
    if task == "token-classification":
        topics = {WORDS[i] for own in TOPICS.values() for i in own}
        split = [row["text"].split() for row in rows]
        return [{"text": ws, "label": ["B-T" if w in topics else "O" for w in ws]} for ws in split]
    if task == "instruction":
        return [{"text": row["text"], "label": WORDS[TOPICS[row["label"]][0]]} for row in rows]
    return rows if task == "text-classification" else [{"text": row["text"]} for row in rows]


def render(table: Mapping[str, Cells]) -> str:
    """The table with its reasons below."""
    lines = [
        f"| task | architecture | {' | '.join(f'`{name}`' for name in METHODS)} |",
        f"| {' | '.join(['---'] * (len(METHODS) + 2))} |",
    ]
    reasons: dict[str, int] = {}
    for name, cells in table.items():
        for task in tasks_of(name):
            row = [_cell(cells.get((task, method)), reasons) for method in METHODS]
            lines.append(f"| `{task}` | {name} | {' | '.join(row)} |")
    return "\n".join([*lines, "", *(f"{number}. {reason}" for reason, number in reasons.items())])


def _cell(found: str | None, reasons: dict[str, int]) -> str:
    if found is None:
        return "–"
    if found == "yes":
        return "yes"
    number = reasons.setdefault(found, len(reasons) + 1)
    return f"{'yes' if found.startswith(ALL_LINEAR) else 'no'} ({number})"


def read() -> dict[str, Cells]:
    """The cells of the table in docs/tasks.md."""
    text = PAGE.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]
    reasons = dict(re.findall(r"^(\d+)\. (.*)$", text, flags=re.MULTILINE))
    table: dict[str, Cells] = {}
    for line in text.splitlines()[2:]:
        if not line.startswith("|"):
            continue
        task, name, *row = (cell.strip() for cell in line.strip("|").split("|"))
        for method, cell in zip(METHODS, row, strict=True):
            number = re.search(r"\((\d+)\)", cell)
            if cell != "–":
                found = reasons[number[1]] if number else cell
                table.setdefault(name, {})[task.strip("`"), method] = found
    return table


def write(table: Mapping[str, Cells]) -> None:
    """Puts the table into docs/tasks.md, in the order of the architectures."""
    ordered = {name: table[name] for name in FAMILIES if name in table}
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    PAGE.write_text(before + START + render(ordered) + END + after, encoding="utf-8")


def main(names: list[str]) -> None:
    """Tries some architectures, or all, and writes what came of each as soon as it is known."""
    from tempfile import TemporaryDirectory

    from workbench.adapters.plain_load import PlainLoader
    from workbench.pipeline import setup
    from workbench.pipeline.runner import run_recipe

    # They take longer than the runs, and have tests of their own.
    setup.forecast = lambda *_, **__: {}
    setup.warm_up = lambda *_, **__: False
    with PlainLoader() as loader:
        for name in names or [*ENCODERS, *DECODERS]:
            with TemporaryDirectory() as folder:
                cells = outcomes(
                    name,
                    Path(folder),
                    lambda recipe, runs: run_recipe(recipe, 0, runs, force=True, loader=loader),
                )
            write(read() | {name: cells})
            print(name, sum(found == "yes" for found in cells.values()), "of", len(cells))


if __name__ == "__main__":
    main(sys.argv[1:])
