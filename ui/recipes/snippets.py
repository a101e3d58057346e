"""The form as a command and as Python."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devices import command_on
from layout import runs_dir
from workbench.jobs.worker_records import environment_of
from workbench.recipe import Recipe, recipes_dir


@dataclass(frozen=True, kw_only=True)
class Wanted:
    path: Path
    recipe: Recipe
    overrides: Sequence[str]
    seeds: Sequence[int]
    processes: int = 1
    force: bool = False
    devices: str = ""
    """The devices that the runs are to have; empty for those of the process."""

    @property
    def name(self) -> str:
        """The recipe as a user names it: shipped ones by study and name, others by path."""
        root = recipes_dir()
        if self.path.is_relative_to(root):
            return str(self.path.relative_to(root).with_suffix(""))
        return str(self.path.absolute())


def command_line(wanted: Wanted) -> str:
    words = ["workbench", "run", wanted.name]
    for override in wanted.overrides:
        words += ["--set", override]
    if list(wanted.seeds) != wanted.recipe.seeds:
        words += ["--seeds", ",".join(map(str, wanted.seeds))]
    words += ["--processes", str(wanted.processes)] if wanted.processes > 1 else []
    words += ["--force"] if wanted.force else []
    return command_on(wanted.devices, shlex.join([*words, "--runs", str(runs_dir())]))


def python_lines(wanted: Wanted) -> str:
    """The same in Python: in this process, or in one of its own where the command needs that."""
    load = f"recipe = load_recipe({wanted.name!r}"
    load += f", {list(wanted.overrides)!r})" if wanted.overrides else ")"
    arguments = [f"seeds={list(wanted.seeds)!r}"]
    arguments += ["force=True"] if wanted.force else []
    given = environment_of(wanted.devices) if wanted.devices else {}
    arguments += [f"environment={given!r}"] if given else []
    if wanted.processes == 1 and not given:
        call = f"runs = run(recipe, runs_dir={str(runs_dir())!r}, {', '.join(arguments)})"
        return f"from workbench import load_recipe, run\n\n{load}\n{call}"
    arguments += [f"processes={wanted.processes}"] if wanted.processes > 1 else []
    call = f"jobs.start([recipe], {str(runs_dir())!r}, {', '.join(arguments)})"
    return f"from workbench import jobs, load_recipe\n\n{load}\n{call}"
