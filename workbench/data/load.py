"""From a recipe's `data` section to three splits of checked, labelled texts."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from workbench.data.duplicates import keys_of, overlap_notes, remove_duplicates
from workbench.data.examples import ROLES, Data, Examples, Label, Role
from workbench.data.labels import map_labels
from workbench.data.rows import Rows, checked_texts, show_rows
from workbench.data.sources import read_source
from workbench.data.splits import cut_splits
from workbench.errors import DataError
from workbench.recipe.catalogue import MULTI, REGRESSION, SINGLE, ProblemType
from workbench.recipe.schema import DataSpec, TextClassification


def load_data(spec: DataSpec, task: TextClassification) -> Data:
    """Read, check, deduplicate and split the data that a recipe names.

    Raises:
        DataError: the data cannot be trained or tested on; says where and what to do.
        AssetError: an embedded data set that is unknown or could not be fetched.
    """
    source = read_source(spec)
    for rows in source.splits.values():
        if not rows.ids:
            raise DataError("no rows", where=rows.where, fix="check the file and data.splits")
    labels, names = map_labels(source.splits, spec, task)
    examples, pair_notes = _joined(source.splits, labels, spec)
    provided = _ranges(source.splits)
    keys = keys_of(examples)
    cut_sizes = {"validation": spec.validation_size, "test": spec.test_size}
    cut = any(size is not None and role not in provided for role, size in cut_sizes.items())
    kept = remove_duplicates(examples, keys, provided, spec.duplicates, cut=cut, where=spec.source)
    splits = cut_splits(
        examples.ids,
        labels if task.problem_type == SINGLE else None,
        kept.rows,
        spec,
        removed=kept.removed,
        where=spec.source,
    )
    class_notes = _check_classes(examples, splits, names, task.problem_type, spec.source)
    train, validation, test = (examples.select(splits[role]) for role in ROLES)
    return Data(
        train=train,
        validation=validation,
        test=test,
        label_names=names,
        content_hash=_content_hash(examples, names, provided),
        split_hash=_hash([train.ids, validation.ids, test.ids]),
        duplicates_removed=kept.removed,
        notes=(
            *source.notes,
            *pair_notes,
            *kept.notes,
            *overlap_notes(examples, keys, splits),
            *class_notes,
        ),
    )


def _joined(
    splits: Mapping[Role, Rows], labels: Sequence[Label], spec: DataSpec
) -> tuple[Examples, tuple[str, ...]]:
    """All rows as one table, its texts checked, and a note if second texts are empty."""
    ids: list[str] = []
    texts: list[str] = []
    pairs: list[str] = []
    for rows in splits.values():
        # Bytes of file names that are no valid Unicode would break hashes and files of ours.
        ids += [i.encode("utf-8", "backslashreplace").decode("utf-8") for i in rows.ids]
        texts += checked_texts(rows, spec.text, rows.texts)
        if spec.text_pair and rows.pairs is not None:
            # Two rows of GLUE's QQP have an empty second question (huggingface/datasets #277).
            pairs += checked_texts(rows, spec.text_pair, rows.pairs, allow_empty=True)
    empty = [i for i, pair in enumerate(pairs) if not pair.strip()]
    note = f"{len(empty):,} of {len(ids):,} rows have an empty {spec.text_pair!r}: " + show_rows(
        [ids[i] for i in empty], [pairs[i] for i in empty]
    )
    examples = Examples(
        ids=tuple(ids),
        texts=tuple(texts),
        pairs=tuple(pairs) if spec.text_pair else None,
        labels=tuple(labels),  # type: ignore[arg-type]  # map_labels returns one kind of label
    )
    return examples, (note,) if empty else ()


def _ranges(splits: Mapping[Role, Rows]) -> dict[Role, range]:
    """Which rows of the joined table each provided split is."""
    ranges: dict[Role, range] = {}
    start = 0
    for role, rows in splits.items():
        ranges[role] = range(start, start + len(rows.ids))
        start += len(rows.ids)
    return ranges


def _check_classes(
    examples: Examples,
    splits: Mapping[Role, Sequence[int]],
    names: Sequence[str],
    problem_type: ProblemType,
    where: str,
) -> tuple[str, ...]:
    """Notes on classes that a split lacks.

    Raises:
        DataError: train has one class (or number) only, or lacks a class that is tested.
    """
    labels = examples.labels
    in_train = {labels[i] for i in splits["train"]}
    if len(in_train) < 2:
        only = next(iter(in_train))
        shown = repr(names[only]) if problem_type == SINGLE and isinstance(only, int) else str(only)
        raise DataError(
            f"all {len(splits['train']):,} rows of train have the same label, {shown}",
            where=where,
            why="there is nothing to tell apart",
            fix="check data.label and the rows; with a small train_size raise it",
        )
    if problem_type == REGRESSION:
        return ()
    if problem_type == MULTI:
        counts = {role: _label_counts(labels, rows) for role, rows in splits.items()}
    else:
        counts = {r: Counter(labels[i] for i in rows) for r, rows in splits.items()}
        _refuse_unseen(examples, splits, names, where)
    notes = []
    for role in ROLES:
        absent = [name for index, name in enumerate(names) if not counts[role][index]]
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


def _refuse_unseen(
    examples: Examples, splits: Mapping[Role, Sequence[int]], names: Sequence[str], where: str
) -> None:
    """Refuse classes that are scored but never trained."""
    labels = examples.labels
    trained = {labels[i] for i in splits["train"]}
    for role in ("validation", "test"):
        unseen = [i for i in splits[role] if labels[i] not in trained]
        if unseen:
            shown = show_rows(
                [examples.ids[i] for i in unseen],
                [names[int(labels[i])] for i in unseen],  # type: ignore[arg-type]
            )
            raise DataError(
                f"{len(unseen):,} rows of {role} have a label that train never shows: {shown}",
                where=where,
                why="a model cannot predict a class that it was not trained on",
                fix="bring training rows of that class, raise data.train_size, or remove the rows",
            )


def _content_hash(
    examples: Examples, names: Sequence[str], provided: Mapping[Role, Sequence[int]]
) -> str:
    """Hash of texts and labels as read; the same for the same rows in csv and in parquet."""
    digest = hashlib.sha256()
    for role, rows in provided.items():
        digest.update(f"{role} {len(rows)}\n".encode())
        for i in rows:
            label = examples.labels[i]
            written: object = label
            if isinstance(label, tuple):
                written = sorted(n for n, bit in zip(names, label, strict=True) if bit)
            elif isinstance(label, int):
                written = names[label]
            pair = examples.pairs[i] if examples.pairs else None
            digest.update(json.dumps([examples.texts[i], pair, written]).encode() + b"\n")
    return digest.hexdigest()


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
