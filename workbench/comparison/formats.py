"""A comparison as json, csv, Markdown or LaTeX text; names are a stranger's and escaped."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from workbench.comparison.result import ComparisonResult, Group
from workbench.comparison.schema import Row
from workbench.comparison.sentences import all_conclusions, answer_lines
from workbench.comparison.table import Table, comparison_tables
from workbench.formatting import plain

NOTHING = "No finished runs."


def to_json(comparison: ComparisonResult) -> str:
    """All of it but the runs behind the rows, and what is the terminal's alone."""
    names = [each.name for each in fields(comparison)]
    wanted = [name for name in names if name not in ("samples", "pareto_column")]
    return json.dumps(
        {name: getattr(comparison, name) for name in wanted}, indent=2, allow_nan=False
    )


_ELSEWHERE = {"group", "label", "runs", "primary_metric", "hardware", "per_seed"}
_SUMMARIES = {
    "metrics": "{}",
    "validation_metrics": "validation_{}",
    "baseline_paired": "{}_baseline_paired",
}
_PAIRED_RATIO = "{}_baseline_ratio_paired"
_OF_SUMMARY = ("mean", "ci_low", "ci_high", "population_ci_low", "population_ci_high", "n")
_OF_RETENTION = ("mean", "ci_low", "ci_high", "n", "measure", "perplexity", "base_perplexity")
_OF_DIFFERENCE = ("difference", "ci_low", "ci_high")
_OF_VERDICT = (
    "against",
    "metric",
    *_OF_DIFFERENCE,
    "ratio",
    "ratio_low",
    "ratio_high",
    "p_adjusted",
)


def to_csv(comparison: ComparisonResult) -> str:
    """A line for each row, with the verdict against its baseline, and for each reference."""
    groups = comparison.groups()
    lines = [_csv_row(row) | _csv_findings(group, row) for group in groups for row in group.rows]
    for reference in comparison.references:
        line = {"kind": "reference", "group": reference["group"], "name": reference["name"]}
        lines.append(line | {f"{name}_mean": n for name, n in reference["metrics"].items()})
    return csv_text(lines)


def csv_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """Lines of named values as csv, the columns in the order in which they first occur."""
    columns = dict.fromkeys(name for line in lines for name in line)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_csv_cell(name) for name in columns])
    writer.writerows([[_csv_cell(line.get(name)) for name in columns] for line in lines])
    return buffer.getvalue()


def _csv_row(row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {"kind": "recipe", "group": row["group"], "name": row["label"]}
    content: Mapping[str, Any] = row
    for key, value in content.items():
        if key in _SUMMARIES:
            for metric, summary in value.items():
                ratio = key == "baseline_paired" and metric in row["baseline_ratio"]
                name = (_PAIRED_RATIO if ratio else _SUMMARIES[key]).format(metric)
                line |= {f"{name}_{part}": summary[part] for part in _OF_SUMMARY if part in summary}
        elif key in ("baseline_delta", "baseline_ratio"):
            other = row["baseline_ratio"] if key == "baseline_delta" else {}
            line |= {f"{metric}_{key}": n for metric, n in value.items() if metric not in other}
        elif key == "collapsed":
            line["collapsed_seeds"] = " ".join(str(each["seed"]) for each in value)
        elif key == "retention":
            line |= {f"retention_{part}": (value or {}).get(part) for part in _OF_RETENTION}
        elif key not in _ELSEWHERE:
            line[key] = " ".join(map(str, value)) if key == "seeds" else value
    return line


def _csv_findings(group: Group, row: Row) -> dict[str, Any]:
    """What the tests and the Pareto front say of a row, empty where they say nothing; where they
    say a ratio, the difference is empty."""
    verdict: Mapping[str, Any] = group.verdict_on(row) or {}
    pareto = group.pareto_status(row)
    empty = () if verdict.get("ratio") is None else _OF_DIFFERENCE
    return {
        "verdict": verdict.get("conclusion"),
        **{f"verdict_{n}": None if n in empty else verdict.get(n) for n in _OF_VERDICT},
        "pareto": pareto["status"] if pareto else None,
        "pareto_dominated_by": ", ".join(pareto["dominated_by"]) if pareto else None,
    }


def _csv_cell(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    risky = value.lstrip().startswith(("=", "+", "-", "@"))
    return f"'{plain(value)}" if risky else plain(value)


_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~$#!])")


def to_markdown(comparison: ComparisonResult) -> str:
    parts = [markdown_text(text) for text in answer_lines(comparison)]
    parts += [
        f"**{markdown_text(table.title)}**\n\n{markdown_table(table)}"
        for table in comparison_tables(comparison)
    ] or [NOTHING]
    for texts in ([said.sentence for said in all_conclusions(comparison)], comparison.warnings):
        if texts:
            parts.append("\n".join(f"- {markdown_text(text)}" for text in texts))
    return "\n\n".join(parts) + "\n"


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", plain(text).replace("&", "&amp;"))


def markdown_table(table: Table) -> str:
    """A table with its notes, without the title."""
    lines = [[markdown_text(header) for header in table.headers]]
    lines.append(["---" if column.align == "left" else "---:" for column in table.columns])
    lines += [[markdown_text(cell.text) for cell in line] for line in table.lines]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"{markdown_text(note)}  " for note in table.notes)
    return f"{text}\n\n{notes}" if notes else text


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # a bracket after \\ or \midrule would be read as its argument
    "]": "{]}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "↓": r"$\downarrow$",
    "·": r"$\cdot$",
    "†": r"\dag{}",
    "–": "--",
    "\N{REPLACEMENT CHARACTER}": "?",
    **{character: f"\\{character}" for character in "&%$#_"},
}


def to_latex(comparison: ComparisonResult) -> str:
    """A booktabs table for each group, notes and warnings as comments. Needs UTF-8 and T1."""
    tables = comparison_tables(comparison, findings=True)
    parts = ["% \\usepackage{booktabs} and \\usepackage[T1]{fontenc}"]
    parts += [f"% {plain(text)}" for text in answer_lines(comparison)]
    parts += [_latex_table(table) for table in tables] or [f"% {NOTHING}"]
    said = [each.sentence for each in all_conclusions(comparison)]
    parts += [f"% {plain(text)}" for text in said + comparison.warnings]
    return "\n".join(parts) + "\n"


def latex_text(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(character, character) for character in plain(text))


def _latex_table(table: Table) -> str:
    alignment = "".join(column.align[0] for column in table.columns)
    lines = [[latex_text(cell.text) for cell in line] for line in table.lines]
    head, *written = [
        f"{' & '.join(line)} \\\\" for line in ([latex_text(h) for h in table.headers], *lines)
    ]
    cut = len(written) - table.references
    return "\n".join(
        [
            f"% {table.title}",
            f"\\begin{{tabular}}{{{alignment}}}",
            *("\\toprule", head, "\\midrule", *written[:cut]),
            *(["\\midrule", *written[cut:]] if table.references else []),
            *("\\bottomrule", "\\end{tabular}"),
            *(f"% {note}" for note in table.notes),
        ]
    )


RENDERERS: dict[str, Callable[[ComparisonResult], str]] = {
    "markdown": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
    "json": to_json,
}
