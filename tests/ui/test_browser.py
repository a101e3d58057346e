"""The whole way of a newcomer in a real Chromium: pick, start, watch, compare, take away."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from browsing import assert_fits
from playwright.sync_api import Page, expect
from safetensors import safe_open
from serving import Server

from workbench.store import ACTIVE, Run, list_runs

pytestmark = pytest.mark.browser

RUN_MS = 240_000


@pytest.fixture
def study(tmp_path: Path, tiny_bert: Path, topics_file: Path) -> Path:
    """A folder with one recipe that trains a tiny model for some seconds."""
    folder = tmp_path / "tiny-topics"
    folder.mkdir()
    recipe = {
        "task": {"name": "text-classification"},
        "model": {"source": str(tiny_bert), "max_length": 16},
        "data": {"source": str(topics_file), "validation_size": 16, "test_size": 24},
        "method": {"name": "lora", "r": 4},
        "training": {"epochs": 1, "batch_size": 8, "precision": "fp32"},
        "seeds": [0, 1],
    }
    (folder / "lora.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder


PLAIN = """
import json, sys
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder, base, count, texts = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=count)
model = PeftModel.from_pretrained(model, folder).eval()
rows = [tokenizer(text, truncation=True, max_length=16, return_tensors="pt") for text in texts]
print(json.dumps([int(model(**row).logits.argmax()) for row in rows]))
"""


def plain_labels(folder: Path, run: Run) -> list[str]:
    """What a fresh process with nothing but transformers and PEFT makes of the test texts."""
    recipe = yaml.safe_load(run.recipe_text())
    names = run.result["data"]["labels"]
    texts = pq.read_table(run.path / "predictions.parquet").column("text").to_pylist()
    arguments = [str(folder), recipe["model"]["source"], str(len(names)), json.dumps(texts)]
    done = subprocess.run(
        [sys.executable, "-P", "-c", PLAIN, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [names[index] for index in json.loads(done.stdout)]


def recorded_labels(run: Run) -> list[str]:
    """What the run itself answered."""
    return list(pq.read_table(run.path / "predictions.parquet").column("prediction").to_pylist())


def test_from_a_recipe_to_a_zip(page: Page, study: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with Server(runs) as server:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        page.get_by_role("button", name="Own folder").click()
        page.get_by_role("textbox", name="Path").fill(str(study))
        page.get_by_role("textbox", name="Path").press("Enter")
        expect(page.get_by_role("heading", name="tiny-topics / lora")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("spinbutton", name="r", exact=True).fill("2")
        page.get_by_role("spinbutton", name="r", exact=True).press("Enter")
        expect(page.get_by_text("--set method.r=2")).to_be_visible()
        assert_fits(page)
        page.get_by_role("button", name="Start 2 runs").dblclick()
        expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
        page.wait_for_url("**/runs?run=*")
        address = page.url.removeprefix(server.url)
        server.kill()
    # The runs go on without the server, and another one shows them at the same address.
    with Server(runs) as server:
        page.goto(server.url + address)
        expect(page.get_by_role("heading", name="lora, seed 0")).to_be_visible(timeout=RUN_MS)
        expect(page.get_by_text("test accuracy")).to_be_visible(timeout=RUN_MS)
        expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(5)
        assert_fits(page)
        states = page.locator("td").filter(has_text="finished")  # a canvas's own fallback table
        expect(states).to_have_count(2, timeout=RUN_MS)
        finished = list_runs(runs)
        assert [run.state for run in finished] == ["finished", "finished"], finished
        assert not any(run.state in ACTIVE for run in finished)
        assert len(list((runs / ".jobs").glob("2*"))) == 1  # two clicks, one job

        page.get_by_role("link", name="Compare").click()
        expect(page.get_by_text("against trainable parameters")).to_be_visible()
        expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(1)
        assert_fits(page)
        page.get_by_role("tab", name="Costs").click()
        expect(page.get_by_text("Peak memory by component")).to_be_visible()
        assert_fits(page)
        page.get_by_role("tab", name="Download").click()
        page.wait_for_url("**view=Download*")
        with page.expect_download() as download:
            page.get_by_test_id("stDownloadButton").filter(has_text="CSV").click()
        table = tmp_path / "comparison.csv"
        download.value.save_as(table)
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
        assert "lora" in {row["recipe"] for row in rows}

        page.get_by_role("link", name="Export").click()
        expect(page.get_by_text(re.compile("Reloaded with plain transformers"))).to_be_visible()
        assert_fits(page)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download as zip").click()
        archive = tmp_path / "adapter.zip"
        download.value.save_as(archive)
        with zipfile.ZipFile(archive) as content:
            assert content.testzip() is None
            content.extractall(tmp_path / "taken")
        (weights,) = (tmp_path / "taken").rglob("adapter_model.safetensors")
        with safe_open(weights, "pt") as tensors:
            ranks = {tensors.get_slice(k).get_shape()[0] for k in tensors.keys() if "lora_A" in k}
        assert ranks == {2}
        (run,) = [run for run in finished if run.status["seed"] == 0]
        assert plain_labels(weights.parent, run) == recorded_labels(run)
        assert all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in asked)
