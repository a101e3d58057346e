"""Words and tags in columns, as in the files of the CoNLL shared tasks.

One word a line with its tag in another column, columns separated by tabs or spaces, an empty line
between sentences (Tjong Kim Sang & De Meulder 2003, CoNLL-2003). Which column is which is in
`conll_columns`.
"""

from dataclasses import replace
from pathlib import Path

from workbench.data.columns import Columns
from workbench.data.conll_columns import Chosen, Table, choose
from workbench.data.conll_lines import Line, sentences_of
from workbench.data.rows import Rows, show_rows
from workbench.errors import DataError

_GLOBAL_COLUMNS = "# global.columns ="
"""What CoNLL-U Plus begins with: https://universaldependencies.org/ext-format.html"""


def read_conll(characters: str, path: Path, name: str, columns: Columns) -> Rows:
    """The sentences of a file as lists of words and of tags; ids are ``name:first line``.

    Raises:
        DataError: a line without a word or tag, or with another number of columns than the
            first; lines are named. Or it is unclear which column holds what.
    """
    for key, column in (("data.group", columns.group), ("data.split_column", columns.split)):
        if column:
            raise DataError(
                f"{key} is {column!r}, but the columns of this file belong to words",
                where=str(path),
                fix=f"remove {key}, or use jsonl or parquet with a column for it",
            )
    found = sentences_of(characters.split("\n"), path, name)
    sentences = found.sentences
    lines = [line for sentence in sentences for line in sentence]
    if not lines:
        return Rows(where=str(path), ids=(), texts=(), pairs=None, labels=())
    _refuse_ragged(lines, path, name)
    first = characters.partition("\n")[0]
    names = first.removeprefix(_GLOBAL_COLUMNS)
    declared = names.split() if names != first else []
    table = Table.of([[columns for _, columns in sentence] for sentence in sentences], declared)
    chosen = choose(table, columns, path)
    rows = _rows(sentences, table, chosen, path, name)
    return replace(rows, notes=(*rows.notes, found.note)) if found.note else rows


def _rows(sentences: list[list[Line]], table: Table, chosen: Chosen, path: Path, name: str) -> Rows:
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


def _refuse_ragged(lines: list[Line], path: Path, name: str) -> None:
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
    what: str, bad: list[Line], count: int, path: Path, name: str, *, why: str, fix: str
) -> DataError:
    shown = show_rows([f"{name}:{n}" for n, _ in bad], [" ".join(c) for _, c in bad])
    return DataError(
        f"{what}, {len(bad):,} of {count:,} lines: {shown}", where=str(path), why=why, fix=fix
    )
