"""What a resumed training has to share with the one that it resumes."""

import json
from pathlib import Path
from typing import Any

from workbench.distributed.policy import Policy
from workbench.errors import RunRefused
from workbench.models.quantized import PACKAGE
from workbench.recipe import Recipe
from workbench.recipe.layers import flatten
from workbench.recipe.renamed import ADDED, flat_as_today
from workbench.store import Run
from workbench.training.checkpoint_files import read_state
from workbench.training.checkpoint_folder import CheckpointFolder

LIBRARIES = ("peft-workbench", "torch", "transformers", "peft", "accelerate")
"""Another version of these may compute other numbers."""

Conditions = dict[str, Any]


def conditions_known(
    recipe: Recipe, seed: int, policy: Policy, packages: dict[str, Any]
) -> Conditions:
    """What is known before anything is loaded: recipe, seed, processes, device and libraries."""
    kept = ("device", "precision", "attention", "dropout")
    together: int | str = policy.processes
    if policy.sharded:
        together = f"{policy.processes}, sharded"
    if policy.zero:
        together = f"{policy.processes}, ZeRO {policy.zero} of DeepSpeed {packages['deepspeed']}"
    return {
        **flatten(recipe.numerics()),
        "seed": seed,
        "processes": together,
        **{name: value for name, value in policy.record().items() if name in kept},
        **{name: packages.get(name) for name in LIBRARIES},
        **({PACKAGE: packages.get(PACKAGE)} if recipe.model.quantization != "none" else {}),
    }


def conditions_loaded(comparability: dict[str, str]) -> Conditions:
    """Hashes of the data, its split, the base and its tokenisation."""
    names = ("data", "split", "base", "tokenisation")
    return {f"hash of {name}": comparability[name] for name in names}


def differences(was: Conditions, now: Conditions) -> list[str]:
    """Every condition that is not what it was, in words."""
    was = flat_as_today(was)
    sections = {key.rpartition(".")[0] for key in was}
    was = {key: value for key, value in ADDED.items() if key not in sections} | was
    return [
        f"{name} was {_short(was.get(name))}, is {_short(value)}"
        for name, value in now.items()
        if was.get(name) != value
    ]


def check_unchanged(run: Run, now: Conditions, fingerprint: str) -> None:
    """Refuses to resume a run under other conditions, before anything is loaded.

    Where no checkpoint says what they were, the run's own fingerprint still says whether its
    recipe was edited.

    Raises:
        RunRefused: with every difference.
    """
    was = _recorded(run.path / "checkpoints")
    found = differences(was, now) if was else []
    before = run.status.get("fingerprint")
    if not was and before not in (None, fingerprint):
        found = [f"the recipe's fingerprint was {before[:8]}, is {fingerprint[:8]}"]
    if found:
        raise refusal(found, run.id)


def refusal(found: list[str], run: str) -> RunRefused:
    """The error that lists what has changed since a run's checkpoint."""
    return RunRefused(
        "changed since the checkpoint:" + "".join(f"\n    {each}" for each in found),
        where=run,
        why="a resumed run would be neither the old one nor a new one",
        fix=f"put it back; or `workbench resume {run} --force`, which the record will say; or "
        "`workbench run` starts it from the beginning",
    )


def _recorded(folder: Path) -> Conditions:
    """Of the newest checkpoint whose state is as it was written: a damaged one is not resumed."""
    for path in CheckpointFolder(folder).newest_first():
        state = read_state(path)
        if state and isinstance(state.get("conditions"), dict):
            return dict(state["conditions"])
    return {}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{text[:12]}..." if len(text) == 64 else text
