"""Metrics of the Hub: fetched once, when the user allows them, and run from these bytes alone.

``evaluate.load`` takes a script of the current folder before one of the Hub, and whatever the Hub
has today. Here nothing is fetched but by ``allow``, and what runs is what was allowed.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np

from workbench.assets.hub import why_unreachable
from workbench.errors import StorageError, UsageError
from workbench.recipe.catalogue import HUB_OWNER, METRICS, hub_id
from workbench.recipe.sources import is_hub_id
from workbench.store.allowed_metrics import (
    OPTION,
    Allowed,
    Script,
    allowed_file,
    allowed_metric,
    read_allowed,
    read_scripts,
    remember,
)
from workbench.store.files import write_text

OWNERS = (HUB_OWNER, "evaluate-comparison/", "evaluate-measurement/")
"""Who owns a name without an owner, in the order that ``evaluate`` asks."""
_COMMIT = re.compile("[0-9a-f]{40}")
_LARGEST = 2**20
"""Bytes of a script; those of `evaluate` have below 50 kB."""


# --- allowing -------------------------------------------------------------------------------------


def allow(text: str) -> list[str]:
    """Allows ``NAME@REVISION`` to run: fetches its scripts, and remembers their hashes. Nothing of
    them is run. What is allowed already and lies here is not fetched again.

    Returns what was allowed, one line for each file.

    Raises:
        UsageError: when that is no metric at a commit, cannot be fetched, or differs from what was
            allowed at the same commit before.
        StorageError: when it cannot be remembered.
    """
    name, _, revision = text.partition("@")
    name, where = hub_id(name), f"{OPTION} {text}"
    if not is_hub_id(name) or not _COMMIT.fullmatch(revision):
        why = "a branch or a tag may be another program tomorrow"
        fix = "name the metric and the full commit hash: accuracy@ and 40 characters"
        raise UsageError("not NAME@REVISION", where=where, why=why, fix=fix)
    before = read_allowed().get(name)
    if before and before.revision == revision and _lies_here(name, before):
        return before.lines(name)
    repository, fetched = _fetch(name, revision, where)
    scripts = {
        file: Script(address, len(code.encode()), hashlib.sha256(code.encode()).hexdigest())
        for file, (address, code) in fetched.items()
    }
    allowed = Allowed(repository, revision, scripts)
    if before and before.revision == revision and before.scripts != scripts:
        raise UsageError(
            "the script is not the one that was allowed at this commit",
            where=where,
            why="a commit does not change, so the Hub or the way to it is not what it was",
            fix=f"look at what is there; without {name} in {allowed_file()} it counts as new",
        )
    try:
        allowed.folder.mkdir(parents=True, exist_ok=True)
        for file, (_, code) in fetched.items():
            write_text(allowed.folder / file, code)
        remember(name, allowed)
    except OSError as error:
        fix = "make it writable, or name other folders: WORKBENCH_CONFIG, WORKBENCH_CACHE"
        what = f"what you allow cannot be remembered: {error.strerror or error}"
        raise StorageError(what, where=str(error.filename or allowed_file()), fix=fix) from error
    return allowed.lines(name)


def _lies_here(name: str, allowed: Allowed) -> bool:
    try:
        return bool(read_scripts(name, allowed))
    except UsageError:
        return False


Fetched = dict[str, tuple[str, str]]
"""Address and text of each file, the metric's own first."""


def _fetch(name: str, revision: str, where: str) -> tuple[str, Fetched]:
    """The repository of a metric, its script and the files that this imports from beside it."""
    from huggingface_hub import constants

    if trouble := why_unreachable():
        raise _not_fetched(name, where, trouble)
    reasons = []
    for repository in [name] if "/" in name else [owner + name for owner in OWNERS]:
        root = f"{constants.ENDPOINT}/spaces/{repository}/resolve/{revision}/"
        own = f"{repository.partition('/')[2]}.py"
        try:
            found = {own: (root + own, _read(root + own))}
        except Exception as error:  # of the connection, the answer, the text: all are told
            reasons.append(str(error).partition("\n")[0])
            continue
        for module, address in _imports(found[own][1], root, where).items():
            try:
                found[f"{module}.py"] = address, _read(address)
            except Exception as error:
                raise _not_fetched(name, where, str(error).partition("\n")[0]) from error
        return repository, found
    raise _not_fetched(name, where, reasons[0])


def _not_fetched(name: str, where: str, why: str) -> UsageError:
    return UsageError(
        f"cannot fetch the metric {name} from the Hub",
        where=where,
        why=why,
        fix="check the name, the commit and the connection",
    )


def _read(address: str) -> str:
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import build_hf_headers

    headers = build_hf_headers() if address.startswith(f"{constants.ENDPOINT}/") else {}
    content = b""
    with get_session().stream("GET", address, headers=headers, follow_redirects=True) as answer:
        answer.raise_for_status()
        for part in answer.iter_bytes():
            content += part
            if len(content) > _LARGEST:
                raise ValueError(f"{address} has more than {_LARGEST:,} bytes")
    return content.decode()


def _imports(code: str, root: str, where: str) -> dict[str, str]:
    """Addresses of the modules that a script imports from beside it, as ``evaluate`` finds them."""
    from evaluate.loading import get_imports

    with TemporaryDirectory() as folder:
        path = Path(folder, "script.py")
        path.write_text(code, encoding="utf-8")
        found = get_imports(str(path))
    addresses = {}
    for kind, module, source, archive in found:
        if kind == "library":
            continue
        address = f"{root}{source}.py" if kind == "internal" else source
        if not module.isidentifier() or archive or not address.startswith((root, "https://")):
            what = f"its import of {module} from {source} is not a single file"
            raise UsageError(what, where=where, fix=f"use one of {', '.join(METRICS)}")
        addresses[module] = address
    return addresses


# --- running --------------------------------------------------------------------------------------


class _Scripts(MetaPathFinder, InspectLoader):
    """Imports a package from texts: no file that somebody could have put there is looked at."""

    def __init__(self, package: str, texts: Mapping[str, str]) -> None:
        self._texts = {package: ""}
        self._texts |= {f"{package}.{Path(file).stem}": text for file, text in texts.items()}
        self._package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname in self._texts else None

    def is_package(self, fullname: str) -> bool:
        return fullname == self._package

    def get_source(self, fullname: str) -> str:
        return self._texts[fullname]


def load(name: str) -> Any:
    """The metric of the Hub that a recipe calls ``hub:NAME``, as ``evaluate`` would make it.

    Raises:
        UsageError: when it was not allowed, has changed since, or does not load.
    """
    from evaluate.loading import import_main_class

    allowed = allowed_metric(hub_id(name))
    texts = read_scripts(hub_id(name), allowed)
    own = next(iter(texts))
    digest = hashlib.sha256("".join(s.sha256 for s in allowed.scripts.values()).encode())
    package = f"workbench_metric_{digest.hexdigest()}"
    if package not in sys.modules:
        sys.meta_path.insert(0, _Scripts(package, texts))
    try:
        metric = import_main_class(f"{package}.{Path(own).stem}")(hash=digest.hexdigest())
        metric.download_and_prepare()
    except Exception as error:  # somebody else's program: it may raise anything
        raise UsageError(
            f"cannot load the metric {name!r} from the Hub",
            where="task.metrics",
            why=str(error).strip().partition("\n")[0] or type(error).__name__,
            fix=f"install what it imports, or use one of {', '.join(METRICS)}",
        ) from error
    return metric


def hub_scores(
    name: str, predictions: Sequence[Any], labels: Sequence[Any]
) -> dict[str, float | None]:
    """The numbers that a metric of the Hub gives, by its name and theirs.

    Raises:
        UsageError: as ``load``, and when it gives no number.
    """
    values = load(name).compute(predictions=predictions, references=labels)
    # Some add tables and lists to their scores, e.g. hub:seqeval one table for each type.
    numbers = {k: v for k, v in values.items() if isinstance(v, int | float | np.number)}
    if not numbers:
        raise UsageError(
            f"the metric {name!r} gives no number",
            where="task.metrics",
            why=f"it gives {', '.join(values) or 'nothing'}",
            fix=f"use one of {', '.join(METRICS)}",
        )
    finite = {k: float(v) if math.isfinite(v) else None for k, v in numbers.items()}
    return {f"{name}/{k}" if len(numbers) > 1 else name: v for k, v in finite.items()}
