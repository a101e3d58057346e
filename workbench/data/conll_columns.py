"""Which column of a file of words and tags holds the words, and which the tags.

A column is recognised by its name where the file or its format names it, else by what it holds:
numbers that count the words of each sentence, tags in the IOB scheme, few different values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from workbench.data.columns import Columns
from workbench.data.rows import listed
from workbench.errors import DataError, nearest
from workbench.recipe.schema import DataSpec

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""The columns of Universal Dependencies: https://universaldependencies.org/format.html"""

DEFAULTS = {key: str(DataSpec.model_fields[key].default) for key in ("text", "label")}
"""What the recipe says where it asks for no column."""

MANY_TAGS = 50
"""More different tags than this, and half as many as words, are no tags."""

IOB = re.compile(r"O|[BIESLUM]-\S+")
_SAYS_SOMETHING = re.compile(r"\w(?<!_)")
_NUMBER = re.compile(r"[0-9]{1,18}")
_OF_SEVERAL = re.compile(r"[0-9]+[-.][0-9]+")
"""Ids of CoNLL-U for words that are written together, and for words that are not written."""


@dataclass(frozen=True)
class Chosen:
    """The columns (from 0) that are read, and what the user should know of it."""

    word: int
    tag: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The lines of all sentences as columns.

    Attributes:
        names: of each column; their numbers from 1 where they have none.
        named: whether they have names.
        counted: whether the first column counts the words of each sentence, from any number on.
        numbered: whether most of the first column are numbers, beside words and tags.
        values: of each column.
    """

    names: tuple[str, ...]
    named: bool
    counted: bool
    numbered: bool
    values: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, sentences: Sequence[Sequence[Sequence[str]]], declared: Sequence[str]) -> Table:
        """The table of some sentences, whose columns may be declared."""
        width = len(sentences[0][0])
        # Numbers of sentences of one word are more likely words, such as years.
        countable = any(len(s) > 1 or s[0][0] == "1" for s in sentences)
        counted = width > 2 and countable and all(_is_counted(s) for s in sentences)
        names = tuple(name.lower() for name in declared)
        if not names and counted and width == len(CONLLU):
            names = CONLLU
        named = len(names) == width
        lines = [line for sentence in sentences for line in sentence]
        numbers = sum(is_number(line[0]) for line in lines)
        return cls(
            names=names if named else tuple(str(number + 1) for number in range(width)),
            named=named,
            counted=counted,
            numbered=width > 2 and numbers > len(lines) / 2,
            values=tuple(zip(*lines, strict=True)),
        )

    def is_word(self, line: Sequence[str]) -> bool:
        """False for the lines of CoNLL-U that repeat other words or stand for none."""
        return not (self.counted and _OF_SEVERAL.fullmatch(line[0]))

    def is_iob(self, column: int) -> bool:
        found = set(self.values[column])
        return found != {"O"} and all(IOB.fullmatch(value) for value in found)

    def says_something(self, column: int) -> bool:
        """False where nothing but signs for "none" stands, such as "_"."""
        return any(map(_SAYS_SOMETHING.search, set(self.values[column])))

    def different(self, column: int) -> int:
        return len(set(self.values[column]))


def is_number(value: str) -> bool:
    """Whether it may be the number of a word, also in CoNLL-U."""
    return bool(_NUMBER.fullmatch(value) or _OF_SEVERAL.fullmatch(value))


def _is_counted(sentence: Sequence[Sequence[str]]) -> bool:
    ids = [line[0] for line in sentence if not _OF_SEVERAL.fullmatch(line[0])]
    if not all(_NUMBER.fullmatch(value) for value in ids):
        return False
    return all(int(after) == int(before) + 1 for before, after in pairwise(ids))


def choose(table: Table, columns: Columns, path: Path) -> Chosen:
    """The columns that the recipe asks for, else those that hold words and tags.

    Raises:
        DataError: no such column, or it is unclear which is which.
    """
    word = _asked(table, "text", columns.text, path)
    tag = _asked(table, "label", str(columns.label), path)
    if word is not None and word == tag:
        raise _unclear(f"data.text and data.label both name column {word + 1}", table, path)
    if word is not None and tag is not None:
        return Chosen(word, tag)
    found = _by_name(table, path) if table.named else _by_content(table, path, word, tag)
    chosen = Chosen(
        found.word if word is None else word, found.tag if tag is None else tag, found.note
    )
    if chosen.word == chosen.tag:
        raise _unclear(f"column {chosen.word + 1} would be words and tags", table, path)
    return chosen


def _asked(table: Table, key: str, name: str, path: Path) -> int | None:
    """The column that a recipe names, by name or number; None where it names none."""
    if name == DEFAULTS[key] and name not in table.names:
        return None
    numbers = [str(number + 1) for number in range(len(table.names))]
    for names in (table.names, numbers):
        if name.lower() in names:
            return names.index(name.lower())
    near = nearest(name, table.names)
    raise DataError(
        f"data.{key} is {name!r}, and this file has no such column",
        where=str(path),
        why=f"its columns: {listed(table.names)}",
        fix=f"did you mean {near!r}?" if near else 'name one of them, or its number, e.g. "2"',
    )


def _by_name(table: Table, path: Path) -> Chosen:
    names = table.names
    if "form" not in names or "upos" not in names:
        raise _unclear(f"the columns are {', '.join(names)}", table, path)
    note = "Words are read from column form and tags from column upos"
    note += f"; data.label names another of {', '.join(names)}."
    return Chosen(names.index("form"), names.index("upos"), note)


def _by_content(table: Table, path: Path, word: int | None, tag: int | None) -> Chosen:
    first, last = int(table.counted), len(table.names) - 1
    if word is None and table.numbered and not table.counted:
        what = "column 1 holds numbers that do not count words"
        raise _unclear(what, table, path, example=(1, last))
    if tag is None and last > 1 and not table.says_something(last):
        what = f"column {last + 1}, the last, holds nothing but {table.values[last][0]!r}"
        full = [column for column in range(first + 1, last) if table.says_something(column)]
        raise _unclear(what, table, path, example=(first, full[-1] if full else last))
    if word is not None or tag is not None:  # one of them is asked for, the other is at the end
        return Chosen(first if tag != first else last, last if word != last else first)
    few = table.different(last) <= table.different(first) and table.different(last) <= max(
        MANY_TAGS, table.different(first) // 2
    )
    if table.is_iob(last) or (few and not table.is_iob(first)):
        counts = "Column 1 counts words: words are read from column 2 and tags from column "
        return Chosen(first, last, f"{counts}{last + 1}." if table.counted else "")
    if table.is_iob(first) and last == first + 1:
        note = f"Tags are read from column {first + 1}, which holds IOB tags, and words from "
        return Chosen(last, first, note + f"column {last + 1}.")
    counts = f"{table.different(first):,} and {table.different(last):,} different values"
    raise _unclear(f"columns {first + 1} and {last + 1} hold {counts}", table, path)


def _unclear(
    what: str, table: Table, path: Path, *, example: tuple[int, int] = (1, 0)
) -> DataError:
    word, tag = example
    shown = ", ".join(
        f"{name} ({values[0]!r}, ...)"
        for name, values in zip(table.names, table.values, strict=True)
    )
    return DataError(
        f"{what}: which column holds the words and which the tags is unclear",
        where=str(path),
        why=f"the columns of this file, with what the first line has there: {shown}",
        fix=f'name both, by name or number, e.g. data: {{text: "{word + 1}", label: "{tag + 1}"}}',
    )
