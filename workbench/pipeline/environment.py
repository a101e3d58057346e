"""What a run ran on: versions, machine, code."""

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import transformers

PACKAGES = (
    *("peft-workbench", "torch", "transformers", "peft", "accelerate", "deepspeed", "datasets"),
    *("evaluate", "tokenizers", "safetensors", "numpy", "scikit-learn", "bitsandbytes"),
)


def quiet_transformers() -> None:
    """Its load report and progress bars say nothing about the run."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def describe() -> dict[str, Any]:
    """Versions, machine and the state of the code, for environment.json.

    Environment variables are left out: they hold secrets.
    """
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
        "git": _git(),
    }


def in_words(surroundings: dict[str, Any]) -> str:
    """What ``describe`` found, in one sentence for log.txt."""
    packages = [f"{name} {known}" for name, known in surroundings["packages"].items() if known]
    return ", ".join([f"python {surroundings['python']}", *packages, surroundings["platform"]])


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Commit and whether files were changed since, when the code is a checkout."""
    here = Path(__file__).resolve().parents[1]
    status = ["git", "status", "--porcelain=2", "--branch", "--", "."]
    try:
        done = subprocess.run(
            status, cwd=here, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    commit = next(line.split()[-1] for line in lines if line.startswith("# branch.oid"))
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}
