"""K21 to K24: bits that flip, random states that are none, other conditions, and controls."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.killed_runs import after_step, difference, exported_difference, in_backward
from tests.torture.cells import STEPS, STEPS_PER_EPOCH
from tests.torture.invariants import with_manifest
from tests.torture.trials import Prepare, Trial
from tests.training.killing import wrap
from workbench.errors import RunRefused
from workbench.pipeline import environment, setup
from workbench.training import state_dicts, stepping
from workbench.training.checkpoint_files import find_damage
from workbench.training.checkpoint_folder import CheckpointFolder

RANDOM = "random-1.safetensors"


def _killed_late(trial: Trial) -> list[Path]:
    """Kills the run where two checkpoints lie, and returns them, the newest first."""
    trial.event(after_step(trial.one_of(5, STEPS)))
    return CheckpointFolder(trial.path / "checkpoints").newest_first()


def flipped_bit(trial: Trial) -> None:
    """K21: at a random place of the newest checkpoint; found, set aside, the one before used."""
    newest, before = _killed_late(trial)[:2]
    file = trial.draw.choice(sorted(newest.iterdir()))
    content = bytearray(file.read_bytes())
    content[trial.draw.randrange(len(content))] ^= 1 << trial.draw.randrange(8)
    file.write_bytes(content)
    trial.expect(find_damage(newest), f"a flipped bit in {file.name} was not found", "I1")
    trial.go_on()
    warnings = str(trial.run.result.get("warnings"))
    trial.expect(f"set aside: {newest.name}" in warnings, f"no warning: {warnings}")
    resumed = [row["step"] for row in trial.run.events()[0] if row["kind"] == "resumed"]
    trial.expect(resumed == [int(before.name[-6:])], f"it continued from {resumed}")


def spoilt_random_state(trial: Trial) -> None:
    """K22: gone or garbage: set aside; garbage with a manifest that fits: an error."""
    newest = _killed_late(trial)[0]
    file, way = newest / RANDOM, trial.index % 3
    if way == 0:
        file.unlink()
    elif way == 1:
        file.write_bytes(trial.draw.randbytes(file.stat().st_size))
    else:
        kept = newest.with_name("kept-aside")
        shutil.copytree(newest, kept)
        state = load_file(file)
        state["0|torch"] = torch.zeros(7, dtype=torch.uint8)
        save_file(state, file)
        with_manifest(newest)
        code = trial.live()
        trial.expect(code != 0, "it went on with a random state that is none")
        trial.expect("random state" in trial.run.reason, trial.run.reason, "I3")
        shutil.rmtree(newest)
        kept.rename(newest)
    trial.go_on()
    warned = f"set aside: {newest.name}" in str(trial.run.result.get("warnings"))
    trial.expect(warned == (way != 2), "no warning")


def changed_conditions(trial: Trial) -> None:
    """K23: recipe, data or library: refused with the difference; forced, the record says so."""
    _killed_late(trial)
    name = ("recipe", "data", "library")[trial.index % 3]
    file = trial.path / "recipe.yaml"
    kept = file.read_text()
    change: dict[str, tuple[Prepare, str]] = {
        "recipe": (lambda: None, "training.weight_decay was 0.0, is 0.25"),
        "data": (_other_data, "hash of data was"),
        "library": (_other_library, "is 9.9"),
    }
    prepare, words = change[name]
    if name == "recipe":
        file.write_text(kept.replace("weight_decay: 0.0", "weight_decay: 0.25"))
    code = trial.live(prepare)
    trial.expect(code == RunRefused.exit_code, f"exit code {code}")
    trial.expect(words in trial.said.read_text(), "the difference was not said")
    trial.check()
    if name == "library" and trial.index % 2:
        trial.live(prepare, "--force")
        forced = str(trial.run.result.get("forced"))
        trial.expect(words in forced, f"recorded as forced: {forced}")
        unlike = exported_difference(trial.cell.whole, trial.run, but=("environment.json",))
        trial.expect(not unlike, f"{unlike} differs", "I5")
        return
    file.write_text(kept)
    trial.go_on()


def _other_library() -> None:
    versions = environment.describe()
    versions["packages"] = {**versions["packages"], "torch": "9.9"}
    wrap(environment, "describe", lambda _: lambda: versions)


def _other_data() -> None:
    def changed(load: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: replace(load(*arguments), content_hash="0" * 64)

    wrap(setup, "load_data", changed)


class FromItsStart(list[Any]):
    """The order of an epoch, for a loop that forgets how far in it was."""

    taken = 0

    def __getitem__(self, key: Any) -> Any:
        self.taken += 1
        return list(self)[self.taken - 1]


def _no_position() -> None:
    wrap(stepping, "epoch_order", lambda order: lambda *a, **k: FromItsStart(order(*a, **k)))


CONTROLS: tuple[Prepare, ...] = (
    lambda: wrap(state_dicts, "restore_random_state", lambda _: lambda *_: None),
    _no_position,
    lambda: wrap(state_dicts, "restore_optimizer", lambda _: lambda *_: None),
)


def negative_control(trial: Trial) -> None:
    """K24: without random numbers, position or optimizer, I5 has to fail."""
    # In the last step of an epoch, so that what it continues from lies in the middle of one.
    trial.event(in_backward(trial.draw.choice([STEPS_PER_EPOCH, STEPS]), 2))
    code = trial.live(CONTROLS[trial.index % len(CONTROLS)])
    trial.expect(code == 0, f"exit code {code}")
    if trial.run.state == "finished":
        unlike = difference(trial.cell.whole, trial.run)
        trial.expect(unlike, "what was not restored made no difference")
