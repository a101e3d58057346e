"""The table that ``workbench plan`` prints."""

from __future__ import annotations

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
    if len(plans) == 1:
        _print_memory(plans[0][3])
    _print_notes(plans)
    runs = sum(seeds for _, _, seeds, _ in plans)
    trained = count(sum(plan["trainable_parameters"] * seeds for _, _, seeds, plan in plans))
    sums = [plural(len(plans), "recipe"), plural(runs, "run"), f"{trained} parameters trained"]
    if all(isinstance(plan.get("train_seconds"), int | float) for *_, plan in plans):
        sums += _time(plans)
    note(", ".join(sums))


def _time(plans: Sequence[Planned]) -> list[str]:
    """How long all runs train, and how far that is to be trusted."""
    total = sum(plan["train_seconds"] * seeds for _, _, seeds, plan in plans)
    between = None
    if all(plan["train_seconds_range"] for *_, plan in plans):
        between = [
            sum(plan["train_seconds_range"][end] * seeds for _, _, seeds, plan in plans)
            for end in (0, 1)
        ]
    timings = min(plan["timings"] for *_, plan in plans)
    return [f"{duration(total)} of training steps", timed(timings, between)]


def _row(recipe: str, method: str, plan: Mapping[str, Any]) -> list[object]:
    tokens = count(plan.get("tokens"))
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
        {True: "yes", False: "NO"}.get(bool(plan["fits"])) if plan.get("fits") is not None else "",
        _largest_batch(plan),
        duration(plan.get("train_seconds")),
    ]


def _largest_batch(plan: Mapping[str, Any]) -> str | None:
    found = _whole(plan.get("largest_batch_size"))
    return f"at least {found}" if plan.get("largest_batch_is_lower_bound") else found


def _whole(number: Any) -> str | None:
    return f"{number:,}" if isinstance(number, int) else None


def _print_memory(plan: Mapping[str, Any]) -> None:
    parts = plan.get("memory") or {}
    pairs: list[tuple[str, object]] = [
        (name, size(parts.get(f"{name}_bytes"))) for name in MEMORY_PARTS
    ]
    device = " ".join(str(plan[key]) for key in ("device", "precision") if plan.get(key))
    free = plan.get("free_memory_bytes")
    print_pairs(
        f"peak memory while training ({device})",
        [*pairs, ("free on this device", size(free))] if parts else [],
    )


def _print_notes(plans: Sequence[Planned]) -> None:
    for recipe, _, _, plan in plans:
        if plan.get("tokens_are_upper_bound"):
            note(f"{recipe}: the data is not here, so every text is taken to be the longest")
        for each in plan.get("notes") or ():
            note(f"{recipe}: {each}")
