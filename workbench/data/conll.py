"""Words and tags in columns, as in the files of the CoNLL shared tasks.

One word a line, the word in the first column and its tag in the last, columns separated by tabs
or spaces, an empty line between sentences (Tjong Kim Sang & De Meulder 2003, CoNLL-2003).
"""

from __future__ import annotations

import re
from pathlib import Path

from workbench.data.rows import Rows, show_rows
from workbench.errors import DataError

DOCUMENT_START = "-DOCSTART-"

_GAP = re.compile(r"[ \t]+")


def read_conll(characters: str, path: Path, name: str) -> Rows:
    """The sentences of a file as lists of words and of tags; ids are ``name:first line``.

    Raises:
        DataError: a line without a word or tag, or with another number of columns than the
            first; lines are named.
    """
    ids: list[str] = []
    words: list[list[str]] = []
    tags: list[list[str]] = []
    fields = [_fields(line) for line in characters.split("\n")]
    _refuse_ragged(fields, path, name)
    between = True
    for number, columns in enumerate(fields, start=1):
        if not columns or columns[0] == DOCUMENT_START:
            between = True
            continue
        if between:
            ids.append(f"{name}:{number}")
            words.append([])
            tags.append([])
            between = False
        words[-1].append(columns[0])
        tags[-1].append(columns[-1])
    return Rows(where=str(path), ids=ids, texts=words, pairs=None, labels=tags)


def _fields(line: str) -> list[str]:
    # Not split(): that would also cut at a no-break space inside a word.
    line = line.strip(" \r") if "\t" in line else line.strip(" \t\r")
    if not line.strip():
        return []
    return [field.strip(" ") for field in line.split("\t")] if "\t" in line else _GAP.split(line)


def _refuse_ragged(fields: list[list[str]], path: Path, name: str) -> None:
    lines = {n: columns for n, columns in enumerate(fields, start=1) if columns}
    rows = {n: columns for n, columns in lines.items() if columns[0] != DOCUMENT_START}
    bad = [n for n, c in rows.items() if len(c) < 2 or not c[0] or not c[-1]]
    what, why = "a line without a word or without a tag", "a line has a word first and a tag last"
    fix = "write both, with a tab or a space between them, and an empty line between sentences"
    if rows and not bad:
        width = len(next(iter(rows.values())))
        bad = [n for n, columns in rows.items() if len(columns) != width]
        what = f"a line that has not {width} columns, as the first has"
        why = "which column is the tag would be unclear"
        fix = "remove comments and blanks inside words, or separate the columns by tabs"
    if bad:
        shown = show_rows([f"{name}:{n}" for n in bad], [" ".join(rows[n]) for n in bad])
        raise DataError(
            f"{what}, {len(bad):,} of {len(rows):,} lines: {shown}",
            where=str(path),
            why=why,
            fix=fix,
        )
