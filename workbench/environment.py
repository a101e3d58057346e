"""What a run ran on: versions, device, code; and the seed."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "peft-workbench",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "deepspeed",
    "datasets",
    "evaluate",
    "tokenizers",
    "safetensors",
    "numpy",
    "scikit-learn",
)

_SECRET = re.compile(r"TOKEN|KEY|PASSWORD|PASSWD|SECRET|CREDENTIAL", re.IGNORECASE)
"""What names of environment variables have in them whose values nobody else may read."""
_SHORTEST_SECRET = 8
"""Shorter values (``0``, ``true``) are settings, and occur in any text."""


def without_secrets(text: str) -> str:
    """A text in which the values of secret environment variables stand as their names.

    Messages of libraries may quote an address or a header that a token is part of.
    """
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and _SECRET.search(name):
            text = text.replace(value, f"[{name}]")
    return text


def describe() -> dict[str, Any]:
    """Versions, machine and the state of the code, for environment.json.

    Environment variables are left out: they hold secrets.
    """
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": _git(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Commit and whether files were changed since, when the code is a checkout."""
    here = Path(__file__).resolve().parent
    try:
        commit = _run(["git", "rev-parse", "HEAD"], here)
        changed = _run(["git", "status", "--porcelain", "--", "."], here)
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.strip(), "dirty": bool(changed.strip())}


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout
