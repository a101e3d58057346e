"""The command that brings home an adapter of somebody else: ``import``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from workbench.cli.output import JSON_OPTION, note, print_json
from workbench.errors import UsageError
from workbench.heavy_imports import loading_libraries

if TYPE_CHECKING:
    from workbench.adapters.foreign import Proposal


def import_(
    source: Path = typer.Argument(
        metavar="FOLDER_OR_ZIP", help="A PEFT adapter: the folder that save_pretrained wrote."
    ),
    to: Path | None = typer.Option(
        None, help="Folder to write; it must not exist yet. adapters/NAME if left out."
    ),
    base: str | None = typer.Option(
        None,
        metavar="MODEL",
        help="Its base model, instead of the one that it names: folder, Hub id or asset:NAME.",
    ),
    label: list[str] | None = typer.Option(
        None, "--label", help="Name of the next label, where the adapter has none. Repeatable."
    ),
    yes: bool = typer.Option(False, "--yes", help="Do not ask whether the base model is right."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Check a PEFT adapter that somebody else made, and take it in for predict and init_from."""
    with loading_libraries():
        from workbench.adapters.foreign import import_adapter

    shown: list[Proposal] = []

    def confirm(proposal: Proposal) -> bool:
        shown.append(proposal)
        note(_words(proposal))
        return yes or base is not None or _asked()

    target = to or Path("adapters") / source.resolve().stem
    folder = import_adapter(source, target, confirm=confirm, base=base, labels=label or ())
    if as_json:
        print_json({"path": str(folder), **asdict(shown[0])})
    else:
        typer.echo(str(folder))


def _words(proposal: Proposal) -> str:
    from workbench.formatting import size

    at = f" at {proposal.revision}" if proposal.revision else ""
    lines = [
        f"{proposal.method} adapter for {proposal.task}: {proposal.tensors:,} tensors, "
        f"{size(proposal.weight_bytes)}",
        f"  base model: {proposal.base}{at}",
        f"  found in:   {proposal.base_folder}",
    ]
    if proposal.named_base not in ("", proposal.base):
        lines.append(f"  the adapter itself names {proposal.named_base[:200]!r}")
    return "\n".join(lines)


def _asked() -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            "the base model has to be confirmed, and nobody can be asked here",
            why="an adapter gives its answers together with its base, which it only names",
            fix="pass --yes if the base above is right, or --base MODEL",
        )
    return typer.confirm("Is this the base model that you expect?", err=True)
