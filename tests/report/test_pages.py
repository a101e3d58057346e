"""The report: its numbers are the records', its texts are texts, and it needs nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from reading_pages import Page, outside_addresses, report, rows_of
from reported_runs import METHODS, add_run, add_study, recipe_of

from workbench.comparison import compare
from workbench.recipe import load_recipe
from workbench.store import read_json, write_json

Written = tuple[Path, Page, Path]


def results(runs: Path) -> dict[str, dict[str, Any]]:
    found = {path.parent: read_json(path) or {} for path in runs.rglob("result.json")}
    return {f"{path.parent.name}/{path.name}": result for path, result in found.items()}


# --- the numbers ---------------------------------------------------------------------------


def test_every_number_of_the_runs_is_the_record_s(written: Written) -> None:
    runs, page, _ = written
    records = results(runs)
    lines = {line["run"].text: line for line in page.records("Every run behind this page")}
    assert lines.keys() == records.keys() and len(lines) == 9
    for name, record in records.items():
        line = lines[name]
        assert line["accuracy"].value == record["metrics"]["test"]["accuracy"]
        assert line["f1_macro"].value == record["metrics"]["test"]["f1_macro"]
        assert line["peak memory"].value == record["memory"]["peak_memory_bytes"]
        assert line["train time"].value == record["time"]["train_seconds"]
        assert line["seed"].value == record["seed"]


def test_both_pages_begin_with_the_answer_and_fold_what_it_rests_on(written: Written) -> None:
    runs, page, folder = written
    comparison = compare([runs], tests=True)
    (answer,) = comparison.answer
    markdown = (folder / "report.md").read_text(encoding="utf-8").replace("\\", "")
    for text in (page.text, markdown):
        found = [text.find(each) for each in (answer["text"], "Warnings", "Conclusions")]
        assert 0 < found[0] < found[2] and (found[1] < 0 or found[0] < found[1])
        details = text.index("What they rest on")
        assert all(text.index(v["details"]) > details for v in comparison.verdicts)


def test_the_table_has_the_mean_over_seeds(written: Written) -> None:
    runs, page, _ = written
    rows = {line["recipe"].text: line for line in page.records("news · asset:minilm-l6")}
    for method in METHODS:
        records = [r for r in results(runs).values() if r["method"] == method]
        expected = mean(r["metrics"]["test"]["accuracy"] for r in records)
        assert rows[method]["accuracy"].value == pytest.approx(expected, abs=1e-12)
        assert rows[method]["accuracy"].text.startswith(f"{expected:.3f} [")
    memory = {line["recipe"].text: line for line in page.records(MEMORY)}
    weights = results(runs)["news/" + "lora-s0-" + recipe_of("lora").fingerprint[:8]]
    pieces = weights["memory"]["breakdown"]
    assert memory["lora"]["weights"].value == pieces["weights_bytes"]
    assert memory["lora"]["optimizer"].value == pieces["optimizer_bytes"]


MEMORY = "Memory of training, mean over seeds"


@pytest.mark.usefixtures("undrawn")
def test_the_forecast_stands_beside_the_measurement_where_there_is_one(
    runs: Path, written: Written
) -> None:
    assert FORECAST not in written[1].tables
    add_study(runs)
    for path in runs.rglob("result.json"):
        record = json.loads(path.read_text())
        pieces = record["memory"]["breakdown"] | {"activations_bytes": 60, "runtime_bytes": 40}
        predicted = {"peak_memory_bytes": round(record["memory"]["peak_memory_bytes"] * 1.05)}
        predicted |= {"memory": pieces, "seconds_per_step": 0.5, "notes": []}
        write_json(path, record | {"forecast": predicted | {"adapter_bytes": 1000}})
    page, folder = report(runs)
    measured = {line["recipe"].text: line for line in page.records(MEMORY)}
    for line in page.records(FORECAST):
        peak = measured[line["recipe"].text]["measured peak"].value
        assert line["peak memory, forecast"].value == pytest.approx(1.05 * (peak or 0))
        assert line["time per step, measured"].value == pytest.approx(1 / 2.5)
        assert line["adapter size, forecast"].value == 1000
    assert page.text.count("+5.0%") == 3 and page.text.count("+25.0%") == 3
    # What libraries take is a part of its own in a forecast, and among activations when measured.
    lines = rows_of(folder / "tables" / "memory.csv")
    assert all(float(line["forecast_activations_bytes"]) == 100 for line in lines)


FORECAST = "Forecast and measurement"


def test_the_tables_beside_the_page_have_the_exact_numbers(written: Written) -> None:
    runs, _, folder = written
    lines = rows_of(folder / "tables" / "runs.csv")
    for line in lines:
        record = results(runs)[line["run"]]
        assert float(line["test_accuracy"]) == record["metrics"]["test"]["accuracy"]
        assert int(line["trainable"]) == record["parameters"]["trainable"]
    assert "\\begin{tabular}" in (folder / "tables" / "comparison.tex").read_text()
    document = json.loads((folder / "comparison.json").read_text())
    assert len(document["rows"]) == 3


# --- it stands alone -----------------------------------------------------------------------


def test_the_page_needs_no_connection_and_no_script(written: Written) -> None:
    _, page, folder = written
    assert outside_addresses(page) == []
    kinds = {tag for tag, _ in page.tags}
    assert not kinds & {"script", "link", "iframe", "object", "embed", "img"}
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"url\((?!#)|@import", text)
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy and policy.startswith("default-src 'none'")


def test_every_picture_says_in_words_what_it_shows(written: Written) -> None:
    _, page, folder = written
    named = [a["aria-label"] or "" for _, a in page.tags if a.get("role") == "img"]
    assert len(named) == 9 == sum(tag == "svg" for tag, _ in page.tags)
    assert all(len(words) > 40 for words in named)
    assert any("lora" in words and "75.7k" in words for words in named)
    assert sum(tag == "figcaption" for tag, _ in page.tags) == len(named)
    ids = [a["id"] for _, a in page.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    targets = [a["href"] or "" for tag, a in page.tags if tag == "a"]
    assert all(t[1:] in ids for t in targets if t.startswith("#"))
    assert all((folder / t).is_file() for t in targets if not t.startswith("#"))


def test_the_markdown_page_shows_the_pictures_beside_it(written: Written) -> None:
    _, _, folder = written
    text = (folder / "report.md").read_text(encoding="utf-8")
    pictures = re.findall(r"^!\[[^\n]+\]\((pictures/[\w.-]+)\)$", text, re.MULTILINE)
    assert len(pictures) == 9
    for name in pictures:
        drawn = (folder / name).read_text(encoding="utf-8")
        assert drawn.startswith("<svg") and "var(" not in drawn
        assert (folder / name).with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_recipes_beside_the_page_are_the_ones_that_ran(written: Written) -> None:
    _, page, folder = written
    for method in METHODS:
        copied = load_recipe(folder / "recipes" / f"{method}.yaml")
        assert copied.fingerprint == recipe_of(method).fingerprint
    command = next(t for t in page.texts if t.startswith("workbench run"))
    assert command == (
        "workbench run recipes/full.yaml recipes/lora.yaml recipes/prompt.yaml "
        "--seeds 0,1,2 --runs runs"
    )
    assert "torch==2.13.0\n" in (folder / "requirements.txt").read_text()


# --- runs in every state, and every task ---------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_one_run_alone_claims_no_more_than_it_shows(runs: Path) -> None:
    add_run(runs, recipe_of("lora"), 0)
    page, folder = report(runs)
    markdown = (folder / "report.md").read_text()
    assert "1 recipe, 1 finished run. Written" in markdown
    for text in (page.text, markdown):
        assert "Disagreements" not in text and "different things" not in text
        assert "95% intervals over seeds" not in text and "to the highest seed" not in text
        assert "One seed each" in text


@pytest.mark.usefixtures("undrawn")
def test_runs_that_are_not_finished_or_damaged_are_named(runs: Path) -> None:
    paths = add_study(runs)
    add_run(runs, recipe_of("lora", name="slow"), 0, state="failed")
    (paths[0] / "result.json").write_text('{"version": 1, "stu')
    (paths[1] / "predictions.parquet").write_bytes(b"PAR1 not really")
    (paths[2] / "events.jsonl").write_bytes(b"\xff\xfe\n{")
    (paths[3] / "recipe.yaml").write_text("a: &a [*a")
    (paths[4] / "environment.json").unlink()
    page, _ = report(runs)
    assert f"news/{paths[0].name}: unreadable" in page.text
    assert "news/slow" in page.text and "failed" in page.text
    assert len(page.records("Every run behind this page")) == 8


@pytest.mark.usefixtures("undrawn")
def test_runs_that_must_not_be_compared_are_sections_of_their_own(runs: Path) -> None:
    add_study(runs)
    for path in (runs / "news").glob("prompt-*"):
        record = read_json(path / "result.json") or {}
        record["comparability"]["split"] = "other"
        write_json(path / "result.json", record)
    page, folder = report(runs)
    assert {"group-1", "group-2"} <= {a.get("id") for _, a in page.tags}
    assert "not comparable" in page.text
    for text in (page.text, (folder / "report.md").read_text()):
        assert "3 recipes, 9 finished runs, in 2 groups that must not be compared" in text
        assert "tested by a t test over seeds and test items" in text
    lines = rows_of(folder / "tables" / "memory.csv")
    assert {(line["group"], line["label"]) for line in lines} == {
        ("1", "full"), ("1", "lora"), ("2", "prompt")
    }  # fmt: skip


PAIRS = "Test examples by who is right, with more than half of the seeds of a recipe"

TASKS: list[tuple[dict[str, Any], list[str], list[str], list[str]]] = [
    ({"name": "token-classification"}, ["B-LOC O", "O B-PER"], ["B-LOC O", "O O"], ["O", "B-LOC"]),
    ({"name": "question-answering"}, ["476 | in 476", "Rome"], ["In 476.", "Paris"], []),
    ({"name": "instruction"}, ["Rome falls", "Rome rises"], ["Rome falls", "It rises"], []),
    ({"name": "causal-lm"}, ["", ""], ["", ""], []),
    ({"name": "masked-lm"}, ["fell", "rose"], ["fell", "fell"], []),
    ({"name": "text-classification", "problem_type": "regression"}, ["1.5", "2"], ["1", "3"], []),
    ({"name": "text-classification", "problem_type": "multi_label_classification",
      "labels": ["a", "b, c"]}, ["a, b, c", "a"], ["a", "b, c"], ["a", "b, c"]),
]  # fmt: skip


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("task", "labels", "predictions", "known"), TASKS, ids=str)
def test_every_task_has_a_report(
    runs: Path, task: dict[str, Any], labels: list[str], predictions: list[str], known: list[str]
) -> None:
    right = [label.split(" | ")[0] for label in labels]
    decoder = task["name"] in ("instruction", "causal-lm")
    source = "asset:smollm2-135m" if decoder else "asset:minilm-l6"
    for method, answers in (("full", right), ("prompt", predictions)):
        recipe = recipe_of(method, task=task, model={"source": source})
        for seed in range(2):
            add_run(runs, recipe, seed, labels=labels, predictions=answers,
                    metrics={"perplexity": 20.0 + seed}, known=known)  # fmt: skip
    page, folder = report(runs)
    has_classes = any("F1 of each class" in name for name in page.tables)
    assert has_classes == bool(known)
    assert (folder / "tables" / "classes.csv").exists() == bool(known)
    assert "perplexity (lower is better)" in page.text
    if task["name"] == "question-answering":
        counts = page.records(PAIRS)
        assert counts[0]["recipes"].text == "prompt and full"
        assert counts[0]["both right"].text == "1" and counts[0]["only the second"].text == "1"
    if task["name"] != "causal-lm":
        assert "of 2 test examples" in page.text and labels[-1] in page.text
