"""Rows of all splits, one after the other, in the form that a task takes them in."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from workbench.data.examples import Examples, Role
from workbench.data.rows import Rows, all_of, checked_texts, show_rows
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec
from workbench.recipe.tasks import TaskSpec


@dataclass(frozen=True)
class Reading:
    """The rows as examples, the names of their labels, and notes for the user."""

    examples: Examples
    label_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def nothing_to_learn(what: str, spec: DataSpec) -> DataError:
    """The refusal of a train split in which there is nothing to tell apart."""
    return DataError(
        what,
        where=spec.source,
        why="there is nothing to tell apart, so the model would always answer the same",
        fix="check data.label and the rows; with a small train_size raise it",
    )


def joined_ids(splits: Mapping[Role, Rows]) -> tuple[str, ...]:
    """The ids of all rows."""
    ids = (row_id for rows in splits.values() for row_id in rows.ids)
    # Bytes of file names that are no valid Unicode would break hashes and files of ours.
    return tuple(i.encode("utf-8", "backslashreplace").decode("utf-8") for i in ids)


def joined_texts(splits: Mapping[Role, Rows], spec: DataSpec) -> tuple[str, ...]:
    """The first texts of all rows, checked."""
    reads = (partial(checked_texts, rows, spec.text, rows.texts) for rows in splits.values())
    return tuple(text for texts in all_of(*reads) for text in texts)


def joined_pairs(
    splits: Mapping[Role, Rows], spec: DataSpec
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """The second texts of all rows, if the recipe names some, and a note where they are empty."""
    if not spec.text_pair:
        return None, ()
    pairs: list[str] = []
    for rows in splits.values():
        # Two rows of GLUE's QQP have an empty second question (huggingface/datasets #277).
        pairs += checked_texts(rows, spec.text_pair, rows.pairs or (), allow_empty=True)
    empty = [i for i, pair in enumerate(pairs) if not pair.strip()]
    if not empty:
        return tuple(pairs), ()
    ids = joined_ids(splits)
    shown = show_rows([ids[i] for i in empty], [pairs[i] for i in empty])
    note = f"{len(empty):,} of {len(pairs):,} rows have an empty {spec.text_pair!r}: {shown}"
    return tuple(pairs), (note,)


def read_texts(splits: Mapping[Role, Rows], spec: DataSpec, task: TaskSpec) -> Reading:
    """Texts without labels, for tasks whose answers are the text's own tokens.

    Raises:
        DataError: a text is missing, no text or too long; rows are named.
    """
    texts = joined_texts(splits, spec)
    return Reading(Examples(ids=joined_ids(splits), texts=texts, labels=("",) * len(texts)))
