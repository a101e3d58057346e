"""The table that ``workbench plan`` prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.cli.output import note, print_pairs, print_table
from workbench.formatting import count, duration, plural, share, size, timed

Planned = tuple[str, str, int, Mapping[str, Any]]
"""Recipe, method, seeds, and what ``workbench.costs.plan`` says."""

HEADERS = (
    "recipe", "method", "trainable", "share", "head", "adapter file", "steps", "tokens",
    "peak memory", "fits", "largest batch", "time",
)  # fmt: skip
MEMORY_PARTS = ("weights", "gradients", "optimizer", "activations", "runtime")


def print_plans(plans: Sequence[Planned]) -> None:
    """Prints a row for each recipe, what memory is made of, and what all runs sum up to."""
    rows = [_row(recipe, method, plan) for recipe, method, _, plan in plans]
    print_table(HEADERS, rows, right=" ".join(HEADERS[2:]))
    if len(plans) == 1 and (parts := plans[0][3].get("memory")):
        plan = plans[0][3]
        pairs = [(name, size(parts.get(f"{name}_bytes"))) for name in MEMORY_PARTS]
        pairs += [("free on this device", size(plan.get("free_memory_bytes")))]
        device = " ".join(str(plan[key]) for key in ("device", "precision") if plan.get(key))
        print_pairs(f"peak memory while training ({device})", pairs)
    for recipe, _, _, plan in plans:
        if plan.get("tokens_are_upper_bound"):
            note(f"{recipe}: the data is not here, so every text is taken to be the longest")
        for each in plan.get("notes") or ():
            note(f"{recipe}: {each}")
    runs = sum(seeds for _, _, seeds, _ in plans)
    trained = count(sum(plan["trainable_parameters"] * seeds for _, _, seeds, plan in plans))
    sums = [plural(len(plans), "recipe"), plural(runs, "run"), f"{trained} parameters trained"]
    if all(isinstance(plan.get("train_seconds"), int | float) for *_, plan in plans):
        sums += _time(plans)
    note(", ".join(sums))


def _time(plans: Sequence[Planned]) -> list[str]:
    """How long all runs train, and how far that is to be trusted."""
    total = sum(plan["train_seconds"] * seeds for _, _, seeds, plan in plans)
    ranges = [(plan["train_seconds_range"], seeds) for _, _, seeds, plan in plans]
    between = None
    if all(known for known, _ in ranges):
        between = [sum(known[end] * seeds for known, seeds in ranges) for end in (0, 1)]
    timings = min(plan["timings"] for *_, plan in plans)
    return [f"{duration(total)} of training steps", timed(timings, between)]


def _row(recipe: str, method: str, plan: Mapping[str, Any]) -> list[object]:
    tokens, batch = count(plan.get("tokens")), _whole(plan.get("largest_batch_size"))
    return [
        recipe,
        method,
        _whole(plan.get("trainable_parameters")),
        share(plan.get("trainable_parameters"), plan.get("total_parameters")),
        _whole(plan.get("head_parameters")),
        size(plan.get("adapter_bytes")),
        _whole(plan.get("steps")),
        f"≤ {tokens}" if plan.get("tokens_are_upper_bound") and plan.get("tokens") else tokens,
        size(plan.get("peak_memory_bytes")),
        {True: "yes", False: "NO", None: ""}[plan.get("fits")],
        f"at least {batch}" if batch and plan.get("largest_batch_is_lower_bound") else batch,
        duration(plan.get("train_seconds")),
    ]


def _whole(number: Any) -> str | None:
    return f"{number:,}" if isinstance(number, int) else None
