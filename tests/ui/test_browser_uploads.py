"""Files that people give to a page: empty, too large, something else, or a bomb."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import psutil
import pytest
from browsing import choose_adapters, settled
from made_runs import RunsFolder, news_recipe
from playwright.sync_api import Page, expect
from serving import Server

from workbench.cli.ui_server import LARGEST_UPLOAD_MB
from workbench.store import write_json

pytestmark = pytest.mark.browser

IMPORT_TAB = "/export?way=Import"
MB = 10**6


def give(page: Page, *files: Path) -> None:
    page.locator("input[type=file]").set_input_files([*files])


def held_by(server: Server) -> int:
    """Bytes of memory that the server's process takes."""
    return int(psutil.Process(server.pid).memory_info().rss)


def test_an_upload_that_is_no_adapter_is_refused_and_its_name_is_no_path(
    page: Page, runs: RunsFolder, tmp_path: Path
) -> None:
    with Server(runs.path) as server:
        server.open(page, IMPORT_TAB)
        for name, content in (("empty.zip", b""), ("../../evil.zip", b"MZ" + bytes(1000))):
            payload = {"name": name, "mimeType": "application/zip", "buffer": content}
            page.locator("input[type=file]").set_input_files([payload])
            expect(page.get_by_text("neither a folder nor a zip file")).to_be_visible()
            page.reload()
            settled(page)
    assert not list(tmp_path.rglob("*evil*"))


def test_an_upload_over_the_limit_is_refused_before_it_is_sent(
    page: Page, runs: RunsFolder, tmp_path: Path
) -> None:
    large = tmp_path / "large.zip"
    large.touch()
    os.truncate(large, 201 * 1024 * 1024)  # holes, which take no room on the disk
    with Server(runs.path) as server:
        server.open(page, IMPORT_TAB)
        settled(page)
        before = held_by(server)
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.method + " " + request.url))
        give(page, large)
        expect(page.get_by_text(f"must be {LARGEST_UPLOAD_MB}")).to_be_visible()
        assert not [request for request in sent if "upload_file" in request]
        assert held_by(server) - before < 50 * MB
        expect(page.get_by_text("A preview appears here")).to_be_visible()
        os.truncate(large, 100 * 1024 * 1024)  # under the limit: taken, and said what it is not
        page.reload()
        settled(page)
        give(page, large)
        expect(page.get_by_text("neither a folder nor a zip file")).to_be_visible(timeout=60_000)


def test_a_zip_bomb_is_refused_unopened(page: Page, runs: RunsFolder, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("adapter_config.json", "{}")
        with archive.open("adapter_model.safetensors", "w", force_zip64=True) as member:
            for _ in range(500):
                member.write(bytes(MB))
    assert bomb.stat().st_size < MB  # of 500
    with Server(runs.path) as server:
        server.open(page, IMPORT_TAB)
        settled(page)
        before = held_by(server)
        give(page, bomb)
        expect(page.get_by_text("would grow from")).to_be_visible()
        assert held_by(server) - before < 100 * MB
        expect(page.get_by_test_id("stException")).to_have_count(0)
    assert not (tmp_path / "adapters").exists()


def test_a_file_of_texts_is_held_to_its_limit_and_kind(
    page: Page, runs: RunsFolder, tmp_path: Path
) -> None:
    path = runs.add(news_recipe("lora"), 0)
    about = {"task": {"name": "text-classification"}, "labels": ["tech", "sport"], "base": "none"}
    write_json(path / "adapter" / "workbench.json", about)
    program, large, foul = (tmp_path / name for name in ("run.exe", "large.txt", "foul.txt"))
    program.write_bytes(b"MZ\x90\x00")
    large.write_bytes(b"text\n" * 600_000)
    foul.write_bytes(b"MZ\x90\xff\xfe")
    with Server(runs.path) as server:
        server.open(page, "/playground?from=A%20file%20of%20texts")
        choose_adapters(page, "lora")
        for file, said in (
            (program, "files are not allowed"),
            (large, "must be 2"),
            (foul, "Not UTF-8: byte 0x90 at 2"),
        ):
            give(page, file)
            expect(page.get_by_text(said)).to_be_visible()
            expect(page.get_by_test_id("stException")).to_have_count(0)
