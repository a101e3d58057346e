"""Short ways to write a data file and load it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.data import Data, load_data
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec
from workbench.recipe.tasks import TASK_SPECS

Load = Callable[..., Data]


@pytest.fixture
def load() -> Load:
    """Loads a source; keywords that the task knows go there, all others to DataSpec."""

    def load_(source: Path | str, task: str = "text-classification", **keys: Any) -> Data:
        spec = TASK_SPECS[task]
        known = {k: keys.pop(k) for k in list(keys) if k in spec.model_fields}
        return load_data(DataSpec(source=str(source), **keys), spec(name=task, **known))

    return load_


@pytest.fixture
def refusal(load: Load) -> Callable[..., str]:
    """The message with which a source is refused, as the user sees it."""

    def refusal_(source: Path | str, **keys: Any) -> str:
        with pytest.raises(DataError) as caught:
            load(source, **keys)
        return str(caught.value)

    return refusal_


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes bytes, text, or rows as jsonl to a file and returns its path."""

    def write_(name: str, content: bytes | str | list[Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_
