"""Imports of torch, transformers and peft: without their remarks, and quicker.

Most of what a short command takes is these imports. Two things in them are for nobody here, and
transformers (5.23) has no setting for either: it reads its 1,638 model files twice to find out what
they export, and it imports scipy for the losses of object detection.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from workbench.assets import cache_dir
from workbench.store import read_json, write_json

Execute = Callable[[ModuleType], None]
"""Runs a module's code, as a loader's ``exec_module``."""


@contextmanager
def loading_libraries() -> Iterator[None]:
    """Around the imports of torch, transformers and peft.

    Loading reports and deprecation notes are addressed to whoever calls those libraries, not to
    whoever types a command; what the environment says already stays. And a million objects that
    live as long as the process are not searched for garbage, neither here nor at any time later.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)
    # accelerate imports DeepSpeed wherever it is installed, and that writes remarks to stdout.
    logging.getLogger("DeepSpeed").addFilter(lambda record: record.levelno >= logging.ERROR)
    finder = _Quicker()
    gc.disable()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        gc.freeze()
        gc.enable()


class _Quicker(MetaPathFinder):
    """Finds modules where Python does, and runs some of transformers' in a way of its own."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        run = _way(name)
        spec = PathFinder.find_spec(name, path, target) if run else None
        if run is None or spec is None or spec.loader is None:
            return None
        spec.loader.exec_module = functools.partial(run, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _remembering_exports(execute: Execute, utilities: ModuleType) -> None:
    execute(utilities)
    if look := getattr(utilities, "create_import_structure_from_path", None):
        utilities.create_import_structure_from_path = functools.partial(  # type: ignore[attr-defined]
            _exports, look
        )


def _without_scipy(execute: Execute, losses: ModuleType) -> None:
    utilities = sys.modules["transformers.utils"]
    there = utilities.is_scipy_available
    utilities.is_scipy_available = lambda: False  # type: ignore[attr-defined]
    try:
        execute(losses)
    finally:
        utilities.is_scipy_available = there  # type: ignore[attr-defined]


def _way(name: str) -> Callable[[Execute, ModuleType], None] | None:
    if name == "transformers.utils.import_utils":
        return _remembering_exports
    return _without_scipy if name.startswith("transformers.loss.loss_") else None


def _exports(look: Callable[[Any], Any], module_path: str | Path) -> Any:
    """What a package's files export; that of all models is kept between processes.

    It is looked up anew where the version, the place or the list of the models is another.
    """
    folder = Path(module_path)
    if folder.is_file():
        folder = folder.parent
    if folder.name != "models":
        return look(module_path)
    version = getattr(sys.modules["transformers"], "__version__", "")
    about = f"{version} {folder} {folder.stat().st_mtime_ns}"
    path = cache_dir() / "imports" / f"{hashlib.sha256(about.encode()).hexdigest()[:16]}.json"
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return _tree((read_json(path) or {})["exports"])
    found = look(module_path)
    with contextlib.suppress(OSError, TypeError):  # cannot be kept, and need not be
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"exports": _plain(found)})
    return found


def _plain(tree: Any) -> Any:
    """Nested tables of sets, whose keys are names or sets of names, as JSON has it."""
    if isinstance(tree, dict):
        return [[k if isinstance(k, str) else sorted(k), _plain(v)] for k, v in tree.items()]
    return {"names": sorted(tree)}


def _tree(plain: Any) -> Any:
    if isinstance(plain, list):
        return {k if isinstance(k, str) else frozenset(k): _tree(v) for k, v in plain}
    return set(plain["names"])
