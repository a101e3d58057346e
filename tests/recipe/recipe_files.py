"""Recipe files, and the problems of loading one."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import Problem, RecipeError
from workbench.recipe import load_recipe

BASE = """\
task: {name: text-classification, metrics: [accuracy]}
model: {source: google-bert/bert-base-uncased, max_length: 64}
data:
  source: nyu-mll/glue
  config: sst2
method: {name: lora, r: 4, alpha: 32}
training: {epochs: 2, batch_size: 8}
seeds: [0, 1]
"""


def write(study: Path, text: str, name: str = "mine.yaml") -> Path:
    path = study / name
    path.write_text(text)
    return path


def problems_of(path: Path | str, *overrides: str) -> list[Problem]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    return list(caught.value.problems)
