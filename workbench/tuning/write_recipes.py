"""The recipes that a search ends in: a study's folder with the values that were found."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.errors import StorageError, UsageError
from workbench.recipe import Recipe, load_recipe
from workbench.recipe.schema import check_name
from workbench.recipe.suggest import shown
from workbench.recipe.yaml_reader import dump
from workbench.tuning.space import with_values
from workbench.tuning.trials import Tuning

BASE = "_base.yaml"
WIDTH = 100


def check_target(folder: Path, recipes: Sequence[Recipe]) -> None:
    """Refuses (UsageError) a folder that cannot be written to, before anything is trained."""
    names = [recipe.name for recipe in recipes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        what = f"several recipes are called {', '.join(twice)}"
        raise UsageError(what, where="--output", fix="tune one study at a time")
    if folder.exists() and not folder.is_dir():
        raise UsageError("is a file, not a folder", where=str(folder), fix="name another")
    there = [name for name in (BASE, *(f"{n}.yaml" for n in names)) if (folder / name).exists()]
    if there:
        raise UsageError(
            f"{', '.join(there)} would be overwritten", where=str(folder), fix="name a new folder"
        )
    check_name(folder.resolve().name, where=str(folder))  # the study is called after its folder


def write_recipes(folder: Path, tunings: Sequence[Tuning]) -> list[Path]:
    """Writes the best found values of each search as a recipe; those without one are left out. A
    file that has come to be there meanwhile is a UsageError."""
    found = [tuning for tuning in tunings if tuning.best is not None]
    if not found:
        return []
    documents = [_document(tuning) for tuning in found]
    base = _shared(documents) if len(documents) > 1 else {}
    folder.mkdir(parents=True, exist_ok=True)
    if base:
        _write(folder / BASE, "# What the tuned recipes of this study share.\n" + dump(base))
    written = []
    for tuning, document in zip(found, documents, strict=True):
        own = _without(document, base)
        content = {"base": BASE, **own} if base else own
        path = folder / f"{tuning.recipe.name}.yaml"
        _write(path, _comment(tuning) + dump(content))
        assert tuning.best is not None
        wanted = with_values(tuning.recipe, tuning.best.values).fingerprint
        if load_recipe(path).fingerprint != wanted:  # a defect, never a user's
            raise AssertionError(f"{path} is not the recipe that was tuned")
        written.append(path)
    return written


def _document(tuning: Tuning) -> dict[str, Any]:
    """The tuned recipe without what its schema would fill in anyway."""
    assert tuning.best is not None
    recipe = with_values(tuning.recipe, tuning.best.values)
    recipe = recipe.model_copy(update={"tuning": tuning.spec()})
    document = recipe.model_dump(mode="json", exclude={"study", "name"}, exclude_defaults=True)
    # What a reader looks for first is written out, defaults and all.
    return document | {"method": recipe.method.model_dump(mode="json", exclude_none=True)}


def _shared(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What all documents say alike; of the training section key by key."""
    first, *others = documents
    shared = {
        key: value
        for key, value in first.items()
        if key not in ("training", "method", "description", "tuning")
        and all(other.get(key) == value for other in others)
    }
    training = {
        key: value
        for key, value in first.get("training", {}).items()
        if all(key in (o := other.get("training", {})) and o[key] == value for other in others)
    }
    return shared | ({"training": training} if training else {})


def _without(document: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in document.items() if base.get(key) != value}
    if "training" in own and "training" in base:
        shared = base["training"]
        own["training"] = {k: v for k, v in own["training"].items() if k not in shared}
    return own


def _comment(tuning: Tuning) -> str:
    best, spec = tuning.best, tuning.spec()
    assert best is not None and spec is not None
    tried = "; ".join(f"{key} in {wanted}" for key, wanted in spec.search.items())
    values = ", ".join(f"{key} = {shown(value)}" for key, value in best.values.items())
    trials = f"{spec.trials} trial{'s' if spec.trials > 1 else ''}"
    trials += f" ({spec.failed} failed)" if spec.failed else ""
    text = (
        f"Tuned by `workbench tune`: {values}. The best of {trials} "
        f"on validation, {spec.metric} {spec.score:.4g}, with seed {spec.seed}. Tried: {tried}. "
        "That score chose the values and flatters them; run the recipe for one to report."
    )
    return "".join(f"# {line}\n" for line in textwrap.wrap(text, WIDTH - 2))


def _write(path: Path, text: str) -> None:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError("would be overwritten", where=str(path), fix="name a new folder") from None
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=str(path)) from None
