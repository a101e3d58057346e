"""Models that are wide enough for bitsandbytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wide_models import make_wide


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("wide")
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = make_wide(family, root / family)
        return made[family]

    return make
