"""Rows that belong together (`data.group`): checked, and kept on one side of every split."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.data.examples import ROLES, Label, Role
from workbench.data.label_names import name_of
from workbench.data.rows import Rows, is_encodable, is_missing
from workbench.errors import DataError

Groups = Sequence[str]
"""The group of each row."""

HELD_OUT: tuple[Role, ...] = ("validation", "test")


def groups_of(splits: Mapping[Role, Rows], column: str) -> tuple[str, ...]:
    """The group of each row of all splits.

    Raises:
        DataError: a row without one, or with a list; rows are named.
    """
    for rows in splits.values():
        found = rows.column(column, rows.groups or ())
        found.refuse(
            is_missing,
            "no group",
            why="a row without a group could be on both sides of a split",
            fix="give every row a group, one of its own if it stands alone, or remove data.group",
        )
        found.refuse(
            lambda value: isinstance(value, list | tuple | dict) or not is_encodable(str(value)),
            "a group that is not a word or number",
            why="rows with the same word or number belong together",
            fix="name another column in data.group",
        )
    return tuple(name_of(value) for rows in splits.values() for value in rows.groups or ())


@dataclass(frozen=True)
class Separated:
    """Rows of each split that the source has, without those of train that others' groups hold."""

    rows: Mapping[Role, Sequence[int]]
    removed: int = 0
    notes: tuple[str, ...] = ()


def separate(provided: Mapping[Role, Sequence[int]], groups: Groups, where: str) -> Separated:
    """Take rows out of train whose group is in a validation or test split of the source.

    Raises:
        DataError: nothing is left to train on.
    """
    held = {groups[i]: role for role in HELD_OUT if role in provided for i in provided[role]}
    kept = [i for i in provided["train"] if groups[i] not in held]
    removed = [i for i in provided["train"] if groups[i] in held]
    notes = []
    if removed:
        shared = dict.fromkeys(groups[i] for i in removed)
        what = f"{len(removed):,} rows of train belong to {len(shared):,} groups that validation "
        what += f"or test have too, for example {next(iter(shared))!r}"
        if not kept:
            raise DataError(
                f"all {what}",
                where=where,
                why="data.group keeps each group on one side of the split",
                fix="name another column in data.group, or leave data.splits out to have them cut",
            )
        notes.append(f"{what}: they were left out.")
    both = {groups[i] for i in provided.get("validation", ())} & {
        groups[i] for i in provided.get("test", ())
    }
    if both:
        notes.append(
            f"{len(both):,} groups are in validation and in test, for example {min(both)!r}: "
            "the adapter is selected on groups that it is tested on."
        )
    return Separated({**provided, "train": kept}, len(removed), tuple(notes))


def class_of_group(
    rows: Sequence[int], groups: Groups, strata: Sequence[Label] | None
) -> dict[int, Label]:
    """For each row the class that most rows of its group have; 0 without classes."""
    counts: dict[str, Counter[Label]] = defaultdict(Counter)
    for i in rows:
        counts[groups[i]][strata[i] if strata else 0] += 1
    usual = {g: min(c, key=lambda label: (-c[label], label)) for g, c in counts.items()}
    return {i: usual[groups[i]] for i in rows}


def whole_groups(
    classes: Mapping[Label, Sequence[int]],
    sizes: Mapping[Label, int],
    groups: Groups,
    *,
    leave: int,
) -> set[int]:
    """Whole groups, taken in the order of their first rows, with about as many rows as asked.

    What one class has too many or too few of is made up for by the next.

    Args:
        classes: rows of each class; those of one group are in one class.
        sizes: rows wanted of each.
        leave: groups of a class that stay behind.
    """
    drawn: set[int] = set()
    wanted = 0
    for label, rows in classes.items():
        members: dict[str, list[int]] = defaultdict(list)
        for i in rows:
            members[groups[i]].append(i)
        wanted += sizes[label]
        left = len(members) - leave
        for group in members.values():
            if left > 0 and len(drawn) + len(group) / 2 <= wanted:
                drawn.update(group)
                left -= 1
    return drawn


def group_note(splits: Mapping[Role, Sequence[int]], groups: Groups, column: str) -> str:
    """How many groups each split has."""
    counts = [
        f"{role} {len(splits[role]):,} rows in {len({groups[i] for i in splits[role]}):,}"
        for role in ROLES
    ]
    return f"Groups of data.group ({column!r}) are on one side of the split: {', '.join(counts)}."
