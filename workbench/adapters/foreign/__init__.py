"""Importing an adapter that somebody else made: nothing of it runs, all of it is checked.

    files.receive        named files only, bounded, no links
    config.read_config   methods, sizes, nothing that names code
    header.read_header   the file of tensors by its own rules
    base.find_base       on this machine, shown and confirmed
    patterns             matched with the base's modules in seconds, or refused
    fit.fit              names and shapes as PEFT would have them

Torch is loaded by the last step only, after everything that costs nothing has been refused.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from workbench.adapters.foreign.base import LocalBase, find_base
from workbench.adapters.foreign.config import AdapterConfig, check_ranks, read_config
from workbench.adapters.foreign.files import WEIGHTS, receive
from workbench.adapters.foreign.header import TensorHeader, read_header
from workbench.adapters.foreign.patterns import check_layers
from workbench.errors import RunRefused, UsageError
from workbench.store import publish_folder


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What the user is shown before anything is taken."""

    method: str
    """PEFT's name of it."""
    task: str
    base: str
    revision: str | None
    base_folder: Path
    """Where that base lies on this machine."""
    named_base: str
    """What the adapter itself calls its base; another than ``base`` where the user gave one."""
    tensors: int
    weight_bytes: int


def import_adapter(
    source: str | Path,
    to: str | Path,
    *,
    confirm: Callable[[Proposal], bool],
    base: str | None = None,
    labels: Sequence[str] = (),
) -> Path:
    """Checks a foreign PEFT adapter and writes it as a folder that `predict` and `init_from` take.

    Args:
        source: a folder, or a zip of one.
        to: the folder to write.
        confirm: asked with what was found before the base model is touched.
        base: the base model, where the adapter names another or none: folder, Hub id, asset:NAME.
        labels: names of the labels in their order, where the adapter brings none.

    Raises:
        UsageError: when anything is in it that is not taken, the base is not on this machine, or
            `confirm` says no.
        ExportError: when the weights are damaged or do not fit the base.
        RunRefused: when the target exists.
    """
    target = Path(to)
    if target.exists() or target.is_symlink():
        raise RunRefused("the target exists already", where=str(target), fix="name a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(mkdtemp(prefix=".importing.", dir=target.parent))
    try:
        received, built = temporary / "received", temporary / "built"
        received.mkdir()
        built.mkdir()
        proposal, config, tensors, found = _examine(Path(source), received, base)
        if not confirm(proposal):
            raise UsageError("not imported: the base model was not confirmed", where=str(source))
        from workbench.adapters.foreign.fit import fit

        fit(received, built, config, tensors, found, labels)
        publish_folder(built, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def propose(source: str | Path, *, base: str | None = None) -> Proposal:
    """What a foreign adapter is and which base it would stand on; nothing is kept.

    Raises:
        UsageError: as ``import_adapter`` does, before it asks.
        ExportError: when the header of its weights is damaged.
    """
    with TemporaryDirectory(prefix="workbench-import-") as folder:
        return _examine(Path(source), Path(folder), base)[0]


def _examine(
    source: Path, received: Path, base: str | None
) -> tuple[Proposal, AdapterConfig, dict[str, TensorHeader], LocalBase]:
    """All that can be said without reading the weights themselves."""
    receive(source, received)
    config = read_config(received)
    tensors = read_header(received / WEIGHTS)
    check_ranks(config, tensors)
    check_layers(config.values, len(tensors))
    found = find_base(config.base, config.revision, base)
    proposal = Proposal(
        method=config.peft_type,
        task=config.task,
        base=found.name,
        revision=found.revision,
        base_folder=found.folder,
        named_base=config.base,
        tensors=len(tensors),
        weight_bytes=(received / WEIGHTS).stat().st_size,
    )
    return proposal, config, tensors, found
