"""``workbench doctor``: what this machine can do."""

from pathlib import Path
from typing import Any

import typer

from workbench.cli.options import JSON_OPTION, RUNS_OPTION
from workbench.cli.output import echo, print_json, print_pairs, print_table
from workbench.formatting import size
from workbench.heavy_imports import loading_libraries


def doctor(runs: Path = RUNS_OPTION, as_json: bool = JSON_OPTION) -> None:
    """Say what this machine can do and what it lacks."""
    with loading_libraries():
        from workbench.pipeline.machine import look
    found = look(runs)
    if as_json:
        print_json(found)
    else:
        _print(found)
    raise typer.Exit(0)


def _print(found: dict[str, Any]) -> None:
    device, memory = found["device"], found["memory"]
    print_pairs(
        "Runs here compute on",
        [
            ("device", f"{device['device']}: {device['device_name']}"),
            ("precision", device["precision"]),
            ("attention", device["attention"]),
            ("why", device["why"]),
            *([("steps", "read one behind")] if "reads_behind" in device else []),
            *(
                [("evaluation", "as many texts at once as free memory holds, 32 to 512")]
                if "asks_free_memory" in device
                else []
            ),
            ("memory", f"{size(memory['available_bytes'])} of {size(memory['total_bytes'])} free"),
        ],
    )
    if found["gpus"]:
        echo("\nGPUs")
        headers = ("name", "free", "total", "compute capability", "bf16")
        rows = [
            (g["name"], size(g["free_bytes"]), size(g["total_bytes"]), g["compute_capability"],
             "yes" if g["bf16"] else "no")
            for g in found["gpus"]
        ]  # fmt: skip
        print_table(headers, rows, right="free total")
    print_pairs("Kernels", [(name, _word(value)) for name, value in found["kernels"].items()])
    disks = [(d["what"], f"{size(d['free_bytes'])} free, {d['folder']}") for d in found["disk"]]
    print_pairs("Disk", disks)
    print_pairs("Packages", list(found["packages"].items()))
    print_pairs(
        "Optional parts",
        [(name, "missing" if needs else "installed") for name, needs in found["extras"].items()],
    )
    models = [f"asset:{name}" for name, state in found["assets"].items() if state == "cached"]
    print_pairs(
        "Models and data at hand", [(name, "ready") for name in (*models, *found["hub_models"])]
    )
    if not found["missing"]:
        echo("\nNothing is missing.")
        return
    echo("\nMissing, and how to get it")
    print_table(("what", "why", "fix"), [list(each.values()) for each in found["missing"]])


def _word(value: object) -> object:
    return ("yes" if value else "no") if isinstance(value, bool) else value
