"""From files to recipes, with every problem of every file in one report."""

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workbench.errors import Problem, RecipeError
from workbench.recipe import rules, yaml_reader
from workbench.recipe.base import Finding
from workbench.recipe.explain import explain
from workbench.recipe.layers import OVERRIDE, Bases, read_layers
from workbench.recipe.renamed import as_today, old_names
from workbench.recipe.schema import Recipe
from workbench.recipe.suggest import choice
from workbench.recipe.yaml_reader import Document, KeyPath, Place, key_text

SUFFIXES = (".yaml", ".yml")
PathLike = str | Path


def load_recipe(path: PathLike, overrides: Iterable[str] = ()) -> Recipe:
    """Loads one recipe file.

    Args:
        path: a file, or the name of a shipped recipe such as ``bbc-news/lora``.
        overrides: ``key.path=value`` strings that win over the file.

    Raises:
        RecipeError: with every problem of the file, its base and the overrides.
    """
    files = find_recipes(path)
    if len(files) != 1:
        what = f"holds {len(files)} recipes, and one is needed"
        raise RecipeError([Problem(file=str(path), what=what, fix="name one of its files")])
    recipe, problems = _load(files[0], tuple(overrides), {})
    if recipe is None or problems:
        raise RecipeError(problems)
    return recipe


def load_recipes(
    paths: PathLike | Iterable[PathLike], overrides: Iterable[str] = ()
) -> list[Recipe]:
    """Loads the recipes of files, folders and shipped studies, each file once.

    Local models and data have to exist too, for these recipes are about to be used.

    Raises:
        RecipeError: with every problem of every file.
    """
    overrides = tuple(overrides)
    problems: list[Problem] = []
    files: dict[Path, Path] = {}
    for path in [paths] if isinstance(paths, str | Path) else paths:
        try:
            files |= {file.resolve(): file for file in find_recipes(path)}
        except RecipeError as error:
            problems += error.problems
    recipes: list[Recipe] = []
    bases: Bases = {}
    taken: dict[tuple[str, str], Path] = {}
    for file in files.values():
        recipe, found = _load(file, overrides, bases, sources_must_exist=True)
        problems += found
        if recipe is None:
            continue
        recipes.append(recipe)
        if (first := taken.setdefault((recipe.study, recipe.name), file)) is not file:
            what = f"{recipe.study}/{recipe.name} is also the name of {first}"
            problems.append(
                Problem(file=str(file), key="name", what=what, fix="write another `name:`")
            )
    if problems:
        raise RecipeError(list(dict.fromkeys(problems)))
    return recipes


def readable_recipes(path: PathLike) -> tuple[dict[Path, Recipe], list[Problem]]:
    """The recipes below a path that can be read, by their files, and what is wrong with the others.

    Raises:
        RecipeError: when there is no such path, or no recipe in it.
    """
    bases: Bases = {}
    recipes: dict[Path, Recipe] = {}
    problems: list[Problem] = []
    for file in find_recipes(path):
        recipe, found = _load(file, (), bases)
        problems += found
        if recipe is not None and not found:
            recipes[file] = recipe
    return recipes, list(dict.fromkeys(problems))


def find_recipes(path: PathLike) -> list[Path]:
    """The recipe files that a file, a folder or a shipped name such as ``bbc-news`` stands for.

    In a folder these are the YAML files below it whose names do not start with ``_`` (a base) or
    ``.``, in order of their paths.

    Raises:
        RecipeError: when there is no such path, or no recipe in it.
    """
    target = Path(path)
    if not target.exists():
        target = _shipped(str(path))
    if target.is_file():
        if target.name.startswith("_"):
            what = "is a base, not a recipe"
            fix = "name a recipe that is built on it, or the whole folder"
            raise RecipeError([Problem(file=str(path), what=what, fix=fix)])
        return [target]
    files = sorted(p for suffix in SUFFIXES for p in target.rglob(f"*{suffix}") if p.is_file())
    hidden = {p for p in files if any(part[0] == "." for part in p.relative_to(target).parts)}
    found = [p for p in files if not p.name.startswith("_") and p not in hidden]
    if not found:
        raise RecipeError([Problem(file=str(path), what="holds no recipe (*.yaml)")])
    return found


def recipes_dir() -> Path:
    """The folder of the recipes that come with the workbench."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def stored_recipe(text: str, file: str) -> Recipe:
    """The recipe that this version or an older one has stored as YAML; ``file`` is for messages.

    Raises:
        RecipeError: with every problem of it.
    """
    document, problems = yaml_reader.read_text(text, file)
    values = as_today(document.values)
    recipe, found = (None, problems) if problems else build(values, document.places, file)
    if recipe is None or found:
        raise RecipeError(found)
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML; loading it gives an equal recipe with the same fingerprint."""
    return yaml_reader.dump(recipe.model_dump(mode="json"))


def build(
    values: dict[str, Any], places: dict[KeyPath, Place] | None = None, file: str = "recipe"
) -> tuple[Recipe | None, list[Problem]]:
    """The recipe in a mapping, such as the values of a form, and everything wrong with it."""
    document = Document(values, places or {})
    renamed = [
        Finding(path, f"`{old}` was renamed", f"write {new}")
        for path, old, new in old_names(values)
    ]
    values = as_today(values) if renamed else values
    recipe, findings = _validate(values)
    if recipe is not None:
        findings += rules.check_rules(recipe)
    else:
        findings += _rules_of_the_rest(values, findings)
    return recipe, [_located(finding, document, file) for finding in renamed + findings]


def _load(
    file: Path, overrides: tuple[str, ...], bases: Bases, *, sources_must_exist: bool = False
) -> tuple[Recipe | None, list[Problem]]:
    document, problems = read_layers(file, overrides, bases)
    if any(p.key in ("", "base") and p.file != OVERRIDE for p in problems):
        return None, problems  # not readable: more complaints would only hide the reason
    values = {"study": file.resolve().parent.name, "name": file.stem, **document.values}
    recipe, found = build(values, document.places, str(file))
    if recipe is not None and sources_must_exist:
        missing = rules.missing_local_source(recipe)
        found += [_located(finding, document, str(file)) for finding in missing]
    unread = {p.key for p in problems}  # a value that could not be read is no further problem
    return recipe, problems + [p for p in found if p.key not in unread]


def _validate(values: dict[str, Any]) -> tuple[Recipe | None, list[Finding]]:
    try:
        recipe = Recipe.model_validate(values, strict=True)
    except ValidationError as error:
        return None, explain(error.errors(include_url=False, include_context=False), values)
    # a second pass turns a default written as 16 into the 16.0 that a file's `16` becomes, so
    # that a value gives the same fingerprint whether it was written out or left to the default
    return Recipe.model_validate(recipe.model_dump(), strict=True), []


def _rules_of_the_rest(values: dict[str, Any], broken: Sequence[Finding]) -> list[Finding]:
    """Findings of the rules on a recipe without its broken keys, those about them left out."""
    rest = copy.deepcopy(values)
    paths = [finding.path for finding in broken]
    for path in sorted(paths, key=len, reverse=True):
        _drop(rest, path)
    recipe, _ = _validate(rest)
    if recipe is None:
        return []

    def touched(path: KeyPath) -> bool:
        return any(path[: len(p)] == p or p[: len(path)] == path for p in paths)

    findings = rules.check_rules(recipe)
    return [f for f in findings if not any(touched(path) for path in (f.path, *f.others))]


def _drop(values: Any, path: KeyPath) -> None:
    *parents, last = path
    for part in parents:
        if isinstance(values, list) and isinstance(part, int):
            values = values[part]
        else:
            values = values.get(part) if isinstance(values, dict) else None
    if isinstance(values, dict):
        values.pop(last, None)
    elif isinstance(values, list):
        values.clear()  # an item of a list cannot go without moving the others


def _located(finding: Finding, document: Document, file: str) -> Problem:
    for length in range(len(finding.path), 0, -1):
        if place := document.places.get(finding.path[:length]):
            break
    else:
        place = Place(file)
    key = key_text(finding.path)
    return Problem(**place._asdict(), key=key, what=finding.what, fix=finding.fix)


def _shipped(name: str) -> Path:
    root = recipes_dir()
    for candidate in (root / name, *(root / f"{name}{suffix}" for suffix in SUFFIXES)):
        if name and candidate.resolve().is_relative_to(root) and candidate.exists():
            return candidate
    studies = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    study, slash, _ = name.partition("/")
    if slash and study in studies:
        studies = [f"{study}/{p.stem}" for p in find_recipes(root / study)]
    what = "no such file or folder, and no shipped recipe of that name"
    raise RecipeError([Problem(file=name, what=what, fix=choice(name, studies))])
