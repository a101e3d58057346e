"""notes.json: what people say of a run. Nothing is computed from it, and no export has it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from workbench.errors import RunRefused, UsageError
from workbench.store.disk import explained
from workbench.store.files import as_json, read_record, write_text

NOTES = "notes.json"
MOST_NAME, MOST_TAG, MOST_TEXT = 120, 40, 10_000
"""Characters."""
MOST_TAGS = 20


@dataclass(frozen=True, kw_only=True)
class Notes:
    """A display name, a text, tags, a star; archived runs are left out of lists, and compared as
    before."""

    name: str = ""
    text: str = ""
    tags: tuple[str, ...] = ()
    starred: bool = False
    archived: bool = False


def read_notes(run: Path) -> Notes:
    """The notes of a run folder; what is not there or of another form is empty."""
    record = read_record(run / NOTES) or {}
    name, text, tags = (record.get(key) for key in ("name", "text", "tags"))
    named = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return Notes(
        name=one_line(name)[:MOST_NAME] if isinstance(name, str) else "",
        text=text[:MOST_TEXT] if isinstance(text, str) else "",
        tags=tuple(dict.fromkeys(tag[:MOST_TAG] for tag in map(one_line, named) if tag))[
            :MOST_TAGS
        ],
        starred=record.get("starred") is True,
        archived=record.get("archived") is True,
    )


def write_notes(run: Path, notes: Notes) -> None:
    """Writes the notes of a run, running or not.

    Raises:
        RunRefused: when the run has no folder yet.
        UsageError: when something is too long.
    """
    if not run.is_dir():
        what, fix = "this run has not started, so it has no folder", "note it once it runs"
        raise RunRefused(what, where=f"{run.parent.name}/{run.name}", fix=fix)
    tags = split_tags(notes.tags)
    for what, value, most in (
        ("the name", one_line(notes.name), MOST_NAME),
        ("the note", notes.text.strip(), MOST_TEXT),
        *(("a tag", tag, MOST_TAG) for tag in tags),
    ):
        if len(value) > most:
            raise UsageError(f"{what} has {len(value)} characters", fix=f"at most {most}")
    if len(tags) > MOST_TAGS:
        raise UsageError(f"{len(tags)} tags", fix=f"at most {MOST_TAGS} for a run")
    kept = {**asdict(notes), "name": one_line(notes.name), "text": notes.text.strip(), "tags": tags}
    content = as_json({"version": 1, **kept})
    with explained(run / NOTES, len(content.encode()), "the notes"):
        write_text(run / NOTES, content)


def in_words(notes: Notes) -> str:
    """``★ "best so far" [paper, v2] archived: what is noted``."""
    parts = [
        "★" if notes.starred else "",
        f'"{notes.name}"' if notes.name else "",
        f"[{', '.join(notes.tags)}]" if notes.tags else "",
        "archived" if notes.archived else "",
    ]
    short = " ".join(filter(None, parts))
    return ": ".join(filter(None, (short, notes.text)))


def one_line(text: str) -> str:
    return " ".join(text.split())


def split_tags(given: Iterable[str]) -> tuple[str, ...]:
    """Tags, of which one text may have several with commas between them."""
    parts = (one_line(part) for text in given for part in text.split(","))
    return tuple(dict.fromkeys(filter(None, parts)))


def changed_tags(tags: Iterable[str], add: Iterable[str], drop: Iterable[str]) -> tuple[str, ...]:
    """Tags with some added and some taken away."""
    gone = split_tags(drop)
    return tuple(tag for tag in split_tags((*tags, *add)) if tag not in gone)
