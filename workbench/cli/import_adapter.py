"""``import``: a PEFT adapter made elsewhere, checked against its base model."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from workbench.cli.options import JSON_OPTION
from workbench.cli.output import note, print_answer
from workbench.errors import UsageError
from workbench.formatting import size
from workbench.heavy_imports import loading_libraries

if TYPE_CHECKING:
    from workbench.adapters.foreign import Proposal


def import_(
    source: Path = typer.Argument(
        metavar="FOLDER_OR_ZIP", help="A PEFT adapter: the folder that save_pretrained wrote."
    ),
    output: Path | None = typer.Option(
        None, metavar="DIR", help="Folder to write, new; adapters/NAME by default."
    ),
    base: str | None = typer.Option(
        None,
        metavar="MODEL",
        help="Base model, if not the one it declares: folder, Hub id or asset:NAME.",
    ),
    label: list[str] | None = typer.Option(
        None, "--label", help="Label name, if the adapter declares none. Repeatable, in order."
    ),
    yes: bool = typer.Option(False, "--yes", help="Accept the base model without asking."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Import a PEFT adapter made elsewhere, after checks.

    It can then be used by predict and as init_from of a recipe.
    """
    with loading_libraries():
        from workbench.adapters.foreign import import_adapter

    shown: list[Proposal] = []

    def confirm(proposal: Proposal) -> bool:
        shown.append(proposal)
        at = f" at {proposal.revision}" if proposal.revision else ""
        weights = f"{proposal.tensors:,} tensors, {size(proposal.weight_bytes)}"
        note(f"{proposal.method} adapter for {proposal.task}: {weights}")
        note(f"  base model: {proposal.base}{at}\n  found in:   {proposal.base_folder}")
        if proposal.named_base not in ("", proposal.base):
            note(f"  declared base: {proposal.named_base[:200]!r}")
        return yes or base is not None or _confirmed()

    target = output or Path("adapters") / source.resolve().stem
    folder = import_adapter(source, target, confirm=confirm, base=base, labels=label or ())
    print_answer(as_json, {"path": str(folder), **asdict(shown[0])}, [folder])


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            "the base model has to be confirmed, and this is not a terminal",
            why="an adapter only names its base model, and is useless on another one",
            fix="pass --yes if the base above is right, or --base MODEL",
        )
    return typer.confirm("Is this the base model that you expect?", err=True)
