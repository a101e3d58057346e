"""A comparison as json, csv, Markdown or LaTeX text.

json and csv hold exact numbers, the other two what goes into a page. Every name comes from a run
folder that anybody may have written, so each format escapes what it would otherwise obey.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.comparison.findings import finding_of, standing_of
from workbench.comparison.grid import Grid, grids, plain, verdict_sentences
from workbench.comparison.rows import Reference, Row, Summary

if TYPE_CHECKING:
    from workbench.comparison.comparison import Comparison

NOTHING = "No finished runs."


def to_json(comparison: Comparison) -> str:
    """One JSON document: rows, references, warnings, verdicts and the Pareto front."""
    content = {
        "rows": comparison.rows,
        "references": comparison.references,
        "warnings": comparison.warnings,
        "verdicts": comparison.verdicts,
        "verdict_notes": comparison.verdict_notes,
        "pareto": comparison.pareto,
        "pareto_objectives": comparison.pareto_objectives,
    }
    return json.dumps(content, indent=2, allow_nan=False)


# --- csv -------------------------------------------------------------------------------------

_COSTS = (
    "trainable_parameters",
    "head_parameters",
    "adapter_parameters",
    "total_parameters",
    "stored_parameters",
    "adapter_bytes",
    "peak_memory_bytes",
    "train_seconds",
    "steps_per_second",
    "tokens_per_second",
)

_OF_VERDICT = ("against", "metric", "difference", "ci_low", "ci_high", "p_adjusted")


def to_csv(comparison: Comparison) -> str:
    """One line for each row and reference; units are in the column names.

    A verdict is that against the row's baseline; those of all pairs are in the JSON.
    """
    lines = [_csv_row(row) | _csv_findings(comparison, row) for row in comparison.rows]
    lines += [_csv_reference(reference) for reference in comparison.references]
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
    line |= {name: row[name] for name in ("study", "recipe", "method", "task", "model")}
    line |= {"fingerprint": row["fingerprint"], "device": row["device"]}
    line["seeds"] = " ".join(str(seed) for seed in row["seeds"])
    for name, summary in row["metrics"].items():
        line |= _csv_summary(name, summary)
    line |= {name: row[name] for name in _COSTS}  # type: ignore[literal-required]
    for name, summary in row["validation_metrics"].items():
        line |= _csv_summary(f"validation_{name}", summary)
    line["baseline"] = row["baseline"]
    for name, difference in row["baseline_delta"].items():
        line[f"{name}_baseline_delta"] = difference
    for name, summary in row["baseline_paired"].items():
        line |= _csv_summary(f"{name}_baseline_paired", summary)
    return line


def _csv_findings(comparison: Comparison, row: Row) -> dict[str, Any]:
    """What the tests and the Pareto front say of a row, empty where they say nothing."""
    found: Mapping[str, Any] = finding_of(comparison.verdicts, row) or {}
    standing = standing_of(comparison.pareto, row)
    return {
        "verdict": found.get("verdict"),
        **{f"verdict_{name}": found.get(name) for name in _OF_VERDICT},
        "pareto": standing["standing"] if standing else None,
        "pareto_dominated_by": ", ".join(standing["dominated_by"]) if standing else None,
    }


def _csv_summary(name: str, summary: Summary) -> dict[str, Any]:
    return {
        f"{name}_mean": summary["mean"],
        f"{name}_ci_low": summary["ci_low"],
        f"{name}_ci_high": summary["ci_high"],
        f"{name}_n": summary["n"],
    }


def _csv_reference(reference: Reference) -> dict[str, Any]:
    line: dict[str, Any] = {"kind": "reference", "group": reference["group"]}
    line["name"] = reference["name"]
    return line | {f"{name}_mean": score for name, score in reference["metrics"].items()}


def _csv_cell(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    risky = value.lstrip().startswith(("=", "+", "-", "@"))
    return f"'{plain(value)}" if risky else plain(value)


# --- Markdown --------------------------------------------------------------------------------

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~$#!])")


def to_markdown(comparison: Comparison) -> str:
    """A table for each group, then the notes and the warnings."""
    parts = [_markdown_table(grid) for grid in grids(comparison)] or [NOTHING]
    said = verdict_sentences(comparison)
    if said:
        parts.append("\n".join(f"- {markdown_text(text)}" for text in said))
    if comparison.warnings:
        parts.append("\n".join(f"- {markdown_text(text)}" for text in comparison.warnings))
    return "\n\n".join(parts) + "\n"


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", plain(text).replace("&", "&amp;"))


def _markdown_table(grid: Grid) -> str:
    rulers = ["---" if column.align == "left" else "---:" for column in grid.columns]
    lines: list[Sequence[str]] = [[markdown_text(c.header) for c in grid.columns], rulers]
    lines += [[markdown_text(cell) for cell in line] for line in grid.lines]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"{markdown_text(note)}  " for note in grid.notes)
    return f"**{markdown_text(grid.title)}**\n\n{table}\n\n{notes}"


# --- LaTeX -----------------------------------------------------------------------------------

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
    "–": "--",
    "\N{REPLACEMENT CHARACTER}": "?",
    **{character: f"\\{character}" for character in "&%$#_"},
}


def to_latex(comparison: Comparison) -> str:
    r"""A booktabs table for each group, with verdicts and the Pareto front as columns; notes and
    warnings are comments. Needs UTF-8 and T1."""
    parts = ["% \\usepackage{booktabs} and \\usepackage[T1]{fontenc}"]
    parts += [_latex_table(grid) for grid in grids(comparison, findings=True)] or [f"% {NOTHING}"]
    parts += [f"% {plain(text)}" for text in verdict_sentences(comparison) + comparison.warnings]
    return "\n".join(parts) + "\n"


def latex_text(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(character, character) for character in plain(text))


def _latex_table(grid: Grid) -> str:
    alignment = "".join(column.align[0] for column in grid.columns)
    lines = [[latex_text(cell) for cell in line] for line in grid.lines]
    written = [f"{' & '.join(line)} \\\\" for line in lines]
    cut = len(written) - grid.references
    return "\n".join(
        [
            f"% {grid.title}",
            f"\\begin{{tabular}}{{{alignment}}}",
            "\\toprule",
            " & ".join(latex_text(column.header) for column in grid.columns) + " \\\\",
            "\\midrule",
            *written[:cut],
            *(["\\midrule", *written[cut:]] if grid.references else []),
            "\\bottomrule",
            "\\end{tabular}",
            *(f"% {note}" for note in grid.notes),
        ]
    )


RENDERERS: dict[str, Callable[[Comparison], str]] = {
    "markdown": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
    "json": to_json,
}
