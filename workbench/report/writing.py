"""Writes a report: the two pages, their pictures, tables and recipes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.analysis.disagreements import Example
from workbench.comparison.formats import csv_text
from workbench.errors import UsageError
from workbench.report.content import Content, read_content
from workbench.report.files import check_target, write_folder
from workbench.report.html import html_page
from workbench.report.markdown import markdown_page
from workbench.report.names import file_names
from workbench.report.pictures import png_file, svg_file
from workbench.report.reproducing import commands, requirements

Files = dict[str, str | bytes]
PAGE, MARKDOWN = "report.html", "report.md"
LINKS = [
    (MARKDOWN, "the same page as Markdown"),
    ("tables/comparison.csv", "the table with exact numbers"),
    ("tables/comparison.tex", "the table for LaTeX (booktabs)"),
    ("comparison.json", "everything that is compared, as JSON"),
    ("tables/runs.csv", "each run by itself"),
    ("tables/memory.csv", "memory by component, forecast and measured, in bytes"),
    ("tables/curves.csv", "the learning curves"),
    ("tables/classes.csv", "scores of each class"),
    ("tables/confusion.csv", "confusions"),
    ("tables/disagreements.csv", "all test examples that the recipes disagree on"),
    ("requirements.txt", "the versions of the packages"),
]


def write(
    paths: Sequence[Path],
    to: Path,
    *,
    baseline: str | None,
    title: str | None,
    texts: int,
    force: bool,
) -> Path:
    """Reads the runs and writes the report; see ``workbench.report.write_report``."""
    check_target(to, force=force)
    content = read_content(paths, baseline=baseline, title=title, texts=texts)
    if not content.comparison.rows:
        raise UsageError(
            "there is no finished run to report on",
            where=", ".join(map(str, paths)),
            why="; ".join(content.comparison.warnings[:3]),
            fix="`workbench run` a study first; `workbench runs` shows what there is",
        )
    write_folder(to, report_files(content, to))
    return to / PAGE


def report_files(content: Content, to: Path) -> Files:
    """Every file of a report by its path in the folder."""
    comparison = content.comparison
    names = file_names([row["label"] for row in comparison.rows])
    recipes = {label: f"recipes/{name}.yaml" for label, name in names.items()}
    lines = commands(comparison, recipes, content.baseline, to)
    written = time.strftime("%Y-%m-%d")
    files: Files = {
        "comparison.json": comparison.to("json"),
        "tables/comparison.csv": comparison.to("csv"),
        "tables/comparison.tex": comparison.to("latex"),
        "requirements.txt": requirements(comparison),
        **{f"tables/{name}.csv": csv_text(rows) for name, rows in _tables(content).items() if rows},
        **{file: content.recipes[label] for label, file in recipes.items()},
    }
    pictures = {
        (group.number, figure.name): f"pictures/group-{group.number}-{figure.name}.svg"
        for group in content.groups
        for figure in group.figures
    }
    for group in content.groups:
        for figure in group.figures:
            path = pictures[group.number, figure.name]
            files[path] = svg_file(figure.chart, width=figure.width)
            png = png_file(figure.chart, width=figure.width)
            files[path.removesuffix("svg") + "png"] = png
    files[MARKDOWN] = markdown_page(content, pictures, lines, recipes, written)
    links = [(name, about) for name, about in LINKS if name in files]
    files[PAGE] = html_page(content, lines, links, written)
    return files


# --- tables ----------------------------------------------------------------------------------


def _tables(content: Content) -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, list[dict[str, Any]]] = {
        "runs": _runs(content),
        "memory": [],
        "curves": [],
        "classes": [],
        "confusion": [],
        "disagreements": [],
    }
    for group in content.groups:
        place = {"group": group.number}
        tables["memory"] += [place | _flat(bar) for bar in group.memory_bars]
        tables["curves"] += [place | point for figure in group.curves for point in figure.lines]
        for label, classes in group.classes.items():
            tables["classes"] += [
                place | {"recipe": label} | vars(score) for score in classes.scores
            ]
            tables["confusion"] += [
                place | {"recipe": label, "right": right, "predicted": predicted, "examples": n}
                for right, row in zip(classes.names, classes.confusion or [], strict=False)
                for predicted, n in zip(classes.names, row, strict=True)
            ]
        if content.texts:
            tables["disagreements"] += [place | _example(e) for e in group.disagreements]
    return tables


def _runs(content: Content) -> list[dict[str, Any]]:
    rows = []
    for sample in content.comparison.samples:
        for run, record in zip(sample.runs, sample.records, strict=True):
            rows.append(
                {
                    "run": run.id,
                    "group": sample.group,
                    "recipe": sample.label,
                    "seed": record.seed,
                    **{f"test_{name}": value for name, value in record.metrics.test.items()},
                    **{f"validation_{n}": value for n, value in record.metrics.validation.items()},
                    **record.parameters.model_dump(),
                    "adapter_bytes": record.adapter_bytes,
                    **record.memory.model_dump(),
                    **record.time.model_dump(),
                    "ran_on": record.hardware,
                }
            )
    return rows


def _flat(bar: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in bar.items() if key != "forecast"}
    return own | {f"forecast_{key}": value for key, value in bar["forecast"].items()}


def _example(example: Example) -> dict[str, Any]:
    """Texts on one line, as a spreadsheet wants them."""
    line: dict[str, Any] = {"id": example.id, "label": _one(example.label)}
    for name, answer in example.answers.items():
        line |= {f"{name} says": _one(answer.text), f"{name} seeds right": answer.right}
    pair = {} if example.pair is None else {"text_pair": _one(example.pair)}
    return line | {"text": _one(example.text)} | pair


def _one(text: str) -> str:
    return " ".join(text.split())
