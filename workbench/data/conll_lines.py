"""The lines of a file of words and tags: which are words, which comments, where sentences end."""

import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from workbench.data.conll_columns import IOB, is_number
from workbench.data.rows import show_rows
from workbench.errors import DataError

DOCUMENT_START = "-DOCSTART-"

Line = tuple[int, list[str]]
"""Its number in the file, and its columns."""

_GAP = re.compile(r"[ \t]+")
_COMMENT = re.compile(r"#(\s|begin document|end document)")
_SURE = re.compile(r"#(begin|end) document|# \S+ = ")
"""As in CoNLL-2012 and CoNLL-U: comments also where they have as many pieces as columns."""


@dataclass(frozen=True)
class Found:
    """The lines of each sentence, and what the user should know of the others."""

    sentences: list[list[Line]]
    note: str = ""


def sentences_of(lines: list[str], path: Path, name: str) -> Found:
    """The lines of each sentence, without comments and starts of documents.

    A comment stands before a sentence and begins with "#", which is also a word. Such a line is a
    comment if it has other columns than the words have, if these begin with numbers or IOB tags
    throughout, or if it is written as `# key = value`; else a word where a column after the first
    holds what it holds in other lines, as tags do.

    Raises:
        DataError: some such lines hold tags and some none, so which are comments is unclear.
    """
    starts = _starts(lines)
    likely = {n for n in starts if _COMMENT.match(lines[n - 1])}
    fields = {n: _fields(line) for n, line in enumerate(lines, start=1)}
    fields = {n: columns for n, columns in fields.items() if columns[:1] != [DOCUMENT_START]}
    if _never_hash([columns for n, columns in fields.items() if columns and n not in starts]):
        return Found(_grouped(lines, starts))
    words = [columns for n, columns in fields.items() if columns and n not in likely]
    width = len(words[0]) if words else 0
    # In a file with tabs the blanks of a comment separate nothing.
    tabs = all("\t" in lines[n - 1] for n, columns in fields.items() if columns and n not in likely)
    alike = {n: _fields(lines[n - 1], tabs=tabs) for n in sorted(likely)}
    alike = {
        n: columns
        for n, columns in alike.items()
        if len(columns) == width and not _SURE.match(lines[n - 1])
    }
    comments = likely - set(alike)
    known = [set(column) for column in zip_longest(*(columns[1:width] for columns in words))]
    without = [n for n, columns in alike.items() if not _has_tag(columns[1:], known)]
    if not without:
        return Found(_grouped(lines, comments))
    shown = show_rows([f"{name}:{n}" for n in without], [lines[n - 1].strip() for n in without])
    if len(without) < len(alike):
        raise DataError(
            f"{len(alike):,} lines before a sentence begin with # and have {width} columns, and "
            f"{len(without):,} of them hold no tag of other lines: {shown}",
            where=str(path),
            why="which of them are comments, and which are words, is unclear",
            fix="remove the comments",
        )
    note = f"{len(without):,} lines that begin with # and hold no tag of other lines are taken "
    return Found(_grouped(lines, comments | set(without)), f"{note}for comments: {shown}.")


def _starts(lines: list[str]) -> set[int]:
    """Numbers of the lines that begin with "#" where a sentence may begin."""
    found, between = set(), True
    for number, line in enumerate(lines, start=1):
        columns = _fields(line)
        if not columns or columns[0] == DOCUMENT_START:
            between = True
        elif between and line.startswith("#"):
            found.add(number)
        else:
            between = False
    return found


def _never_hash(words: list[list[str]]) -> bool:
    """Whether lines begin with what "#" is none of: numbers before word and tag, or IOB tags."""
    firsts = [columns[0] for columns in words]
    numbers = all(map(is_number, firsts)) and all(len(columns) > 2 for columns in words)
    return bool(words) and (numbers or all(IOB.fullmatch(first) for first in firsts))


def _has_tag(columns: list[str], known: list[set[str | None]]) -> bool:
    # A word without a tag is refused later.
    return any(
        not value or value in others or IOB.fullmatch(value)
        for value, others in zip(columns, known, strict=True)
    )


def _grouped(lines: list[str], comments: set[int]) -> list[list[Line]]:
    sentences: list[list[Line]] = []
    between = True
    for number, line in enumerate(lines, start=1):
        columns = _fields(line)
        if not columns or columns[0] == DOCUMENT_START:
            between = True
            continue
        if between and number in comments:
            continue
        if between:
            sentences.append([])
            between = False
        sentences[-1].append((number, columns))
    return sentences


def _fields(line: str, *, tabs: bool = False) -> list[str]:
    # Not split(): that would also cut at a no-break space inside a word.
    tabs = tabs or "\t" in line
    line = line.strip(" \r") if tabs else line.strip(" \t\r")
    if not line.strip():
        return []
    return [field.strip(" ") for field in line.split("\t")] if tabs else _GAP.split(line)
