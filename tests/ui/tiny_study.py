"""A study on a tiny model: its recipes train in seconds, or for as long as a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


def write_study(
    folder: Path,
    model: Path,
    data: Path,
    methods: dict[str, dict[str, Any]],
    seeds: Sequence[int] = (0, 1),
    **training: Any,
) -> Path:
    """Writes one recipe for each method, all of the same data, and returns the folder."""
    folder.mkdir()
    for name, method in methods.items():
        recipe = {
            "task": {"name": "text-classification"},
            "model": {"source": str(model), "max_length": 16},
            "data": {"source": str(data), "validation_size": 16, "test_size": 24},
            "method": method,
            "training": {"batch_size": 8, "precision": "fp32", **training},
            "seeds": [*seeds],
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder
