"""The report as a Markdown page with its pictures as files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from workbench.analysis.disagreements import Answer, Example
from workbench.analysis.tables import Table, run_table
from workbench.comparison.formats import markdown_text
from workbench.formatting import ABSENT, plural
from workbench.report.content import Content, Group
from workbench.report.figures import Figure
from workbench.report.reproducing import environments, local_sources

LONGEST_TEXT = 400
"""Characters of a test text on the page."""
_FENCE = "```"


def markdown_page(
    content: Content,
    pictures: Mapping[tuple[int, str], str],
    commands: Sequence[tuple[str, str]],
    recipes: Mapping[str, str],
    written: str,
) -> str:
    """The page as text.

    Args:
        content: what it says.
        pictures: file of each picture, by group and the picture's name.
        commands: what each command does, and the command.
        recipes: file of each recipe, by row label.
        written: the day, as it is to be read.
    """
    runs = run_table(content.comparison, _metrics(content))
    parts = [f"# {_line(content.title)}"]
    counted = plural(len(content.comparison.rows), "recipe")
    counted += f", {plural(len(runs.lines), 'finished run')}"
    if len(content.groups) > 1:
        counted += f", in {len(content.groups)} groups that must not be compared with each other"
    parts.append(f"{counted}. Written {written}; every number is read from the runs' records.")
    if content.comparison.warnings:
        listed = [f"- {_line(text)}" for text in content.comparison.warnings]
        parts += ["## Before you believe it", "\n".join(listed)]
    several, notes = len(content.groups) > 1, content.comparison.verdict_notes
    for group in content.groups:
        parts += _group(group, pictures, content.texts, notes, several=several)
    parts += _recipes(content, recipes)
    parts += ["## Runs", _table(runs), *_left_out(content)]
    facts = [f"- {_line(name)}: {_line(value)}" for name, value in environments(content.comparison)]
    parts += ["## Environment", "\n".join(facts)]
    parts += ["## Reproduce", *_commands(content, commands)]
    return "\n\n".join(parts) + "\n"


def _metrics(content: Content) -> list[str]:
    return list(dict.fromkeys(name for row in content.comparison.rows for name in row["metrics"]))


def _group(
    group: Group,
    pictures: Mapping[tuple[int, str], str],
    texts: int,
    notes: Sequence[str],
    *,
    several: bool,
) -> Iterator[str]:
    def picture(figure: Figure) -> str:
        return f"![{_line(figure.alt)}]({pictures[group.number, figure.name]})"

    yield f"## {_line(group.title if several else 'Results')}"
    yield _line(" ".join(([] if several else [f"{group.title}."]) + group.facts))
    yield _table(group.table)
    if group.findings:
        yield "### What may be concluded"
        yield "\n".join(f"- {_line(text)}" for text in group.findings)
        yield from map(_line, notes)
    if group.score is not None:
        yield f"### Score and cost: {_line(group.score.title)}"
        yield f"{picture(group.score)}\n\n{_line(group.score.caption)}"
    yield "### Memory"
    if group.memory is not None:
        yield f"{picture(group.memory)}\n\n{_line(group.memory.caption)}"
    yield _table(group.memory_table)
    if group.forecast_table is not None:
        yield _table(group.forecast_table)
    if group.curves:
        yield "### Learning curves"
        for figure in group.curves:
            yield f"**{_line(figure.title)}**\n\n{picture(figure)}\n\n{_line(figure.caption)}"
    if group.class_figures:
        yield "### Classes"
        for figure in group.class_figures:
            yield f"{picture(figure)}\n\n{_line(figure.caption)}"
            if figure.table is not None:
                yield _table(figure.table)
    if group.examples:
        yield "### Disagreements"
        some, all_ = len(group.disagreements), len(group.examples)
        yield f"The recipes say different things to {some} of {all_} test examples."
        if group.pair_table is not None:
            yield _table(group.pair_table)
        for example in group.disagreements[:texts]:
            yield _example(example)


def _example(example: Example) -> str:
    texts = [_short(example.text), *([f"**{_short(example.pair)}**"] if example.pair else [])]
    lines = [f"**{_line(example.id)}**, right: **{_line(example.label or ABSENT)}**", ""]
    lines += [f"> {text}" for text in texts]
    lines.append("")
    lines += [f"- {_line(name)}: {_said(answer)}" for name, answer in example.answers.items()]
    return "\n".join(lines)


def _said(answer: Answer) -> str:
    words = [_line(answer.text or ABSENT)]
    if not answer.decided:
        words.append("undecided")
    if answer.right is not None:
        words.append(f"{answer.right} of {answer.seeds} seeds right")
    return ", ".join(words)


def _recipes(content: Content, files: Mapping[str, str]) -> Iterator[str]:
    yield "## Recipes"
    for group in content.groups:
        if group.differences.lines:
            yield _table(group.differences)
    yield "\n".join(
        f"- [{_line(label)}]({file}), every value written out" for label, file in files.items()
    )


def _left_out(content: Content) -> Iterator[str]:
    if content.left_out:
        yield "### Left out"
        yield "\n".join(
            f"- {_line(run.id)}: {run.state}{', ' + _short(run.reason) if run.reason else ''}"
            for run in content.left_out
        )


def _commands(content: Content, commands: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield "In the folder of this page, with the versions of `requirements.txt`:"
    for about, command in commands:
        line = " ".join(command.split())
        fence = _FENCE if _FENCE not in line else "~~~~"
        yield f"{about}:\n\n{fence}\n{line}\n{fence}"
    if sources := local_sources(content.comparison):
        named = ", ".join(_line(source) for source in sources)
        yield f"The recipes name files of the machine that they ran on: {named}."


def _table(table: Table) -> str:
    heads = [_line(name) for name, _ in table.headers]
    rulers = ["---" if align == "left" else "---:" for _, align in table.headers]
    lines = [heads, rulers, *([_line(cell.text) for cell in line] for line in table.lines)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"{_line(note)}  " for note in table.notes)
    return f"{text}\n\n{notes}" if notes else text


def _line(text: str) -> str:
    return markdown_text(" ".join(text.split()))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return markdown_text(line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…")
