"""Searches as they stand on the disk, for whoever only looks; no torch, no optuna."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.recipe.renamed import search_as_today
from workbench.store import ACTIVE, Run, read_record, read_run
from workbench.tuning.folder import TUNING, trial_folder
from workbench.tuning.space import AROUND, LEARNING_RATE

RECORD = "tuning.json"
"""What a search says of itself; see `workbench.tuning.trials.Tuning.document`."""


@dataclass(frozen=True)
class Search:
    folder: Path
    document: dict[str, Any]
    current: Run | None
    """The trial that was begun and has no outcome yet."""

    @property
    def study(self) -> str:
        return str(self.document.get("study") or self.folder.parent.parent.name)

    @property
    def recipe(self) -> str:
        return str(self.document.get("recipe") or self.folder.name.rpartition("-")[0])

    @property
    def trials(self) -> list[dict[str, Any]]:
        found = self.document.get("trials")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    @property
    def wanted(self) -> int:
        asked = self.document.get("wanted")
        return max(len(self.trials), asked if isinstance(asked, int) else 0)

    @property
    def is_active(self) -> bool:
        return self.current is not None and self.current.state in ACTIVE


def list_searches(runs_dir: Path) -> list[Search]:
    """All searches below a runs folder, by study and recipe; those set aside are not among them."""
    found = sorted(runs_dir.glob(f"*/{TUNING}/*"))
    return [_read(each) for each in found if each.is_dir() and not each.name.startswith(".")]


def options_of(searches: list[Search]) -> list[str]:
    """What a command has to say, besides recipes and trials, to continue the searches."""
    options = []
    keys = dict.fromkeys(key for each in searches for key in _space(each))
    for key in keys:
        said = {_space(each)[key] for each in searches if key in _space(each)}
        usual = key == LEARNING_RATE and all(map(_is_usual, searches))
        if len(said) == 1 and not usual:
            options += ["--search", f"{key}={said.pop()}"]
    if searches and all(each.document.get("prune") for each in searches):
        options.append("--prune")
    seeds = {each.document["seed"] for each in searches if "seed" in each.document}
    return [*options, "--seed", str(seeds.pop())] if len(seeds) == 1 else options


def _read(folder: Path) -> Search:
    document = search_as_today(read_record(folder / RECORD) or {})
    ended = document.get("trials")
    begun = trial_folder(folder, len(ended) if isinstance(ended, list) else 0)
    current = read_run(begun) if begun.is_dir() else None
    if document.get("prune"):  # its trials do not end in their order
        runs = map(read_run, sorted(folder.glob(f"{begun.name.partition('-')[0]}-*")))
        current = next((run for run in runs if run.state in ACTIVE), current)
    return Search(folder, document, current)


def _space(search: Search) -> dict[str, str]:
    found = search.document.get("search")
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _is_usual(search: Search) -> bool:
    """True where the learning rate's range is the one that a search has unasked."""
    try:
        low, high = map(float, _space(search)[LEARNING_RATE].split(".."))
        own = float(search.trials[0]["values"][LEARNING_RATE])
    except (KeyError, IndexError, TypeError, ValueError):
        return LEARNING_RATE not in _space(search)
    return abs(own / low / AROUND - 1) < 0.01 and abs(high / own / AROUND - 1) < 0.01
