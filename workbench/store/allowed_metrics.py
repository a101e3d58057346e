"""Which metrics of the Hub the user has allowed to run, with the hashes of their scripts.

    <config>/allowed-metrics.json                    name, revision, and each script's hash
    <cache>/metric-code/<owner>--<name>/<revision>/  the scripts as they were fetched

A metric of the Hub is somebody's program. It runs where the user has allowed it by name and commit
(``--allow-metric-code``), which no recipe and no link can do, and only with these bytes.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from workbench.assets.cache import cache_dir
from workbench.errors import UsageError
from workbench.recipe.catalogue import HUB_METRIC_PREFIX, HUB_OWNER, hub_id
from workbench.recipe.schema import Recipe
from workbench.store.files import read_json, read_whole, write_json

OPTION = "--allow-metric-code"


@dataclass(frozen=True)
class Script:
    """A file of a metric, as it was when it was allowed."""

    address: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Allowed:
    """A metric that may run."""

    repository: str
    revision: str
    scripts: dict[str, Script]
    """By file name; the first is the metric's own."""

    @property
    def folder(self) -> Path:
        return cache_dir() / "metric-code" / self.repository.replace("/", "--") / self.revision

    def lines(self, name: str) -> list[str]:
        """What runs, one line for each file."""
        return [
            f"metric {name} runs {each.address} ({each.bytes:,} bytes, sha256 {each.sha256})"
            for each in self.scripts.values()
        ]


def config_dir() -> Path:
    """Folder of what the user has decided: ``$WORKBENCH_CONFIG`` or the platform's own."""
    if chosen := os.environ.get("WORKBENCH_CONFIG"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        root = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    else:
        root = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return root / "peft-workbench"


def allowed_file() -> Path:
    return config_dir() / "allowed-metrics.json"


def read_allowed() -> dict[str, Allowed]:
    """The metrics that may run, by name; what cannot be read allows nothing."""
    found = {}
    for name, entry in (read_json(allowed_file(), links=True) or {}).items():
        with suppress(TypeError, KeyError, AttributeError, ValueError):
            scripts = {
                file: Script(str(each["address"]), int(each["bytes"]), str(each["sha256"]))
                for file, each in entry["scripts"].items()
            }
            if scripts:
                found[name] = Allowed(str(entry["repository"]), str(entry["revision"]), scripts)
    return found


def remember(name: str, allowed: Allowed) -> None:
    """Allows a metric, in place of another revision of it."""
    file = allowed_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        known: dict[str, Any] = {each: asdict(it) for each, it in read_allowed().items()}
        write_json(file, known | {name: asdict(allowed)})


def read_scripts(name: str, allowed: Allowed) -> dict[str, str]:
    """The text of a metric's scripts, by file name.

    Raises:
        UsageError: when they are not there, or not those that were allowed.
    """
    texts = {}
    for file, script in allowed.scripts.items():
        path = allowed.folder / file
        again = f"{OPTION} {name}@{allowed.revision} fetches the allowed one again"
        try:
            text = read_whole(path)
        except (OSError, UnicodeDecodeError) as error:
            what = f"the script of the metric hub:{name} cannot be read: {error}"
            raise UsageError(what, where=str(path), fix=again) from error
        if hashlib.sha256(text.encode()).hexdigest() != script.sha256:
            why = f"its sha256 is no longer {script.sha256}"
            what = f"the script of the metric hub:{name} has changed since it was allowed"
            raise UsageError(what, where=str(path), why=why, fix=f"delete it; {again}")
        texts[file] = text
    return texts


def check_allowed(recipes: Iterable[Recipe]) -> list[str]:
    """The scripts of the Hub that recipes will run, in words; nothing is loaded.

    Raises:
        UsageError: when one of them is not allowed, or has changed since.
    """
    lines: dict[str, None] = {}
    for recipe in recipes:
        for name in hub_metrics(recipe):
            allowed = allowed_metric(name, f"{recipe.study}/{recipe.name}: task.metrics")
            read_scripts(name, allowed)
            lines |= dict.fromkeys(allowed.lines(name))
    return list(lines)


def hub_metrics(recipe: Recipe) -> list[str]:
    """The names of a recipe's metrics that are programs of the Hub."""
    return [hub_id(each) for each in recipe.task.metrics if each.startswith(HUB_METRIC_PREFIX)]


def allowed_code(recipe: Recipe) -> dict[str, Any]:
    """What a recipe runs of the Hub, by metric, for the record of a run."""
    known = read_allowed()
    return {name: asdict(known[name]) for name in hub_metrics(recipe) if name in known}


def allowed_metric(name: str, where: str = "task.metrics") -> Allowed:
    """What was allowed of a metric.

    Raises:
        UsageError: when nothing was.
    """
    if found := read_allowed().get(name):
        return found
    page = name if "/" in name else f"{HUB_OWNER}{name}"
    raise UsageError(
        f"the metric hub:{name} is a program of the Hub that you have not allowed to run",
        where=where,
        why="a recipe or a link must not choose what code runs on this machine",
        fix=f"read https://huggingface.co/spaces/{page}/tree/main, then `workbench check RECIPE "
        f"{OPTION} {name}@COMMIT` with the full commit hash, or choose one of the workbench's own",
    )
