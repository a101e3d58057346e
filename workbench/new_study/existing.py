"""A study that is there: its recipes and runs, and what can be added to it."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from workbench.analysis.records import get_section, number
from workbench.errors import Problem, RecipeError, StorageError, UsageError
from workbench.new_study.draft import start_of
from workbench.new_study.write import BASE
from workbench.recipe import (
    Recipe,
    build,
    dump_recipe,
    load_recipe,
    readable_recipes,
    stored_recipe,
)
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.yaml_reader import dump
from workbench.store import RESUMABLE, Queue, Run, list_runs, read_whole, write_text

MADE_BY = "# Made by: "
_RUN = re.compile(r"(?P<recipe>.+)-s(?P<seed>\d+)-(?P<fingerprint>[0-9a-f]{8})")
_SEEDS = re.compile(r"^seeds:.*\n(?:[ \t-].*\n)*", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A recipe of a study as it was or is to be run: its runs by their seed."""

    name: str
    method: str
    fingerprint: str
    recipe: Recipe | None
    runs: Mapping[int, Run]

    @property
    def begun(self) -> float:
        """When the last of its runs was."""
        times = (number(run.status, "started_at") for run in self.runs.values())
        return max((each for each in times if each is not None), default=0.0)

    @cached_property
    def stored(self) -> Recipe | None:
        """The recipe: of the study's file, else of a run that holds it."""
        for run in () if self.recipe else self.runs.values():
            with suppress(RecipeError):
                return stored_recipe(run.recipe_text(), str(run.path / "recipe.yaml"))
        return self.recipe


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is known of a study.

    Attributes:
        folder: where its recipes are or would be; ``is_own`` when they are there.
        problems: of recipes that cannot be read.
    """

    name: str
    folder: Path
    is_own: bool
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def seeds(self) -> list[int]:
        planned = {seed for row in self.rows if row.recipe for seed in row.recipe.seeds}
        return sorted(planned.union(*(row.runs for row in self.rows)))

    @property
    def recipes(self) -> list[Recipe]:
        """What another seed would run, one of each name: the study's own, else of its last run."""
        found: dict[str, Recipe] = {}
        for row in sorted(self.rows, key=lambda row: (row.recipe is not None, row.begun)):
            if (recipe := row.stored) is not None:
                found[row.name] = recipe
        order = list(dict.fromkeys(row.name for row in self.rows))
        return [found[name] for name in order if name in found]

    @property
    def made_by(self) -> str:
        """The command that has made it; empty for one that was written otherwise."""
        with suppress(OSError, UnicodeDecodeError):
            first = read_whole(self.folder / BASE).partition("\n")[0]
            return first.removeprefix(MADE_BY) if first.startswith(MADE_BY) else ""
        return ""

    @property
    def missing_methods(self) -> list[str]:
        taken = {row.method for row in self.rows} | {row.name for row in self.rows}
        return [name for name in METHOD_SPECS if name not in taken and name != "peft"]


def list_studies(runs_dir: Path, recipes: Path) -> list[str]:
    """All studies that have runs, or recipes in that folder; the newest first."""
    found: dict[str, float] = {}
    runs = (each.parent.parent for each in runs_dir.glob("[!.]*/*/status.json"))
    own = (each.parent for each in recipes.glob("[!.]*/[!._]*.yaml"))
    for folder in {*runs, *own}:
        with suppress(OSError):
            changed = folder.stat().st_mtime
            found[folder.name] = max(changed, found.get(folder.name, 0.0))
    for entry in Queue(runs_dir).list():
        found[entry.study] = max(entry.added_at, found.get(entry.study, 0.0))
    return sorted(found, key=lambda name: (-found[name], name))


def read_study(name: str, runs_dir: Path, recipes: Path) -> Study:
    """The study of that name as it is now: never raises for what lies in its folders."""
    folder = recipes / name
    own, problems = list[Recipe](), list[Problem]()
    if is_own := folder.is_dir():
        try:
            found, problems[:] = readable_recipes(folder)
            own = [each for each in found.values() if each.study == name]
        except RecipeError as error:
            problems[:] = error.problems
    planned = {(each.name, each.fingerprint[:8]): each for each in own}
    runs: dict[tuple[str, str], dict[int, Run]] = {key: {} for key in planned}
    for run in list_runs(runs_dir / name):
        if told := _RUN.fullmatch(run.path.name):
            key = (told["recipe"], told["fingerprint"])
            runs.setdefault(key, {})[int(told["seed"])] = run
    rows = [_row(key, planned.get(key), of_seed) for key, of_seed in runs.items()]
    return Study(
        name=name, folder=folder, is_own=is_own, rows=tuple(rows), problems=tuple(problems)
    )


def _row(key: tuple[str, str], recipe: Recipe | None, runs: Mapping[int, Run]) -> Row:
    told = next((str(run.status["method"]) for run in runs.values() if "method" in run.status), "")
    return Row(
        name=key[0],
        fingerprint=key[1],
        method=recipe.method.name if recipe else told,
        recipe=recipe,
        runs=runs,
    )


def add_method(study: Study, method: str) -> Recipe:
    """Writes a recipe for another method, with the values that it starts from, and returns it.

    Raises:
        WorkbenchError: it does not go with the study, or cannot be written.
    """
    template = next(iter(study.recipes), None)
    if template is None:
        raise UsageError("no recipe of this study can be read", where=study.name)
    about = {"model": {"source": template.model.source}, "task": {"name": template.task.name}}
    own, origin = start_of(method, about, _examples(study))
    text = f"# {origin}\n" + dump({"base": BASE, **own})
    if not (study.folder / BASE).is_file():
        text = dump_recipe(_like(template, method, own))
    file = study.folder / f"{method}.yaml"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "x", encoding="utf-8") as written:
            written.write(text)
    except FileExistsError:
        fix = "rename it, or run it as it is"
        raise UsageError("a recipe of this name is there", where=str(file), fix=fix) from None
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=str(file)) from None
    try:
        return load_recipe(file)
    except RecipeError:
        file.unlink()
        raise


def _examples(study: Study) -> int:
    """Training examples of a finished run; 0 where there is none."""
    runs = [run for row in study.rows for run in row.runs.values()]
    sizes = (get_section(get_section(run.result, "data"), "sizes") for run in runs)
    return max((int(number(each, "train") or 0) for each in sizes), default=0)


def _like(template: Recipe, method: str, own: Mapping[str, Mapping[str, object]]) -> Recipe:
    """The same recipe for another method."""
    values = template.model_dump(mode="json")
    rate = own.get("training", {}).get("learning_rate")
    values |= {"name": method, "method": own["method"], "description": "", "tuning": None}
    values |= {"init_from": None, "training": {**values["training"], "learning_rate": rate}}
    recipe, problems = build(values, file=method)
    if recipe is None or problems:
        raise RecipeError(problems)
    return recipe


def more_seeds(study: Study, count: int) -> list[int]:
    """The next so many seeds that the study has not got."""
    first = max(study.seeds, default=-1) + 1
    return list(range(first, first + count))


def write_seeds(study: Study, seeds: Sequence[int]) -> bool:
    """Puts seeds into the study's own recipes; False where it has none that name seeds.

    Raises:
        StorageError: a file cannot be written.
    """
    changed = False
    for file in sorted(study.folder.glob("*.yaml")) if study.is_own else []:
        with suppress(UnicodeDecodeError):
            text = read_whole(file)
            new = _SEEDS.sub(
                f"seeds: {list(seeds)}\n", text if text.endswith("\n") else f"{text}\n"
            )
            if _SEEDS.search(new):
                write_text(file, new)
                changed = True
    return changed


def unfinished_runs(study: Study) -> list[tuple[Recipe, list[int]]]:
    """What the study's recipes say and was never begun or can be resumed: seeds by recipe."""
    found = []
    for row in study.rows:
        wanted = row.recipe.seeds if row.recipe else []
        seeds = [s for s in wanted if s not in row.runs or row.runs[s].state in RESUMABLE]
        found += [(row.recipe, seeds)] if row.recipe and seeds else []
    return found
