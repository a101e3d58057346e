"""Makes the pictures of the docs from real runs: ``python docs/screenshots.py runs STUDY``.

Needs the extras ``ui``, ``report`` and ``dev`` and a Chromium on the path.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from workbench.cli.ui_server import TOKEN_VARIABLE, command
from workbench.report import write_report
from workbench.store import list_runs

IMAGES = Path(__file__).with_name("images")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ASKED = (
    "Shares in the bank fell after the regulator opened an inquiry into its merger with a rival "
    "lender, and analysts cut their profit forecasts for the year."
)
"""A text that nobody was trained on, for the playground."""


NAMES = ("recipes", "runs", "compare", "export", "playground", "attention", "report")


def main() -> None:
    """Serves the app over the runs and photographs its pages, each with one study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("study")
    parser.add_argument("--height", type=int, default=1050)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="PICTURE")
    arguments = parser.parse_args()
    port = _free_port()
    argv, environment = command(arguments.runs.resolve(), port)
    environment[TOKEN_VARIABLE] = token = secrets.token_urlsafe()
    server = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait(port)
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            size = {"width": 1280, "height": arguments.height}
            page = browser.new_page(viewport=size, device_scale_factor=1.5)
            url = f"http://127.0.0.1:{port}"
            page.goto(f"{url}/?token={token}")
            _photograph(page, url, arguments)
            browser.close()
    finally:
        server.terminate()
        server.wait(timeout=20)


def _photograph(page: Page, url: str, arguments: argparse.Namespace) -> None:
    IMAGES.mkdir(exist_ok=True)
    study, height = arguments.study, arguments.height
    finished = sorted(r.id for r in list_runs(arguments.runs / study) if r.state == "finished")
    pages = {
        "recipes": (f"?study={study}&recipe=lora", "Start"),
        "runs": (f"runs?run={finished[0]}", "Training loss"),
        "compare": (f"compare?studies={study}", "trainable"),
        "export": (f"export?run={finished[0]}", "Model card"),
    }
    for name, (address, sign) in pages.items():
        if name in arguments.only:
            page.goto(f"{url}/{address}")
            page.get_by_text(sign, exact=False).first.wait_for(timeout=60_000)
            page.wait_for_timeout(4000)  # charts draw after the text
            page.screenshot(path=IMAGES / f"{name}.png")
    asked = [run for run in finished if "/lora-s0" in run or "/prefix-s0" in run]
    if "playground" in arguments.only:
        _ask(page, f"{url}/{_playground(asked, 'Words')}", "Attribution for", "playground")
    if "attention" in arguments.only:
        _ask(
            page, f"{url}/{_playground(asked, 'Attention')}", "Rollout over all layers", "attention"
        )
    if "report" in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            report = write_report([arguments.runs / study], Path(folder) / "report")
            page.set_viewport_size({"width": 1280, "height": height})
            page.goto(report.as_uri())
            page.screenshot(path=IMAGES / "report.png")


def _playground(adapters: list[str], view: str) -> str:
    """The address at which some adapters are asked and the last of them is explained."""
    chosen = [("adapters", adapter) for adapter in adapters]
    return "playground?" + urllib.parse.urlencode([*chosen, ("why", adapters[-1]), ("look", view)])


def _ask(page: Page, address: str, sign: str, name: str) -> None:
    """Photographs the playground down to its last line, once it has answered and said why."""
    page.set_viewport_size({"width": 1280, "height": 2400})
    page.goto(address)
    page.get_by_role("textbox", name="Text", exact=True).fill(ASKED)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.mouse.move(0, 0)
    page.get_by_text(sign).first.wait_for(timeout=180_000)
    page.wait_for_timeout(5000)  # charts draw after the text
    footer = page.get_by_text("Runs folder:").bounding_box()
    assert footer is not None
    clip = {"x": 0, "y": 0, "width": 1280, "height": footer["y"] - 24}
    page.screenshot(path=IMAGES / f"{name}.png", clip=clip)


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
