"""A study: a folder with a base for its recipes."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_files import BASE, write


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "my-study"
    folder.mkdir()
    write(folder, BASE, "_base.yaml")
    return folder
