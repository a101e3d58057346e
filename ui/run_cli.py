"""Asking the command line for what needs torch, which this server never loads."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.jobs import child_environment
from workbench.recipe import Recipe, dump_recipe
from workbench.redact import without_secrets

TIMEOUT_SECONDS = 600


class NotAnswered(WorkbenchError):
    """A command that failed, with what it said."""

    kind = "not done"


def ask(
    arguments: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> dict[str, Any]:
    """The JSON document of ``workbench ARGUMENTS --json``, run in a process of its own.

    Args:
        environment: variables for that process alone; their values are never shown.

    Raises:
        NotAnswered: with what the command said.
    """
    given = dict(environment or {})
    command = [sys.executable, "-P", "-m", "workbench", *map(str, arguments), "--json"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env={**child_environment(), **given},
        )
    except subprocess.TimeoutExpired:
        what = f"`workbench {arguments[0]}` took more than {timeout:.0f} s"
        fix = "try it in a terminal; a model may still be downloading"
        raise NotAnswered(what, fix=fix) from None
    try:
        document = dict(json.loads(done.stdout))
    except (TypeError, ValueError):
        document = {}
    told = document.get("error")
    if done.returncode == 0 and document and told is None:
        return document
    if isinstance(told, dict) and not told.get("problems"):
        words = {key: _clean(str(told.get(key) or ""), given) for key in ("where", "why", "fix")}
        raise NotAnswered(_clean(str(told.get("what")), given), **words)
    said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
    raise NotAnswered(f"`workbench {arguments[0]}` failed", why=_clean(said[-2000:], given))


@contextmanager
def recipe_file(recipe: Recipe) -> Iterator[Path]:
    """The resolved recipe in a file of its own, for another process to read."""
    with tempfile.TemporaryDirectory(prefix="workbench-recipe-") as folder:
        file = Path(folder) / f"{recipe.name}.yaml"
        file.write_text(dump_recipe(recipe), encoding="utf-8")
        yield file


def _clean(text: str, given: Mapping[str, str]) -> str:
    """What a command said without the values that only it was given."""
    for value in filter(None, given.values()):
        text = text.replace(value, "***")
    return without_secrets(text)
