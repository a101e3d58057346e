"""Words with a tag each: named entities, parts of speech."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice

from workbench.data.cells import unwritten
from workbench.data.examples import Examples, Role
from workbench.data.label_names import indexed
from workbench.data.reading import Reading, joined_ids, nothing_to_learn
from workbench.data.rows import Column, Rows, all_of, checked_texts, is_missing
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
        found, of_words = all_of(
            partial(_words, rows, spec.text), partial(_tags, rows, str(spec.label))
        )
        texts += checked_texts(rows, spec.text, [" ".join(row) for row in found])
        _refuse_other_counts(rows, str(spec.label), found, of_words)
        words += found
        tags += of_words
    values = [(row, tag) for row, of_row in enumerate(tags) for tag in of_row]
    column = Column.of_labels(splits, spec.source)
    names, indices, notes = indexed(column, values, task, normalise=spec.normalise_labels)
    following = iter(indices)
    labels = tuple(tuple(islice(following, len(row))) for row in words)
    examples = Examples(
        ids=joined_ids(splits), texts=tuple(texts), labels=labels, parts=tuple(words)
    )
    return Reading(examples, names, notes)


def _words(rows: Rows, name: str) -> list[tuple[str, ...]]:
    column = rows.column(name, [unwritten(value) for value in rows.texts])
    column.refuse(
        _is_no_list,
        "words that are not a list",
        why="token-classification reads a list of words and a list of tags for each row",
        fix=_words_fix(column.values),
    )
    column.refuse(
        lambda words: not words,
        "a row without words",
        why="there is nothing to tag",
        fix="remove these rows",
    )
    column.refuse(
        lambda words: any(map(is_missing, words)),
        "an empty word",
        why="every tag belongs to a word that the model can read",
        fix="remove the word and its tag",
    )
    column.refuse(
        lambda words: not all(isinstance(word, str) for word in words),
        "a word that is not text",
        why="words must be strings",
        fix="write numbers as text, or name the right column in data.text",
    )
    return [tuple(map(str, words)) for words in column.values]


def _words_fix(values: Sequence[object]) -> str:
    single = sum(isinstance(value, str) and len(value.split()) == 1 for value in values)
    if single > len(values) / 2:
        return (
            "these look like one word a row: group the rows of each sentence into a list of words "
            "and a list of tags, or write a .conll file with an empty line after each sentence"
        )
    return (
        "use jsonl or parquet with list columns, or a .conll file with a word and its tag on each "
        "line; check data.text"
    )


def _tags(rows: Rows, name: str) -> list[tuple[object, ...]]:
    column = rows.column(name, [unwritten(value) for value in rows.labels])
    column.refuse(
        _is_no_list,
        "tags that are not a list",
        why="token-classification reads one tag for each word",
        fix="write a list of tags, one for each word; check data.label",
    )
    column.refuse(
        lambda tags: any(map(is_missing, tags)),
        "a missing tag",
        why="every word needs one tag",
        fix="tag these words; O is the usual tag of what is not an entity",
    )
    column.refuse(
        lambda tags: not all(isinstance(tag, str | int) for tag in tags),
        "a tag that is not a word or whole number",
        why="a tag is a name such as B-PER, or its number",
        fix="write names, or whole numbers; check data.label",
    )
    return [tuple(tags) for tags in column.values]


def _refuse_other_counts(
    rows: Rows, name: str, words: Sequence[tuple[str, ...]], tags_of: Sequence[tuple[object, ...]]
) -> None:
    counts = [(len(row), len(tags)) for row, tags in zip(words, tags_of, strict=True)]
    rows.column(None, [f"words: {of_row}, tags: {tags}" for of_row, tags in counts]).refuse(
        (row for row, (of_row, tags) in enumerate(counts) if of_row != tags),
        f"not as many tags in column {name!r} as words",
        why="every word needs one tag",
        fix="correct these rows; tags of sub-words or of special tokens do not belong here",
    )


def _is_no_list(value: object) -> bool:
    return not isinstance(value, list | tuple)


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
        count = counts["train"].total()
        raise nothing_to_learn(f"all {count:,} words of train have the same tag, {only!r}", spec)
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
