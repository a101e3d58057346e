"""Adapters that stay in memory between questions, on bases that are there once."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from workbench.adapters.folder import ABOUT, find_export
from workbench.adapters.loaded import (
    LoadedAdapter,
    ZeroShotModel,
    load_adapter,
    load_zero_shot,
    resident_bytes,
    share_weights,
)

LIMIT = 8
"""Adapters kept; the one not asked for longest makes room."""

_Key = tuple[str, int]
"""Folder and time of writing: one that was exported anew is another."""


class Resident:
    """Loads what is asked for, keeps it, and shares all weights that are equal."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._adapters: dict[_Key, LoadedAdapter] = {}
        self._zero_shot: dict[tuple[str, ...], ZeroShotModel] = {}
        self._base_of: dict[_Key, tuple[str, ...]] = {}

    def adapter(self, folder: Path) -> LoadedAdapter:
        """An adapter, loaded if it is not there already.

        Raises:
            ExportError: as `load_adapter` does.
        """
        key = self._key(folder)
        if key not in self._adapters:
            while len(self._adapters) >= self._limit:
                oldest = next(iter(self._adapters))
                del self._adapters[oldest]
                self._base_of.pop(oldest, None)
                needed = set(self._base_of.values())
                self._zero_shot = {base: z for base, z in self._zero_shot.items() if base in needed}
            loaded = load_adapter(folder)
            share_weights(loaded, self._all())
            _warm_up(loaded)
            self._adapters[key] = loaded
        found = self._adapters.pop(key)
        self._adapters[key] = found  # the last of the dict is the one asked for last
        return found

    def zero_shot(self, folder: Path) -> ZeroShotModel:
        """The base of an adapter without what was trained; one for all adapters of a task on it.

        Raises:
            ExportError: as `load_zero_shot` does.
        """
        _, about = find_export(folder)
        # The labels shape the head, and the tokenizer and length say what is read.
        base = tuple(
            repr(about[key]) for key in ("base", "revision", "task", "labels", "max_length")
        )
        if base not in self._zero_shot:
            loaded = load_zero_shot(folder)
            share_weights(loaded.adapter, self._all())
            _warm_up(loaded.adapter)
            self._zero_shot[base] = loaded
        self._base_of[self._key(folder)] = base
        return self._zero_shot[base]

    @property
    def bytes(self) -> int:
        """Memory of all weights that are there, each counted once."""
        return resident_bytes(list(self._all()))

    @property
    def folders(self) -> Sequence[str]:
        """Folders of the adapters, the one asked for last at the end."""
        return [folder for folder, _ in self._adapters]

    def _all(self) -> Iterator[LoadedAdapter]:
        yield from self._adapters.values()
        yield from (each.adapter for each in self._zero_shot.values())

    def _key(self, folder: Path) -> _Key:
        path, _ = find_export(folder)
        return str(path.resolve()), (path / ABOUT).stat().st_mtime_ns


def _warm_up(adapter: LoadedAdapter) -> None:
    """A first pass, which sets things up, so that the time of the first answer is no other."""
    ids = torch.zeros(1, 8, dtype=torch.long)
    with torch.inference_mode():
        adapter.model(input_ids=ids, attention_mask=torch.ones_like(ids))
