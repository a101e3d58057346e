"""From a recipe's `data` section to three splits of checked examples."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from workbench.data.columns import Columns
from workbench.data.duplicates import keys_of, overlap_notes, remove_duplicates
from workbench.data.examples import ROLES, Data, Role
from workbench.data.forms import FORMS, Form
from workbench.data.groups import Separated, group_note, groups_of, separate
from workbench.data.reading import Reading
from workbench.data.rows import BadRows, Rows, all_of, problems_of
from workbench.data.sources import read_source
from workbench.data.split_column import by_split_column
from workbench.data.splits import cut_splits
from workbench.errors import DataError, data_error
from workbench.recipe.catalogue import SINGLE
from workbench.recipe.schema import DataSpec
from workbench.recipe.tasks import TaskSpec


def load_data(spec: DataSpec, task: TaskSpec, seed: int = 0) -> Data:
    """Read, check, deduplicate and split the data that a recipe names, in the task's form.

    Args:
        seed: of the run, which draws the training rows where `train_draw` is run.

    Raises:
        DataError: the data cannot be trained or tested on; says where and what to do.
        AssetError: an embedded data set that is unknown or could not be fetched.
    """
    form = FORMS[task.name]
    found = by_split_column(read_source(spec, Columns.of(spec, task.label)), spec.split_column)
    for rows in found.values():
        if not rows.ids and not rows.problems:
            raise DataError("no rows", where=rows.where, fix="check the file and data.splits")
    reading, found = _read(form, found, spec, task)
    examples, provided = reading.examples, _ranges(found)
    keys = keys_of(examples)
    cut_sizes = {"validation": spec.validation_size, "test": spec.test_size}
    cut = any(size is not None and role not in provided for role, size in cut_sizes.items())
    kept = remove_duplicates(examples, keys, provided, spec.duplicates, cut=cut, where=spec.source)
    groups = examples.groups
    apart = separate(kept.rows, groups, spec.source) if groups else Separated(kept.rows)
    splits = cut_splits(
        examples.ids,
        examples.labels if task.kind == SINGLE else None,
        apart.rows,
        spec,
        groups=groups,
        seed=seed,
        removed=kept.removed + apart.removed,
        where=spec.source,
    )
    notes_of_task = form.check(reading, splits, spec, task)
    train, validation, test = (examples.select(splits[role]) for role in ROLES)
    ids = [train.ids, validation.ids, test.ids]
    notes_of_rows = dict.fromkeys(note for rows in found.values() for note in rows.notes)
    notes = [*notes_of_rows, *reading.notes, *kept.notes, *apart.notes]
    notes += [group_note(splits, groups, str(spec.group))] if groups else []
    return Data(
        train=train,
        validation=validation,
        test=test,
        label_names=reading.label_names,
        content_hash=_content_hash(reading, form, provided),
        split_hash=_hash(ids),
        comparable_split=_hash([len(train), *ids[1:]] if spec.train_draw == "run" else ids),
        duplicates_removed=kept.removed,
        notes=(*notes, *overlap_notes(examples, keys, splits), *notes_of_task),
    )


def _read(
    form: Form, found: Mapping[Role, Rows], spec: DataSpec, task: TaskSpec
) -> tuple[Reading, Mapping[Role, Rows]]:
    """The rows as examples, and those rows.

    Rows with a problem are left out and the others read again, until no further one is found.

    Raises:
        DataError: every problem, in one report; none of rows that `data.unusable_rows` drops,
            unless these are more than the others.
    """
    dropped: list[BadRows] = []
    problems = [problem for rows in found.values() for problem in rows.problems]
    reading, first = None, True
    while reading is None and all(rows.ids for rows in found.values()):
        try:
            reading = _read_once(form, found, spec, task)
        except DataError as error:
            # What is not about single rows would only be said again.
            new = [p for p in problems_of(error) if first or isinstance(p, BadRows)]
            drop = [p for p in new if isinstance(p, BadRows) and spec.unusable_rows == "drop"]
            dropped += drop
            problems, first = problems + [p for p in new if p not in drop], False
            bad = {row_id for p in new if isinstance(p, BadRows) for row_id in p.ids}
            if not bad:
                break
            found = {role: rows.without(bad) for role, rows in found.items()}
    left = sum(len(rows.ids) for rows in found.values())
    if len({row_id for problem in dropped for row_id in problem.ids}) >= left:
        problems = [*dropped, *problems]
    if problems or reading is None:
        raise data_error(problems or dropped)
    notes = tuple(f"Left out as data.unusable_rows says: {each.what}." for each in dropped)
    return replace(reading, notes=(*notes, *reading.notes)), found


def _read_once(form: Form, found: Mapping[Role, Rows], spec: DataSpec, task: TaskSpec) -> Reading:
    column = spec.group
    if column is None:
        return form.read(found, spec, task)
    reading: Reading
    reading, groups = all_of(lambda: form.read(found, spec, task), lambda: groups_of(found, column))
    return replace(reading, examples=replace(reading.examples, groups=groups))


def _ranges(splits: Mapping[Role, Rows]) -> dict[Role, range]:
    """Which rows of the joined table each provided split is."""
    ranges: dict[Role, range] = {}
    start = 0
    for role, rows in splits.items():
        ranges[role] = range(start, start + len(rows.ids))
        start += len(rows.ids)
    return ranges


def _content_hash(reading: Reading, form: Form, provided: Mapping[Role, Sequence[int]]) -> str:
    """Hash of the rows as read; the same for the same rows in csv and in parquet."""
    examples = reading.examples
    digest = hashlib.sha256()
    for role, rows in provided.items():
        digest.update(f"{role} {len(rows)}\n".encode())
        for i in rows:
            pair = examples.pairs[i] if examples.pairs else None
            label = form.as_hashed(examples.labels[i], reading.label_names)
            row = [examples.texts[i], pair, label]
            if examples.parts is not None:
                row.append(examples.parts[i])
            digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
