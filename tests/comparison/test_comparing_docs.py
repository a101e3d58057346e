"""docs/comparing.md says what the code does."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fabricated_runs import WriteRun, keep

from workbench.comparison import Row, Verdict, compare
from workbench.comparison.pareto import EXACT, MEASURED
from workbench.comparison.statistics import t_quantile
from workbench.comparison.testing import TESTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "comparing.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("study")
def test_every_field_of_a_row_is_on_the_page_and_no_other(runs: Path) -> None:
    table = PAGE.split("| field of a row | meaning |")[1].split("\n\n")[0]
    documented = [
        name
        for line in table.splitlines()
        for name in re.findall(r"`(\w+)`", line.split("|")[1] if "|" in line else "")
    ]
    row = json.loads(compare([runs]).to("json"))["rows"][0]
    assert sorted(documented) == sorted(row) == sorted(Row.__annotations__)


@pytest.mark.usefixtures("study")
def test_every_field_of_a_verdict_and_a_pareto_status_is_on_the_page(runs: Path) -> None:
    table = PAGE.split("| field of a verdict | meaning |")[1].split("\n\n")[0]
    names = [
        name
        for line in table.splitlines()[2:]
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    content = json.loads(compare([runs]).to("json"))
    assert sorted(names) == sorted(content["verdicts"][0]) == sorted(Verdict.__annotations__)
    paragraph = PAGE.split("A Pareto status, one for each row, is")[1].split("between")[0]
    assert re.findall(r'"(\w+)"', paragraph) == list(content["pareto"][0])
    for name in content:
        assert f'"{name}": [' in " ".join(PAGE.split())
    assert all(f"`{name}`" in PAGE for name in (*TESTS, *EXACT, *MEASURED))


@pytest.mark.usefixtures("study")
def test_the_csv_columns_on_the_page_exist(runs: Path) -> None:
    named = re.findall(r"`(\w*accuracy\w*)`", PAGE.split("The csv has the same names")[1])
    columns = next(csv.reader(io.StringIO(compare([runs]).to("csv"))))
    assert named and set(named) <= set(columns)


def test_the_t_values_on_the_page_are_right() -> None:
    assert [f"{t_quantile(0.975, df):.1f}" for df in (1, 2, 4)] == ["12.7", "4.3", "2.8"]
    assert all(text in PAGE for text in ("t is 12.7", "three 4.3", "five 2.8"))


@pytest.mark.usefixtures("study")
def test_the_score_on_the_page_is_the_one_shown(runs: Path) -> None:
    score = "0.958 [0.953, 0.963] (3)"
    assert score in PAGE and score in compare([runs]).to("table")


@pytest.mark.usefixtures("study")
def test_the_python_example_runs(runs: Path) -> None:
    example = PAGE.split("```python\n")[1].split("```")[0]
    command = [sys.executable, "-c", example + "\nprint(comparison.to('markdown'))"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        command, cwd=runs.parent, env=environment, check=True, capture_output=True, text=True
    )
    assert r"| lora | 0.958 \[0.953, 0.963\] (3) |" in answer.stdout


def test_the_verdict_on_the_page_is_what_such_runs_give(run: WriteRun, runs: Path) -> None:
    full = [True] * 150 + [False] * 10
    lora = [False] * 3 + [True] * 153 + [False] * 4
    for recipe, right in (("full", full), ("lora", lora)):
        keep(run(recipe, 0, sum(right) / 160, replace={"references": {}}), right)
    (verdict,) = compare([runs]).verdicts
    page = " ".join(PAGE.replace("\n> ", " ").split())
    assert verdict["sentence"] in page and verdict["details"] in page
