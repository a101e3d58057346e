"""Options that several commands share, and what their texts mean."""

from pathlib import Path

import typer

from workbench.errors import UsageError

JSON_OPTION = typer.Option(False, "--json", help="Print one JSON document on stdout.")
RUNS_OPTION = typer.Option(Path("runs"), "--runs", help="Folder of the run folders.")
SET_OPTION = typer.Option(
    None, "--set", metavar="KEY=VALUE", help="Override a value, e.g. method.r=16. Repeatable."
)
SEEDS_OPTION = typer.Option(None, "--seeds", help="Seeds instead of the recipe's, e.g. 0,1.")
FORCE_OPTION = typer.Option(
    False, "--force", help="Rerun finished runs; their old folders are kept."
)
BASELINE_OPTION = typer.Option(
    None, "--baseline", help="Baseline recipe; 'full' if there is one and nothing is given."
)
OUTPUT_OPTION = typer.Option(
    ..., "--output", metavar="DIR", help="Folder to write; it must not exist yet."
)
RECIPES = typer.Argument(
    metavar="RECIPE...",
    help="Recipe files, folders of them, or shipped names such as bbc-news or bbc-news/lora.",
)
RUN = typer.Argument(metavar="RUN", help="Path, id or folder name of a run.")


def chosen_seeds(text: str | None) -> list[int] | None:
    """The seeds of ``--seeds``, e.g. ``0,1``; None when it was not given.

    Raises:
        UsageError: when they are no seeds, or one is given twice.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) < 2**32 for part in parts):
        why = "seeds are whole numbers from 0 on, below 2**32"
        raise UsageError(f"--seeds {text}", why=why, fix="e.g. --seeds 0,1,2")
    numbers = [int(part) for part in parts]
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"--seeds {text}", why="a seed is given twice", fix="name each once")
    return numbers
