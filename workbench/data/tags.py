"""Words with a tag each: named entities, parts of speech."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

from workbench.data.examples import Examples, Role
from workbench.data.label_names import LabelColumn, indexed, name_of
from workbench.data.reading import Reading, joined_ids
from workbench.data.rows import Rows, checked_texts, is_missing, refuse_rows
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec
from workbench.recipe.tasks import TokenClassification


def read_tags(splits: Mapping[Role, Rows], spec: DataSpec, task: TokenClassification) -> Reading:
    """Rows of words, joined by spaces in `texts`, with one tag index a word.

    Tag names come in the order of `task.labels`, else of the source's own numbering, else sorted.

    Raises:
        DataError: no lists, an empty word, a tag that is missing or unknown, or not as many tags
            as words; rows are named.
    """
    words: list[tuple[str, ...]] = []
    tags: list[tuple[object, ...]] = []
    texts: list[str] = []
    for rows in splits.values():
        found = _words(rows, spec.text)
        texts += checked_texts(rows, spec.text, [" ".join(row) for row in found])
        words += found
        tags += _tags(rows, str(spec.label), found)
    written = [(row, name_of(tag)) for row, of_row in enumerate(tags) for tag in of_row]
    names, indices = indexed(LabelColumn.of(splits, spec.source), written, task)
    following = iter(indices)
    labels = tuple(tuple(islice(following, len(row))) for row in words)
    examples = Examples(
        ids=joined_ids(splits), texts=tuple(texts), pairs=None, labels=labels, parts=tuple(words)
    )
    return Reading(examples, names)


def _words(rows: Rows, column: str) -> list[tuple[str, ...]]:
    def refuse(bad: list[int], what: str, why: str, fix: str) -> None:
        what = f"{what} in column {column!r}"
        refuse_rows(bad, what, rows.ids, rows.texts, where=rows.where, why=why, fix=fix)

    refuse(
        _no_lists(rows.texts),
        "words that are not a list",
        "token-classification reads a list of words and a list of tags for each row",
        "use jsonl or parquet with list columns, or a .conll file with a word and its tag on each "
        "line; check data.text",
    )
    found = _as_tuples(rows.texts)
    refuse(
        [i for i, row in enumerate(found) if not row],
        "a row without words",
        "there is nothing to tag",
        "remove these rows",
    )
    refuse(
        [i for i, row in enumerate(found) if any(map(is_missing, row))],
        "an empty word",
        "every tag belongs to a word that the model can read",
        "remove the word and its tag",
    )
    refuse(
        [i for i, row in enumerate(found) if not all(isinstance(word, str) for word in row)],
        "a word that is not text",
        "words must be strings",
        "write numbers as text, or name the right column in data.text",
    )
    return [tuple(map(str, row)) for row in found]


def _tags(rows: Rows, column: str, words: Sequence[tuple[str, ...]]) -> list[tuple[object, ...]]:
    def refuse(bad: list[int], what: str, why: str, fix: str) -> None:
        what = f"{what} in column {column!r}"
        refuse_rows(bad, what, rows.ids, rows.labels, where=rows.where, why=why, fix=fix)

    refuse(
        _no_lists(rows.labels),
        "tags that are not a list",
        "token-classification reads one tag for each word",
        "write a list of tags, one for each word; check data.label",
    )
    found = _as_tuples(rows.labels)
    counts = [(len(row), len(tags)) for row, tags in zip(words, found, strict=True)]
    refuse_rows(
        [i for i, (n_words, n_tags) in enumerate(counts) if n_words != n_tags],
        f"not as many tags in column {column!r} as words",
        rows.ids,
        [f"words: {n_words}, tags: {n_tags}" for n_words, n_tags in counts],
        where=rows.where,
        why="every word needs one tag",
        fix="correct these rows; tags of sub-words or of special tokens do not belong here",
    )
    refuse(
        [i for i, tags in enumerate(found) if any(map(is_missing, tags))],
        "a missing tag",
        "every word needs one tag",
        "tag these words; O is the usual tag of what is no entity",
    )
    refuse(
        [i for i, tags in enumerate(found) if not all(isinstance(tag, str | int) for tag in tags)],
        "a tag that is no word or whole number",
        "a tag is a name such as B-PER, or its number",
        "write names, or whole numbers; check data.label",
    )
    return found


def _no_lists(values: Sequence[object]) -> list[int]:
    return [i for i, value in enumerate(values) if not isinstance(value, list | tuple)]


def _as_tuples(values: Sequence[object]) -> list[tuple[object, ...]]:
    return [tuple(value) for value in values if isinstance(value, list | tuple)]


def tags_as_hashed(label: Sequence[int], names: Sequence[str]) -> object:
    """The names of the tags, in the order of the words."""
    return [names[tag] for tag in label]


def check_tags(
    reading: Reading,
    splits: Mapping[Role, Sequence[int]],
    spec: DataSpec,
    task: TokenClassification,
) -> tuple[str, ...]:
    """Notes on tags that are scored but never trained.

    Raises:
        DataError: train has one tag only.
    """
    labels, names = reading.examples.labels, reading.label_names
    counts = {r: Counter(tag for i in rows for tag in labels[i]) for r, rows in splits.items()}
    if len(counts["train"]) < 2:
        only = names[next(iter(counts["train"]))]
        raise DataError(
            f"all {counts['train'].total():,} words of train have the same tag, {only!r}",
            where=spec.source,
            why="there is nothing to tell apart",
            fix="check data.label and the rows; with a small train_size raise it",
        )
    notes = []
    for role in ("validation", "test"):
        unseen = {tag: n for tag, n in sorted(counts[role].items()) if tag not in counts["train"]}
        if unseen:
            shown = ", ".join(f"{names[tag]} {n:,}" for tag, n in list(unseen.items())[:20])
            notes.append(
                f"{sum(unseen.values()):,} words of {role} have a tag that train never shows "
                f"({shown}): the model cannot find them."
            )
    return tuple(notes)
