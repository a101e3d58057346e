"""Texts with classes, several labels or numbers: read, and checked once they are split."""

from collections import Counter
from collections.abc import Mapping, Sequence

from workbench.data.examples import ROLES, Examples, Label, Role
from workbench.data.labels import map_labels
from workbench.data.reading import Reading, joined_ids, joined_pairs, joined_texts, nothing_to_learn
from workbench.data.rows import Rows, all_of, show_rows
from workbench.errors import DataError
from workbench.recipe.catalogue import MULTI, REGRESSION
from workbench.recipe.schema import DataSpec
from workbench.recipe.tasks import TextClassification


def read_classes(splits: Mapping[Role, Rows], spec: DataSpec, task: TextClassification) -> Reading:
    """Texts or pairs of texts, with a `Label` each.

    Raises:
        DataError: a label or a text that cannot be used; rows are named.
    """
    (labels, names, notes), texts, (pairs, more) = all_of(
        lambda: map_labels(splits, spec, task),
        lambda: joined_texts(splits, spec),
        lambda: joined_pairs(splits, spec),
    )
    return Reading(
        Examples(ids=joined_ids(splits), texts=texts, pairs=pairs, labels=tuple(labels)),
        names,
        (*notes, *more),
    )


def class_as_hashed(label: Label, names: Sequence[str]) -> object:
    """The name of a class, the sorted names of the labels that apply, or the number."""
    if isinstance(label, tuple):
        return sorted(n for n, bit in zip(names, label, strict=True) if bit)
    return names[label] if isinstance(label, int) else label


def check_classes(
    reading: Reading,
    splits: Mapping[Role, Sequence[int]],
    spec: DataSpec,
    task: TextClassification,
) -> tuple[str, ...]:
    """Notes on classes that a split lacks.

    Raises:
        DataError: train has one class (or number) only, or lacks a class that is tested.
    """
    labels, names = reading.examples.labels, reading.label_names
    in_train = {labels[i] for i in splits["train"]}
    if len(in_train) < 2:
        only = next(iter(in_train))
        named = class_as_hashed(only, names) if task.problem_type != REGRESSION else only
        shown, count = repr(named), len(splits["train"])
        raise nothing_to_learn(f"all {count:,} rows of train have the same label, {shown}", spec)
    if task.problem_type == REGRESSION:
        return ()
    if task.problem_type == MULTI:
        counts = {role: _label_counts(labels, rows) for role, rows in splits.items()}
    else:
        counts = {r: Counter(labels[i] for i in rows) for r, rows in splits.items()}
        _refuse_unseen(reading, splits, spec.source)
    notes = []
    never = {name for i, name in enumerate(names) if not any(counts[role][i] for role in ROLES)}
    if never:
        shown = ", ".join(name for name in names if name in never)
        notes.append(f"No row has the label {shown}: it can be neither learned nor tested.")
    for role in ROLES:
        absent = [n for i, n in enumerate(names) if not counts[role][i] and n not in never]
        if splits[role] and absent:
            present = ", ".join(f"{n} {counts[role][i]:,}" for i, n in enumerate(names[:20]))
            notes.append(f"{role} has no example of {', '.join(absent[:20])} (counts: {present}).")
    return tuple(notes)


def _label_counts(labels: Sequence[Label], rows: Sequence[int]) -> Counter[Label]:
    vectors = (labels[i] for i in rows)
    return Counter(
        index
        for vector in vectors
        if isinstance(vector, tuple)
        for index, bit in enumerate(vector)
        if bit
    )


def _refuse_unseen(reading: Reading, splits: Mapping[Role, Sequence[int]], where: str) -> None:
    """Refuse classes that are scored but never trained."""
    labels, names = reading.examples.labels, reading.label_names
    trained = {labels[i] for i in splits["train"]}
    for role in ("validation", "test"):
        unseen = [i for i in splits[role] if labels[i] not in trained]
        if unseen:
            shown = show_rows(
                [reading.examples.ids[i] for i in unseen], [names[labels[i]] for i in unseen]
            )
            raise DataError(
                f"{len(unseen):,} rows of {role} have a label that train never shows: {shown}",
                where=where,
                why="a model cannot predict a class that it was not trained on",
                fix="bring training rows of that class, raise data.train_size, or remove the rows",
            )
