"""A recipe for tests that only write folders, and real processes that write them at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from workbench.recipe import Recipe

ROOT = Path(__file__).parents[2]


def news_recipe(name: str = "lora-r4") -> Recipe:
    """A recipe that nobody runs."""
    return Recipe.model_validate(
        {
            "study": "news",
            "name": name,
            "task": {"name": "text-classification"},
            "model": {"source": "asset:minilm-l6"},
            "data": {"source": "asset:bbc-news"},
            "method": {"name": "lora", "r": 4},
        }
    )


PROLOGUE = """
import json, os, sys, time
from pathlib import Path
from tests.store.stored_recipes import news_recipe
from workbench import store
from workbench.errors import RunRefused
root, count = Path(sys.argv[1]), int(sys.argv[2])
recipe = news_recipe()
run_path = store.run_path(root, recipe, 0)
begin = time.monotonic() + 0.3
def child(number):
    time.sleep(max(0.0, begin - time.monotonic()))  # all at one moment
    return BODY(number)
"""

EPILOGUE = """
pipes = []
for number in range(count):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        try:
            os.write(writing, json.dumps(child(number)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    pipes.append(reading)
answers = []
for pipe in pipes:
    with os.fdopen(pipe, "rb") as file:
        answers.append(json.loads(file.read()))
    os.wait()
assert "torch" not in sys.modules
print(json.dumps(answers))
"""


def at_once(body: str, root: Path, count: int) -> list[Any]:
    """What ``BODY(number)`` returns in so many real processes that begin at the same moment.

    One interpreter imports the store and forks, so that a hundred of them are cheap.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + body + EPILOGUE, str(root), str(count)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert isinstance(answers, list)
    return answers
