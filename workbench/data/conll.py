"""Words and tags in columns, as in the files of the CoNLL shared tasks.

One word a line with its tag in another column, columns separated by tabs or spaces, an empty line
between sentences (Tjong Kim Sang & De Meulder 2003, CoNLL-2003). Which column is which is in
`conll_columns`.
"""

import re
from pathlib import Path

from workbench.data.columns import Columns
from workbench.data.conll_columns import Chosen, Table, choose
from workbench.data.rows import Rows, show_rows
from workbench.errors import DataError

DOCUMENT_START = "-DOCSTART-"

_GAP = re.compile(r"[ \t]+")
_COMMENT = re.compile(r"#(\s|begin document|end document)")
_GLOBAL_COLUMNS = "# global.columns ="
"""What CoNLL-U Plus begins with: https://universaldependencies.org/ext-format.html"""

_Line = tuple[int, list[str]]
"""Its number in the file, and its columns."""


def read_conll(characters: str, path: Path, name: str, columns: Columns) -> Rows:
    """The sentences of a file as lists of words and of tags; ids are ``name:first line``.

    Raises:
        DataError: a line without a word or tag, or with another number of columns than the
            first; lines are named. Or it is unclear which column holds what.
    """
    if columns.group:
        raise DataError(
            f"data.group is {columns.group!r}, but the columns of this file belong to words",
            where=str(path),
            fix="remove data.group, or use jsonl or parquet with a column for it",
        )
    sentences = _sentences(characters.split("\n"))
    lines = [line for sentence in sentences for line in sentence]
    if not lines:
        return Rows(where=str(path), ids=(), texts=(), pairs=None, labels=())
    _refuse_ragged(lines, path, name)
    first = characters.partition("\n")[0]
    names = first.removeprefix(_GLOBAL_COLUMNS)
    declared = names.split() if names != first else []
    table = Table.of([[columns for _, columns in sentence] for sentence in sentences], declared)
    chosen = choose(table, columns, path)
    return _rows(sentences, table, chosen, path, name)


def _rows(
    sentences: list[list[_Line]], table: Table, chosen: Chosen, path: Path, name: str
) -> Rows:
    kept = [[(n, c) for n, c in sentence if table.is_word(c)] for sentence in sentences]
    kept = [sentence for sentence in kept if sentence]
    lines = [line for sentence in kept for line in sentence]
    empty = [(n, c) for n, c in lines if not c[chosen.word] or not c[chosen.tag]]
    if empty:
        raise _bad_lines(
            "a line without a word or without a tag",
            empty,
            len(lines),
            path,
            name,
            why=f"words are in column {chosen.word + 1} and tags in column {chosen.tag + 1}",
            fix="write both, or name other columns in data.text and data.label",
        )
    return Rows(
        where=str(path),
        ids=[f"{name}:{sentence[0][0]}" for sentence in kept],
        texts=[[columns[chosen.word] for _, columns in sentence] for sentence in kept],
        pairs=None,
        labels=[[columns[chosen.tag] for _, columns in sentence] for sentence in kept],
        found=table.names,
        notes=(chosen.note,) if chosen.note else (),
    )


def _sentences(lines: list[str]) -> list[list[_Line]]:
    """The lines of each sentence, without comments and starts of documents."""
    fields = [_fields(line) for line in lines]
    of_words = (
        columns
        for columns, line in zip(fields, lines, strict=True)
        if columns and columns[0] != DOCUMENT_START and not _COMMENT.match(line)
    )
    width = len(next(of_words, []))
    sentences: list[list[_Line]] = []
    between = True
    for number, (columns, line) in enumerate(zip(fields, lines, strict=True), start=1):
        if not columns or columns[0] == DOCUMENT_START:
            between = True
            continue
        # A comment stands before a sentence; "#" is also a word.
        if between and len(columns) != width and _COMMENT.match(line):
            continue
        if between:
            sentences.append([])
            between = False
        sentences[-1].append((number, columns))
    return sentences


def _fields(line: str) -> list[str]:
    # Not split(): that would also cut at a no-break space inside a word.
    line = line.strip(" \r") if "\t" in line else line.strip(" \t\r")
    if not line.strip():
        return []
    return [field.strip(" ") for field in line.split("\t")] if "\t" in line else _GAP.split(line)


def _refuse_ragged(lines: list[_Line], path: Path, name: str) -> None:
    bad = [(n, c) for n, c in lines if len(c) < 2 or not c[0] or not c[-1]]
    what, why = "a line without a word or without a tag", "a line has a word and its tag"
    fix = "write both, with a tab or a space between them, and an empty line between sentences"
    if not bad:
        width = len(lines[0][1])
        bad = [(n, c) for n, c in lines if len(c) != width]
        what = f"a line that has not {width} columns, as the first has"
        why = "which column is the tag would be unclear"
        fix = "remove comments and blanks inside words, or separate the columns by tabs"
    if bad:
        raise _bad_lines(what, bad, len(lines), path, name, why=why, fix=fix)


def _bad_lines(
    what: str, bad: list[_Line], count: int, path: Path, name: str, *, why: str, fix: str
) -> DataError:
    shown = show_rows([f"{name}:{n}" for n, _ in bad], [" ".join(c) for _, c in bad])
    return DataError(
        f"{what}, {len(bad):,} of {count:,} lines: {shown}", where=str(path), why=why, fix=fix
    )
