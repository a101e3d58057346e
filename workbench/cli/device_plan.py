"""``plan --devices``: how long a study takes on several devices, and what they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli import distributed, parallel
from workbench.cli.output import note, print_pairs
from workbench.errors import DataError
from workbench.executors.packing import needed_bytes
from workbench.executors.schedule import (
    Devices,
    PlannedRun,
    parse_devices,
    run_seconds,
    schedule,
)
from workbench.formatting import duration, plural, size

if TYPE_CHECKING:
    from workbench.pipeline.setup import StudyCache
    from workbench.recipe import Recipe

DEVICES_OPTION = typer.Option(
    None,
    "--devices",
    metavar="8xH100:80GB|N|ray",
    help="Simulate the study on devices, on N runs at once here, or on the Ray cluster.",
)
Planned = Sequence[tuple["Recipe", Mapping[str, Any]]]


def devices_of(text: str) -> Devices:
    """The devices that are meant; has this process plan with the threads of a run on them.

    Raises:
        UsageError: when none are, or no Ray cluster answers.
    """
    found = parse_devices(text)
    if isinstance(found, Devices):
        return found
    if found is None:
        from workbench.executors.ray import slots_of

        slots, on_gpus = slots_of("auto")
        if not on_gpus:
            parallel.set_threads(1)  # Ray's for a task of one CPU
        return Devices(name="Ray cluster", slots=slots, longest_first=False)
    machine = parallel.this_machine()
    each = -(-found // max(1, len(machine.cards)))
    # Runs that share a card take turns on it, at worst; on a CPU their threads do.
    slowdown = float(each) if machine.cards else found * machine.threads / distributed.cores()
    return Devices(
        name="GPU" if machine.cards else "this machine",
        slots=found,
        per_device=each,
        memory_bytes=machine.free_bytes,
        slowdown=max(1.0, slowdown),
    )


def on_devices(plans: Planned, devices: Devices) -> dict[str, Any]:
    """The schedule of all runs, in the order in which the queue begins them."""
    from workbench.pipeline.setup import StudyCache

    cache = StudyCache()
    runs = []
    for recipe, plan in plans:
        evaluated = _evaluated(recipe, plan, cache)
        seconds = run_seconds(plan, recipe.training.batch_size, evaluated)
        needed = needed_bytes(plan)
        runs += [
            PlannedRun(name=f"{recipe.name}-s{seed}", seconds=seconds, needed_bytes=needed)
            for seed in recipe.seeds
        ]
    return schedule(runs, devices)


def _evaluated(recipe: Recipe, plan: Mapping[str, Any], cache: StudyCache) -> int:
    """Examples that a run predicts; none of data that is not here."""
    if plan.get("tokens_are_upper_bound"):
        return 0
    try:
        data = cache.data(recipe, recipe.seeds[0])
    except DataError:
        return 0
    steps, every = plan.get("steps") or 0, recipe.training.validate_every
    epochs = -(-steps * recipe.training.batch_size // max(1, len(data.train)))
    times = epochs if every == "epoch" else -(-steps // every)
    return len(data.test) + len(data.validation) * int(times)


def print_schedule(found: Mapping[str, Any], here: str) -> None:
    """Prints makespan, device hours and memory."""
    where = plural(found["devices"], found["device"]) if found["devices"] > 1 else found["device"]
    hours = [found[key] for key in ("reserved_hours", "busy_hours")]
    memory, most = found["peak_memory_bytes"], found["device_memory_bytes"]
    fits = {True: ", fits", False: ", DOES NOT FIT", None: ""}[found["fits"]]
    of = f" of {size(most)}{fits}" if most is not None else ""
    pairs = [
        ("runs", f"{found['runs']}, {found['runs_at_once']} at once"),
        ("makespan", duration(found["makespan_seconds"])),
        ("device hours", "" if None in hours else f"{hours[0]:.3g} reserved, {hours[1]:.3g} busy"),
        ("memory per device", f"{size(memory)}{of}" if memory is not None else ""),
    ]
    print_pairs(f"on {where}", pairs)
    note(f"steps are taken to be as long as on this device ({here}); writing texts is left out")
    if (fitting := found["fit_on_one_device"]) and fitting > 1:
        note(f"{fitting} runs fit on one device at once; how much sooner they end is not forecast")
