"""Rules between the keys of a recipe, and between the recipes of a study.

Each finding says what was found and how to put it right; all of them are collected.
"""

import codecs
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from workbench.assets import ASSETS
from workbench.recipe.base import Finding, repeated
from workbench.recipe.model_spec import WEIGHT_FORMAT
from workbench.recipe.schema import Recipe, Size
from workbench.recipe.sources import ASSET_PREFIX, is_hub_id, is_local, is_table
from workbench.recipe.suggest import choice, did_you_mean, shown
from workbench.recipe.task_rules import task_findings


def check_rules(recipe: Recipe) -> list[Finding]:
    """Everything about a well-formed recipe that cannot be run or would mislead."""
    return [
        *_names(recipe),
        *task_findings(recipe),
        *_sources(recipe),
        *_splits(recipe),
        *_sizes(recipe),
        *_encodings(recipe),
        *_training(recipe),
        *_weight_format(recipe),
        *recipe.method.findings(),
        *repeated(("seeds",), recipe.seeds),
    ]


_DEVICES = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(1, 10))}
"""Names that Windows takes for a device, with any suffix:
https://learn.microsoft.com/windows/win32/fileio/naming-a-file"""


def _names(recipe: Recipe) -> Iterator[Finding]:
    for key in ("study", "name"):
        name: str = getattr(recipe, key)
        if name.partition(".")[0].lower() in _DEVICES or name.endswith("."):
            what = f"{shown(name)} cannot be the name of a folder on Windows"
            yield Finding((key,), what, "take another, so that runs can be moved to any machine")


def _sources(recipe: Recipe) -> Iterator[Finding]:
    for section, kind in (("model", "model"), ("data", "data")):
        spec: Any = getattr(recipe, section)
        source: str = spec.source
        path = (section, "source")
        on_hub = not is_local(source) and not source.startswith(ASSET_PREFIX)
        if source.startswith(ASSET_PREFIX):
            yield from _asset(path, source.removeprefix(ASSET_PREFIX), kind)
        elif on_hub and not is_hub_id(source):
            what = f"{shown(source)} is neither a Hub id (owner/name) nor asset:NAME nor a path"
            yield Finding(path, what, "start a path with ./ or write it in full")
        for key in ("revision", "config"):
            if getattr(spec, key, None) is not None and not on_hub:
                what = f"only a Hub source has a {key}; the source is {shown(source)}"
                yield Finding((section, key), what, "remove it", (path,))


def _asset(path: tuple[str, str], name: str, kind: str) -> Iterator[Finding]:
    usable = [key for key, asset in ASSETS.items() if asset.kind == kind]
    if name not in ASSETS:
        yield Finding(path, f"no embedded {kind} called {shown(name)}", choice(name, usable))
    elif name not in usable:
        what = f"asset:{name} is a {ASSETS[name].kind} asset, not a {kind} asset"
        yield Finding(path, what, f"one of: {', '.join(usable)}")


def _splits(recipe: Recipe) -> Iterator[Finding]:
    data, splits = recipe.data, recipe.data.splits
    source = (("data", "source"),)
    if splits is None:
        return
    if data.split_column is not None:
        what = "not with data.splits, which says already where each split is"
        yield Finding(("data", "split_column"), what, "remove one of them", (("data", "splits"),))
    if data.source.startswith(ASSET_PREFIX) or is_table(data.source):
        what = f"{shown(data.source)} has no splits of its own"
        fix = "remove it; train_size, validation_size and test_size cut the splits"
        yield Finding(("data", "splits"), what, fix, source)
    named = [("train", splits.train), ("validation", splits.validation), ("test", splits.test)]
    seen: dict[str, str] = {}
    for key, name in named:
        if name is not None and name in seen:
            what = f"{shown(name)} is already the {seen[name]} split"
            yield Finding(("data", "splits", key), what, "use another, or null to cut one")
        elif name is not None:
            seen[name] = key


def _sizes(recipe: Recipe) -> Iterator[Finding]:
    data, training = recipe.data, recipe.training
    column = data.split_column is not None  # what it holds is seen in the data
    own_test = column or data.splits is not None and data.splits.test is not None
    own_validation = column or data.splits is not None and data.splits.validation is not None
    if data.test_size is None and not own_test:
        fix = "set data.test_size, or data.splits.test"
        yield Finding(("data", "test_size"), "no test split", fix, (("data", "splits"),))
    if data.validation_size is None and not own_validation:
        for key, wants in (
            ("keep", "best" if training.keep == "best" else None),
            ("early_stopping_patience", training.early_stopping_patience),
        ):
            if wants is not None:
                what = f"{shown(wants)} needs a validation split and there is none"
                fix = "set data.validation_size (or data.splits.validation)"
                fix += ", or keep: last" if key == "keep" else ", or remove it"
                needs = (("data", "validation_size"), ("data", "splits"))
                yield Finding(("training", key), what, fix, needs)
    if data.train_draw == "run" and data.train_size is None:
        what = "there is nothing to draw: train_size is null"
        yield Finding(("data", "train_draw"), what, "set data.train_size, or remove it")
    cut: list[tuple[str, Size | None]] = [("train_size", data.train_size)]
    if not own_validation:
        cut.append(("validation_size", data.validation_size))
    if not own_test:
        cut.append(("test_size", data.test_size))
    shares = [(key, size) for key, size in cut if isinstance(size, float)]
    total = sum(size for _, size in shares)
    limit_met = total < 1 or (total <= 1 and isinstance(data.train_size, float))
    if not limit_met:
        what = f"{' + '.join(key for key, _ in shares)} = {total:g} leaves nothing to train on"
        if isinstance(data.train_size, float):
            what = f"{' + '.join(key for key, _ in shares)} = {total:g}, more than there is"
        others = tuple(("data", key) for key, _ in cut)
        yield Finding(("data", shares[-1][0]), what, "make the shares smaller", others)


def _encodings(recipe: Recipe) -> Iterator[Finding]:
    for key in ("encoding", "encoding_fallback"):
        name = getattr(recipe.data, key)
        try:
            if name is not None:
                codecs.lookup(name)
        except (LookupError, ValueError):
            fix = did_you_mean(name, ("utf-8", "latin-1", "cp1252", "utf-16")) or "e.g. utf-8"
            yield Finding(("data", key), f"no encoding called {shown(name)}", fix)


def _training(recipe: Recipe) -> Iterator[Finding]:
    training, method = recipe.training, recipe.method
    micro = training.micro_batch_size
    if micro is not None and micro > training.batch_size:
        what = f"{micro} is more than batch_size ({training.batch_size})"
        fix = "batch_size counts all examples of an optimizer step; make it at least as large"
        others = (("training", "batch_size"),)
        yield Finding(("training", "micro_batch_size"), what, fix, others)
    if training.gradient_checkpointing and method.feeds_cache:
        what = (
            f"not with method {method.name}: recomputation drops the prefix's keys and values, "
            "so that nothing would be trained"
        )
        yield Finding(("training", "gradient_checkpointing"), what, "remove it")


def _weight_format(recipe: Recipe) -> Iterator[Finding]:
    model, method = recipe.model, recipe.method
    quantization = (("model", "quantization"),)
    kinds = {"double_quantization": ["nf4"], "compute_dtype": ["nf4"]}
    for key, needs in (kinds | {"quantization_skip": ["nf4", "int8"]}).items():
        asked = getattr(model, key) != type(model).model_fields[key].default
        if asked and model.quantization not in needs:
            what = f"only used with quantization: {' or '.join(needs)}; it is {model.quantization}"
            yield Finding(("model", key), what, "remove it", quantization)
    yield from repeated(("model", "quantization_skip"), model.quantization_skip)
    if model.quantization != "none" and method.changes_base:
        what = (
            f"{model.quantization} weights are frozen, and {method.name} trains "
            f"{method.changes_base}"
        )
        fix = "take a method that leaves the base as it is, e.g. lora, or quantization: none"
        yield Finding(quantization[0], what, fix, (("method",),))
    if model.reduced and getattr(method, "init", "") in ("pissa", "olora"):
        what = (
            f"{method.model_dump()['init']} takes its start out of the base's weights, which "
            f"{model.weight_format.split()[0]} rounds"
        )
        yield Finding(("method", "init"), what, "set method.init: default", quantization)


def missing_local_source(recipe: Recipe) -> Iterator[Finding]:
    """The local model or data of a recipe that is not there."""
    for section in ("model", "data"):
        source = getattr(recipe, section).source
        if is_local(source) and not Path(source).exists():
            what = f"no such file or folder: {source}"
            yield Finding((section, "source"), what, "paths count from the file they are in")


def comparability_warnings(recipes: Sequence[Recipe]) -> list[str]:
    """What keeps the recipes of one study from being compared with each other: those of each weight
    format among themselves, and one format with another by the recipes that are alike otherwise."""
    warnings = []
    first: dict[tuple[str, str], Recipe] = {}
    for recipe in recipes:
        reference = first.setdefault((recipe.study, recipe.model.weight_format), recipe)
        for section in ("task", "model", "data"):
            mine = getattr(recipe, section).model_dump()
            theirs = getattr(reference, section).model_dump()
            free = {"task": recipe.task.training_only, "model": WEIGHT_FORMAT}.get(section, ())
            for key in (key for key in mine if mine[key] != theirs.get(key) and key not in free):
                warnings.append(
                    f"{recipe.study}: {recipe.name} has {section}.{key} {shown(mine[key])}, "
                    f"{reference.name} has {shown(theirs.get(key))}: these two cannot be compared"
                )
    return [*warnings, *_formats_apart(recipes)]


def _formats_apart(recipes: Sequence[Recipe]) -> Iterator[str]:
    """Recipes of a study that no other recipe can be set beside, as their weights differ."""
    for recipe in recipes:
        mine = recipe.model.weight_format
        others = [r for r in recipes if r.study == recipe.study and r is not recipe]
        apart = [r for r in others if r.model.weight_format != mine]
        if apart and len(apart) == len(others) and not any(_twins(recipe, r) for r in apart):
            yield (
                f"{recipe.study}: {recipe.name} has its base in {recipe.model.weight_words}, "
                f"{apart[0].name} in {apart[0].model.weight_words}: these two cannot be compared"
            )


def _twins(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes differ in the format of their weights alone."""
    aside: dict[str, Any] = {
        "model": set(WEIGHT_FORMAT),
        "study": True,
        "name": True,
        "description": True,
    }
    return one.model_dump(exclude=aside) == other.model_dump(exclude=aside)
