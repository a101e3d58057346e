"""Cutting rows into train, validation and test: seeded, disjoint, stratified.

A row's place in the draw is a hash of seed, split and row id, not a random number generator's
output, so that a split is the same on every machine and with every library version.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from workbench.data.examples import Label, Role
from workbench.data.groups import Groups, class_of_group, whole_groups
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec

Size = int | float | None


def cut_splits(
    ids: Sequence[str],
    strata: Sequence[Label] | None,
    provided: Mapping[Role, Sequence[int]],
    spec: DataSpec,
    *,
    groups: Groups | None = None,
    seed: int = 0,
    removed: int,
    where: str,
) -> dict[Role, list[int]]:
    """Row indices of each split, in the order of the source.

    Test is cut first, then validation, then train, so that another `train_size` never changes
    what is tested. Shares are of the rows of the split that is cut, before anything is cut.

    Args:
        ids: of all rows.
        strata: class of each row; None to draw without regard to labels.
        provided: indices of the splits that the source has itself; train always.
        groups: of all rows, each on one side; sizes are then as near as they allow.
        seed: of the run; with `train_draw: run` it decides which rows `train_size` keeps.
        removed: duplicates left out before, for the arithmetic of a refusal.

    Raises:
        DataError: there are not enough rows, or nothing would be left to train or test on.
    """
    left = list(provided["train"])
    sizes = _sizes(left, provided, spec, removed=removed, where=where)
    splits: dict[Role, list[int]] = {}
    for role in ("test", "validation"):
        if role in provided:
            splits[role] = list(provided[role])
            continue
        salt = f"{spec.split_seed}/{role}"
        drawn = _draw(left, sizes[role], ids, strata, salt, groups=groups, leave=1)
        if sizes[role] and not drawn:
            raise _no_group(role, sizes[role], left, groups or (), where)
        splits[role] = sorted(drawn)
        left = [i for i in left if i not in drawn]
    size = len(left) if spec.train_size is None else sizes["train"]
    salt = f"{spec.split_seed}/train"
    if spec.train_draw == "run":
        drawn = draw_nested(left, size, ids, strata, f"{salt}/{seed}", groups=groups)
    else:
        drawn = _draw(left, size, ids, strata, salt, groups=groups, at_least=1)
    if not drawn:
        raise _no_group("train", size, left, groups or (), where)
    splits["train"] = sorted(drawn)
    return splits


def _no_group(role: Role, size: int, left: Sequence[int], groups: Groups, where: str) -> DataError:
    there = len({groups[i] for i in left})
    return DataError(
        f"no group of data.group for {role}: {size:,} rows asked, and {len(left):,} rows left in "
        f"{there:,} groups",
        where=where,
        why="rows of one group stay together, and the last group of a class is left to train on",
        fix="ask for more rows, name a column with smaller groups in data.group, or bring more "
        "groups",
    )


def _sizes(
    pool: Sequence[int],
    provided: Mapping[Role, Sequence[int]],
    spec: DataSpec,
    *,
    removed: int,
    where: str,
) -> dict[Role, int]:
    """How many rows to draw for each split; 0 where the source provides it."""
    asked: dict[Role, Size] = {
        "test": None if "test" in provided else spec.test_size,
        "validation": None if "validation" in provided else spec.validation_size,
    }
    if "test" not in provided and spec.test_size is None:
        raise DataError(
            "no test split",
            where=where,
            why="data.test_size is null and data.splits names none",
            fix="set data.test_size, or data.splits.test if the source has one",
        )
    sizes = {role: _rows(size, len(pool)) for role, size in asked.items()}
    left = len(pool) - sum(sizes.values())
    sizes["train"] = left if spec.train_size is None else _rows(spec.train_size, len(pool))
    if left < 1 or sizes["train"] > left:
        raise DataError(
            _arithmetic(asked | {"train": spec.train_size}, sizes, len(pool), removed),
            where=where,
            why="train, validation and test may not share rows",
            fix="ask for less in data.train_size, data.validation_size or data.test_size, or "
            "bring more rows",
        )
    return sizes


def _rows(size: Size, available: int) -> int:
    if size is None:
        return 0
    # 0.29 * 100 is 28.999999999999996.
    return size if isinstance(size, int) else max(1, math.floor(size * available + 1e-9))


def _arithmetic(
    asked: Mapping[Role, Size], sizes: Mapping[Role, int], available: int, removed: int
) -> str:
    parts = []
    for role in ("train", "validation", "test"):
        size = asked[role]
        if size is None:
            continue
        share = f" ({size} of {available:,})" if isinstance(size, float) else ""
        parts.append(f"{sizes[role]:,} for {role}{share}")
    if asked["train"] is None:
        parts.insert(0, "at least 1 for train")
    read = f"{available + removed:,} read, {removed:,} duplicates left out"
    return f"{' + '.join(parts)} asked, but there are {available:,} rows ({read})"


def _draw(
    candidates: Sequence[int],
    size: int,
    ids: Sequence[str],
    strata: Sequence[Label] | None,
    salt: str,
    *,
    groups: Groups | None,
    leave: int = 0,
    at_least: int = 0,
) -> set[int]:
    """Draw `size` of the candidates; each class in proportion, as far as counts allow.

    Args:
        leave: rows of a class that stay behind where possible, so that it can be trained on.
        at_least: rows of a class that are drawn where possible.
    """
    ranked = _ranked(candidates, ids if groups is None else groups, salt)
    if strata is None and groups is None:
        return set(ranked[:size])
    of_row = strata if groups is None else class_of_group(candidates, groups, strata)
    assert of_row is not None
    found: dict[Label, list[int]] = defaultdict(list)
    for i in ranked:
        found[of_row[i]].append(i)
    classes = dict(sorted(found.items()))
    counts = {label: len(rows) for label, rows in classes.items()}
    quotas = _quotas(counts, size, leave=leave, at_least=at_least)
    if groups is not None:
        return whole_groups(classes, quotas, groups, leave=leave)
    return {i for label, rows in classes.items() for i in rows[: quotas[label]]}


def _ranked(candidates: Sequence[int], units: Sequence[str], salt: str) -> list[int]:
    """The candidates by the hash of what they are drawn with: themselves, or their group."""
    return sorted(candidates, key=lambda i: hashlib.sha256(f"{salt}/{units[i]}".encode()).digest())


def draw_nested(
    candidates: Sequence[int],
    size: int,
    ids: Sequence[str],
    strata: Sequence[Label] | None,
    salt: str,
    *,
    groups: Groups | None,
) -> set[int]:
    """Draw `size` of the candidates so that a smaller draw is part of a larger one.

    One of each class comes first, the most frequent first; from then on the next is always of the
    class that lags furthest behind its share (Webster's method of dividing seats, in which, other
    than with largest remainders, no class loses one when there are more). Groups stay whole, and
    are drawn as long as they fit.
    """
    units = ids if groups is None else groups
    ranked = _ranked(candidates, units, salt)
    of_row = dict.fromkeys(candidates, 0) if strata is None else {i: strata[i] for i in candidates}
    if groups is not None:
        of_row = class_of_group(candidates, groups, strata)
    members: dict[str, list[int]] = defaultdict(list)
    for i in ranked:
        members[units[i]].append(i)
    classes: dict[Label, list[str]] = defaultdict(list)
    for unit, rows in members.items():
        classes[of_row[rows[0]]].append(unit)
    turns = [
        (0.0 if k == 0 else (2 * k + 1) / len(found), -len(found), label, unit)
        for label, found in classes.items()
        for k, unit in enumerate(found)
    ]
    drawn: list[int] = []
    for *_, unit in sorted(turns):
        if len(drawn) + len(members[unit]) > size:
            break
        drawn += members[unit]
    return set(drawn)


def _quotas(
    counts: Mapping[Label, int], size: int, *, leave: int, at_least: int
) -> dict[Label, int]:
    """Largest remainders, within bounds per class; bounds yield if the size needs it."""
    total = sum(counts.values())
    ideal = {label: size * count / total for label, count in counts.items()}
    low = {label: min(at_least, count) for label, count in counts.items()}
    high = {label: max(count - leave, low[label]) for label, count in counts.items()}
    if sum(low.values()) > size:
        low = dict.fromkeys(counts, 0)
    if sum(high.values()) < size:
        high = dict(counts)
    quotas = {c: min(max(math.floor(ideal[c]), low[c]), high[c]) for c in counts}
    while (gap := size - sum(quotas.values())) != 0:
        step = 1 if gap > 0 else -1
        open_ = [c for c in counts if low[c] <= quotas[c] + step <= high[c]]
        # sorted() is stable, so classes with equal remainders are taken in label order.
        for c in sorted(open_, key=lambda c: step * (quotas[c] - ideal[c]))[: abs(gap)]:
            quotas[c] += step
    return quotas
