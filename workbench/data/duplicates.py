"""Texts that occur more than once, which let a test be answered from memory.

Two rows are duplicates if their texts (and second texts, or the messages of a chat before the
completion) agree in everything but white space and upper or lower case.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from workbench.data.examples import Examples, Role
from workbench.errors import DataError

RULE = "compared without regard to white space and case"


@dataclass(frozen=True)
class Kept:
    """Row indices of each provided split after duplicates were dealt with, and what was done."""

    rows: Mapping[Role, list[int]]
    removed: int
    notes: tuple[str, ...]


def keys_of(examples: Examples) -> list[bytes]:
    """One key per row; equal keys are duplicates."""
    contents = (_content(examples, row) for row in range(len(examples)))
    # A digest keeps memory at 16 bytes a row, however long the texts are.
    return [
        hashlib.blake2b("\0".join(map(_plain, content)).encode(), digest_size=16).digest()
        for content in contents
    ]


def remove_duplicates(
    examples: Examples,
    keys: Sequence[bytes],
    provided: Mapping[Role, Sequence[int]],
    policy: Literal["drop", "error", "keep"],
    *,
    cut: bool,
    where: str,
) -> Kept:
    """Apply `data.duplicates` before anything is cut.

    Of rows in the split that others are cut from, the first occurrence stays. A validation or
    test split that the source provides stays as it is; its texts are taken out of train. Repeats
    within a train split from which nothing is cut are the source's own weighting and stay.

    Args:
        keys: of `keys_of`.
        provided: row indices of the splits that the source has itself; train always.
        cut: whether another split is cut from train.

    Raises:
        DataError: with ``error``, when there is any; with the count and three examples.
    """
    held_out = {keys[i]: i for role, rows in provided.items() if role != "train" for i in rows}
    first = dict(held_out)
    kept: list[int] = []
    repeats: list[tuple[int, int]] = []  # (row, the row that it repeats)
    for i in provided["train"]:
        seen = first.get(keys[i])
        if seen is None:
            kept.append(i)
            if cut:
                first[keys[i]] = i
        else:
            repeats.append((i, seen))
    if policy == "error":
        both_held_out = _shared(keys, provided.get("validation", ()), provided.get("test", ()))
        _refuse(examples, repeats + both_held_out, where)
    conflicts = _conflicts(examples, keys, provided)
    if not repeats or policy == "keep":
        return Kept({r: list(rows) for r, rows in provided.items()}, 0, conflicts)
    exact = sum(_content(examples, i) == _content(examples, j) for i, j in repeats)
    note = (
        f"{len(repeats):,} of {len(examples):,} rows were left out because their text occurs "
        f"elsewhere ({exact:,} identical, {len(repeats) - exact:,} apart from white space and "
        f"case), for example: {_shown(examples, repeats)}."
    )
    remaining = {r: kept if r == "train" else list(rows) for r, rows in provided.items()}
    return Kept(remaining, len(repeats), (note, *conflicts))


def overlap_notes(
    examples: Examples, keys: Sequence[bytes], splits: Mapping[Role, Sequence[int]]
) -> tuple[str, ...]:
    """One sentence for each two splits that share texts; empty if none do."""
    notes = []
    pairs: tuple[tuple[Role, Role], ...] = (
        ("train", "test"),
        ("train", "validation"),
        ("validation", "test"),
    )
    for role, other in pairs:
        shared = _shared(keys, splits[role], splits[other])
        if shared:
            i, j = shared[0]
            notes.append(
                f"{len(shared):,} of {len(splits[other]):,} {other} texts are also in {role} "
                f"({RULE}), for example {examples.ids[i]} = {examples.ids[j]}: scores on "
                f"{other} may be too good."
            )
    return tuple(notes)


def _shared(
    keys: Sequence[bytes], rows: Sequence[int], others: Sequence[int]
) -> list[tuple[int, int]]:
    """Each of `others` whose text is among `rows`, with the row that has it."""
    first = {keys[i]: i for i in rows}
    return [(i, first[keys[i]]) for i in others if keys[i] in first]


def _refuse(examples: Examples, repeats: Sequence[tuple[int, int]], where: str) -> None:
    if repeats:
        raise DataError(
            f"{len(repeats):,} of {len(examples):,} rows repeat another: "
            + _shown(examples, repeats),
            where=where,
            why=f"a test text that was trained on proves nothing (texts {RULE})",
            fix="remove them, or set data.duplicates: drop",
        )


def _shown(examples: Examples, repeats: Sequence[tuple[int, int]]) -> str:
    return "; ".join(f"{examples.ids[i]} repeats {examples.ids[j]}" for i, j in repeats[:3])


def _conflicts(
    examples: Examples, keys: Sequence[bytes], provided: Mapping[Role, Sequence[int]]
) -> tuple[str, ...]:
    first: dict[bytes, int] = {}
    conflicts: list[tuple[int, int]] = []
    for i in (i for rows in provided.values() for i in rows):
        j = first.setdefault(keys[i], i)
        if examples.labels[i] != examples.labels[j]:
            conflicts.append((j, i))
    if not conflicts:
        return ()
    j, i = conflicts[0]
    return (
        f"Rows with the text of another row but a different label: {len(conflicts):,}, for "
        f"example {examples.ids[i]} and {examples.ids[j]}; nothing can score full marks on them.",
    )


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _content(examples: Examples, row: int) -> tuple[str, ...]:
    """All that the model is shown of a row."""
    if examples.parts is not None and not isinstance(examples.parts[row][0], str):
        # The text of a chat is only its last question: often the same in different chats.
        return tuple(text for message in examples.parts[row] for text in message)
    return examples.texts[row], examples.pairs[row] if examples.pairs else ""
