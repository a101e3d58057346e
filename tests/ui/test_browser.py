"""The whole way of a newcomer in a real Chromium: pick, plan, start, watch, compare, ask, take."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from browsing import assert_fits, choose_adapters
from playwright.sync_api import Page, expect
from safetensors import safe_open
from serving import Server
from tiny_study import write_study

from tests.tiny_models import make_tiny
from workbench.pipeline.runner import run_recipe
from workbench.recipe import load_recipe
from workbench.store import ACTIVE, Run, list_runs

pytestmark = pytest.mark.browser

RUN_MS = 240_000
RANK, CHANGED_RANK = 4, 2
TRAINED_PER_RANK = 2 * 2 * (32 + 32)
"""A and B of query and value in both layers of the tiny BERT, which is 32 wide."""


@pytest.fixture
def study(tmp_path: Path, topics_file: Path) -> Path:
    """A folder with two recipes that train a tiny model for some seconds."""
    methods = {
        "lora": {"name": "lora", "r": RANK, "target_modules": ["query", "value"]},
        "prefix": {"name": "prefix", "num_virtual_tokens": 3},
    }
    model = make_tiny("bert", tmp_path / "model", spread=0.3)  # whose answers are not all the same
    folder = tmp_path / "tiny-topics"
    return write_study(folder, model, topics_file, methods, learning_rate=2e-2, epochs=4)


def test_from_a_recipe_to_a_zip(page: Page, study: Path, tmp_path: Path, plain_loader: Any) -> None:
    runs = tmp_path / "runs"
    other = run_recipe(load_recipe(study / "prefix.yaml"), 0, runs, loader=plain_loader)
    assert other.state == "finished"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with Server(runs) as server:
        server.open(page, "/?hub=any")
        _pick_and_change_the_rank(page, study)
        planned = _read_the_plan(page)
        page.get_by_role("button", name="Start 2 runs").dblclick()
        page.wait_for_url("**/runs?run=*")
        expect(page.get_by_role("button", name="All runs")).to_be_visible()
        address = page.url.removeprefix(server.url)
        server.kill()
    # The runs go on without the server, and another one shows them at the same address.
    with Server(runs) as server:
        server.open(page, address)
        run = _watch_it_finish(page, runs)
        assert run.result["parameters"]["adapter"] == CHANGED_RANK * TRAINED_PER_RANK
        assert f"{run.result['adapter_bytes'] / 1000:.3g} kB" == planned["adapter file"]
        _compare_with_the_other_run(page, tmp_path)
        text, answered = _ask_it(page, run, other)
        weights = _take_it_home(page, run, tmp_path)
    assert ranks_of(weights) == {CHANGED_RANK}
    recorded = dict(zip(texts_of(run), recorded_labels(run), strict=True))
    assert len(set(recorded.values())) > 1, "one label for every text would prove nothing"
    plain = dict(zip(texts_of(run), plain_labels(weights.parent, run), strict=True))
    assert plain == recorded
    assert plain[text] == answered
    assert all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in asked)


@pytest.mark.smoke
def test_a_run_is_started_and_its_result_shown(
    page: Page, tiny_bert: Path, topics_file: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    study = tmp_path / "tiny-topics"
    write_study(study, tiny_bert, topics_file, {"head": {"name": "head"}}, seeds=[0], epochs=2)
    with Server(runs) as server:
        server.open(page, f"/?path={study}")
        page.get_by_role("button", name="Start 1 run").click()
        page.wait_for_url("**/runs?run=*")
        shown = page.get_by_test_id("stMetric").filter(has_text="test accuracy")
        value = shown.get_by_test_id("stMetricValue")
        expect(value).to_be_visible(timeout=RUN_MS)
        (run,) = list_runs(runs)
        assert run.state == "finished"
        expect(value).to_have_text(f"{run.result['metrics']['test']['accuracy']:.3f}")
        assert_fits(page)


# --- the stations -------------------------------------------------------------------------------


def _pick_and_change_the_rank(page: Page, study: Path) -> None:
    page.get_by_role("button", name="Your folder").click()
    page.get_by_role("textbox", name="Path").fill(str(study))
    page.get_by_role("textbox", name="Path").press("Enter")
    expect(page.get_by_role("heading", name="tiny-topics / lora")).to_be_visible()
    page.keyboard.press("Escape")
    _expect_planned(page, "method", f"{RANK * TRAINED_PER_RANK / 1000:.3g}k")
    page.get_by_role("spinbutton", name="rank (r)", exact=True).fill(str(CHANGED_RANK))
    page.get_by_role("spinbutton", name="rank (r)", exact=True).press("Enter")
    expect(page.get_by_text(f"--set method.r={CHANGED_RANK}")).to_be_visible()


def _read_the_plan(page: Page) -> dict[str, str]:
    """What the plan beside the form says of the changed recipe, without a click."""
    _expect_planned(page, "method", str(CHANGED_RANK * TRAINED_PER_RANK))
    shown = dict(
        metric.inner_text().split("\n", 1) for metric in page.get_by_test_id("stMetric").all()
    )
    said = {name: value.strip() for name, value in shown.items()}
    assert {"adapter file", "training time", "peak memory", "largest batch"} <= set(said)
    expect(page.get_by_text(re.compile(r"weights \d+.*, runtime"))).to_be_visible()
    assert_fits(page)
    return said


def _expect_planned(page: Page, name: str, value: str) -> None:
    metric = page.get_by_test_id("stMetric").filter(has=page.get_by_text(name, exact=True))
    expect(metric.get_by_test_id("stMetricValue")).to_have_text(value, timeout=RUN_MS)


def _watch_it_finish(page: Page, runs: Path) -> Run:
    expect(page.get_by_role("heading", name="lora, seed 0")).to_be_visible(timeout=RUN_MS)
    expect(page.get_by_text("test accuracy")).to_be_visible(timeout=RUN_MS)
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(5)
    assert_fits(page)
    page.get_by_role("button", name="All runs").click()
    states = page.locator("td").filter(has_text="finished")  # a canvas's own fallback table
    expect(states).to_have_count(3, timeout=RUN_MS)
    found = list_runs(runs)
    assert [run.state for run in found] == ["finished"] * 3, found
    assert not any(run.state in ACTIVE for run in found)
    assert len(list((runs / ".jobs").glob("2*"))) == 1  # two clicks, one job
    lora = {run.status["seed"]: run for run in found if run.status["recipe"] == "lora"}
    assert sorted(lora) == [0, 1]
    return lora[0]


def _compare_with_the_other_run(page: Page, tmp_path: Path) -> None:
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_text("against trainable parameters")).to_be_visible()
    for recipe in ("lora", "prefix"):
        expect(page.locator("td").get_by_text(recipe, exact=True).first).to_be_attached()
    expect(page.get_by_text("accuracy against retention")).to_be_visible()
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(2)
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
    assert {"lora", "prefix"} <= {row["recipe"] for row in rows}


def _ask_it(page: Page, run: Run, other: Run) -> tuple[str, str]:
    """A text of the test split and the label that the run's adapter gives it in the Playground."""
    theirs = dict(zip(texts_of(other), recorded_labels(other), strict=True))
    mine = dict(zip(texts_of(run), recorded_labels(run), strict=True))
    # One on which the two disagree, if there is one, tells whose card is whose.
    text = next((text for text in mine if mine[text] != theirs[text]), next(iter(mine)))
    page.get_by_role("link", name="Playground").click()
    choose_adapters(page, "lora-s0", "prefix-s0")
    page.get_by_role("textbox", name="Text", exact=True).fill(text)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_text(re.compile(r"\d% confident"))).to_have_count(2, timeout=RUN_MS)
    expect(page.get_by_text(re.compile("Attribution for"))).to_be_visible()
    assert_fits(page)
    first, second = page.get_by_role("heading", level=2).all_inner_texts()[:2]
    assert (first, second) == (mine[text], theirs[text])
    return text, first


def _take_it_home(page: Page, run: Run, tmp_path: Path) -> Path:
    """The weights in the zip that the Export page gives."""
    page.get_by_role("link", name="Export").click()
    expect(page.get_by_text(re.compile("Reloaded with plain transformers"))).to_be_visible()
    box = page.get_by_role("combobox", name="Run", exact=True)
    box.fill(run.path.name)
    page.get_by_role("option", name=run.id).click()
    expect(page.get_by_text(f"workbench export {run.id}")).to_be_visible()
    assert_fits(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as zip").click()
    assert run.path.name in download.value.suggested_filename
    archive = tmp_path / "adapter.zip"
    download.value.save_as(archive)
    with zipfile.ZipFile(archive) as content:
        assert content.testzip() is None
        content.extractall(tmp_path / "taken")
    (weights,) = (tmp_path / "taken").rglob("adapter_model.safetensors")
    return weights


# --- what is true -------------------------------------------------------------------------------


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
    texts = json.dumps(texts_of(run))
    arguments = [str(folder), recipe["model"]["source"], str(len(names)), texts]
    done = subprocess.run(
        [sys.executable, "-P", "-c", PLAIN, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [names[index] for index in json.loads(done.stdout)]


def texts_of(run: Run) -> list[str]:
    """The texts that the run was tested on."""
    return list(pq.read_table(run.path / "predictions.parquet").column("text").to_pylist())


def recorded_labels(run: Run) -> list[str]:
    """What the run itself answered."""
    return list(pq.read_table(run.path / "predictions.parquet").column("prediction").to_pylist())


def ranks_of(weights: Path) -> set[int]:
    """The rank of each LoRA pair in a file of weights."""
    with safe_open(weights, "pt") as tensors:
        return {tensors.get_slice(k).get_shape()[0] for k in tensors.keys() if "lora_A" in k}
