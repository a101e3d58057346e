"""Makes the pictures of the docs from real runs: ``python docs/screenshots.py runs STUDY``.

Needs the extras ``ui``, ``report`` and ``dev`` and a Chromium on the path.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

from workbench.report import write_report
from workbench.store import list_runs
from workbench.ui import command

IMAGES = Path(__file__).with_name("images")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    """Serves the app over the runs and photographs its pages, each with one study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("study")
    parser.add_argument("--height", type=int, default=1050)
    arguments = parser.parse_args()
    port = _free_port()
    argv, environment = command(arguments.runs.resolve(), port)
    server = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait(port)
        _photograph(port, arguments.runs, arguments.study, arguments.height)
    finally:
        server.terminate()
        server.wait(timeout=20)
    _photograph_report(arguments.runs / arguments.study, arguments.height)


def _photograph_report(study: Path, height: int) -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = write_report([study], Path(folder) / "report")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": height}, device_scale_factor=1.5)
        page.goto(path.as_uri())
        page.screenshot(path=IMAGES / "report.png")
        browser.close()


def _photograph(port: int, runs: Path, study: str, height: int) -> None:
    IMAGES.mkdir(exist_ok=True)
    finished = sorted(run.id for run in list_runs(runs / study) if run.state == "finished")
    pages = {
        "recipes": (f"?study={study}&recipe=lora", "Start"),
        "runs": (f"runs?run={finished[0]}", "Training loss"),
        "compare": (f"compare?studies={study}", "trainable"),
        "playground": ("playground", "Playground"),
        "export": (f"export?run={finished[0]}", "Model card"),
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": height}, device_scale_factor=1.5)
        for name, (address, sign) in pages.items():
            page.goto(f"http://127.0.0.1:{port}/{address}")
            page.get_by_text(sign, exact=False).first.wait_for(timeout=60_000)
            page.wait_for_timeout(4000)  # charts draw after the text
            page.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.3)
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    main()
