"""``workbench note``: name, text, tags and star of runs, and whether they are archived."""

from dataclasses import asdict, replace
from pathlib import Path

import typer

from workbench.cli.options import JSON_OPTION, RUNS_OPTION
from workbench.cli.output import print_answer

NAMED = typer.Argument(metavar="RUN...", help="Paths, ids or folder names of runs.")


def note(
    names: list[str] = NAMED,
    text: str | None = typer.Option(None, "--text", help="Note; an empty one removes it."),
    name: str | None = typer.Option(None, "--name", help="Display name; the folder keeps its own."),
    tag: list[str] | None = typer.Option(
        None, "--tag", help="Add tags: one, or several with commas. Repeatable."
    ),
    untag: list[str] | None = typer.Option(None, "--untag", help="Remove tags, likewise."),
    star: bool | None = typer.Option(None, "--star/--no-star", help="Mark with a star."),
    archive: bool | None = typer.Option(
        None, "--archive/--no-archive", help="Leave out of lists; still compared."
    ),
    runs: Path = RUNS_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Name, tag, star, annotate or archive runs."""
    from workbench.store import find_run
    from workbench.store.notes import changed_tags, in_words, read_notes, write_notes

    said = {}
    for run in [find_run(each, runs) for each in names]:
        before = read_notes(run.path)
        after = replace(
            before,
            name=before.name if name is None else name,
            text=before.text if text is None else text,
            tags=changed_tags(before.tags, tag or (), untag or ()),
            starred=before.starred if star is None else star,
            archived=before.archived if archive is None else archive,
        )
        if after != before:
            write_notes(run.path, after)
        said[run.id] = read_notes(run.path)
    document = {"notes": {id: asdict(notes) for id, notes in said.items()}}
    lines = [f"{id}: {in_words(notes) or 'no notes'}" for id, notes in said.items()]
    print_answer(as_json, document, lines)
