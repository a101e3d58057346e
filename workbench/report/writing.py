"""The files of a report: the two pages, their pictures, tables and recipes."""

import time
from pathlib import Path
from typing import Any

from workbench.analysis.disagreements import Example
from workbench.charts import figures
from workbench.comparison.formats import csv_text
from workbench.report.content import Content
from workbench.report.files import file_names
from workbench.report.pages import html_page, markdown_page, one_line
from workbench.report.pictures import png_file, svg_file
from workbench.report.reproducing import commands, requirements

Files = dict[str, str | bytes]
PAGE, MARKDOWN = "report.html", "report.md"
_LINKS = [
    (MARKDOWN, "the same page as Markdown"),
    ("tables/comparison.csv", "the table with exact numbers"),
    ("tables/comparison.tex", "the table for LaTeX (booktabs)"),
    ("comparison.json", "everything that is compared, as JSON"),
    ("tables/runs.csv", "each run by itself"),
    ("tables/disagreements.csv", "all test examples that the recipes disagree on"),
    ("requirements.txt", "the versions of the packages"),
]


def report_files(content: Content, to: Path) -> Files:
    """Every file of a report by its path in the folder."""
    comparison = content.comparison
    names = file_names([row["label"] for row in comparison.rows])
    recipes = {label: f"recipes/{name}.yaml" for label, name in names.items()}
    lines = commands(comparison, recipes, content.baseline, to)
    files: Files = {
        "comparison.json": comparison.to("json"),
        "tables/comparison.csv": comparison.to("csv"),
        "tables/comparison.tex": comparison.to("latex"),
        "requirements.txt": requirements(comparison),
        **{f"tables/{name}.csv": csv_text(rows) for name, rows in _tables(content).items() if rows},
        **{file: content.recipes[label] for label, file in recipes.items()},
    }
    pictures = {}
    for group in content.groups:
        for picture in group.pictures:
            path = f"pictures/group-{group.number}-{picture.name}"
            pictures[group.number, picture.name] = f"{path}.svg"
            files[f"{path}.svg"] = svg_file(picture.chart, width=picture.width)
            files[f"{path}.png"] = png_file(picture.chart, width=picture.width)
    shown = {"commands": lines, "written": time.strftime("%Y-%m-%d")}
    files[MARKDOWN] = markdown_page(content, pictures, recipes, **shown)
    drawn = [(f"tables/{figure.name}.csv", figure.csv_about) for figure in figures.FIGURES]
    links = [(name, about) for name, about in [*_LINKS, *drawn] if name in files]
    files[PAGE] = html_page(content, links, **shown)
    return files


def _tables(content: Content) -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, list[dict[str, Any]]] = {"runs": _runs(content)}
    for group in content.groups:
        found = {figure.name: figure.csv(group.analysis) for figure in figures.FIGURES}
        if content.texts:
            found["disagreements"] = [_example(each) for each in group.analysis.disagreements]
        for name, lines in found.items():
            tables.setdefault(name, []).extend({"group": group.number} | line for line in lines)
    return tables


def _runs(content: Content) -> list[dict[str, Any]]:
    return [
        {
            "run": run.id,
            "group": sample.group,
            "recipe": sample.label,
            "seed": record.seed,
            **{f"test_{name}": value for name, value in record.metrics.test.items()},
            **{f"validation_{name}": value for name, value in record.metrics.validation.items()},
            **record.parameters.model_dump(),
            "adapter_bytes": record.adapter_bytes,
            **record.memory.model_dump(),
            **record.time.model_dump(),
            "ran_on": record.hardware,
        }
        for sample in content.comparison.samples
        for run, record in zip(sample.runs, sample.records, strict=True)
    ]


def _example(example: Example) -> dict[str, Any]:
    """Texts on one line, as a spreadsheet wants them."""
    line: dict[str, Any] = {"id": example.id, "label": one_line(example.label)}
    for name, answer in example.answers.items():
        line |= {f"{name} says": one_line(answer.text), f"{name} seeds right": answer.right}
    pair = {} if example.pair is None else {"text_pair": one_line(example.pair)}
    return line | {"text": one_line(example.text)} | pair
