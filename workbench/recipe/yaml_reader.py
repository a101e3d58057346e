"""A strict reader for recipe files: YAML 1.2 scalars, every key with its line, nothing clever.

PyYAML reads YAML 1.1, in which ``1e-4`` is text, ``no`` is false and a repeated key silently wins.
All three have cost people whole training runs, so none of them holds here. Tags, anchors and
aliases are refused: a recipe has no use for them and they are how YAML files attack.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from workbench.errors import Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_DIGITS = 40

KeyPath = tuple[str | int, ...]

# YAML 1.2's core schema: https://yaml.org/spec/1.2.2/#103-core-schema
_PLAIN = re.compile(
    r"(?P<null>~|null|Null|NULL|)"
    r"|(?P<bool>true|True|TRUE|false|False|FALSE)"
    r"|(?P<int>[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)

# libyaml's parser is 8 times as fast, which a listing of a hundred recipes notices.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that also quotes text which this reader would take for something else."""


_Dumper.add_implicit_resolver("tag:workbench,1.2", re.compile(f"(?:{_PLAIN.pattern})$"), [None])


def key_text(path: KeyPath) -> str:
    """A key path as a user writes it: ``method.r``, ``seeds[1]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


class Place(NamedTuple):
    """Where a key was written: a file and line, or ``--set``."""

    file: str
    line: int | None = None


@dataclass
class Document:
    """The values of a recipe file and the place of every key in it."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)


def read_file(path: Path) -> tuple[Document, list[Problem]]:
    """Reads a recipe file; what is wrong with it comes back as problems, never as an exception."""
    file = str(path)
    try:
        if not path.is_file():
            what = "is a folder, not a file" if path.is_dir() else "no such file"
            return Document(), [Problem(file=file, what=what)]
        if (size := path.stat().st_size) > MAX_BYTES:
            what = f"{size:,} bytes; a recipe has at most {MAX_BYTES:,}"
            return Document(), [Problem(file=file, what=what, fix="is this a data file?")]
        content = path.read_bytes()
    except OSError as error:
        return Document(), [Problem(file=file, what=f"cannot be read: {error.strerror}")]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{content[error.start]:02x} at offset {error.start} is not UTF-8"
        return Document(), [Problem(file=file, line=line, what=what, fix="save the file as UTF-8")]
    return read_text(text, file)


def read_text(text: str, file: str) -> tuple[Document, list[Problem]]:
    """Reads the text of a recipe; ``file`` is what problems call it."""
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        return Document(), [
            Problem(file=file, line=line, what="holds a NUL character; is it a text file?")
        ]
    reader = _Reader(file)
    values = reader.read(text)
    if not isinstance(values, dict) and not reader.problems:
        what = "is empty" if values is None else "is not a list of `key: value` lines"
        fix = "write at least task, model, data and method"
        reader.problems.append(Problem(file=file, what=what, fix=fix))
    return Document(values if isinstance(values, dict) else {}, reader.places), reader.problems


def parse_value(text: str) -> tuple[Any, str]:
    """The value of an override such as ``3e-3`` or ``[0, 1]``, and what is wrong with it if any."""
    if not text.isprintable():
        return None, "holds a character that cannot be printed"
    reader = _Reader("--set")
    value = reader.read(text)
    return value, "; ".join(p.what for p in reader.problems)


def dump(values: dict[str, Any]) -> str:
    """YAML that ``read_text`` reads back to equal values."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Stop(Exception):
    """Reading on makes no sense; the problem is noted."""


class _Reader:
    """Turns a parser's events into values, noting each key's line and every problem on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[KeyPath, Place] = {}
        self.problems: list[Problem] = []

    def read(self, text: str) -> Any:
        events = yaml.parse(text, Loader=_PARSER)
        try:
            value = self._document(events)
        except _Stop:
            return None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = error.problem or error.context or "cannot be read"
            line = mark.line + 1 if mark else None
            self.problems.append(Problem(file=self.file, line=line, what=f"not valid YAML: {what}"))
            return None
        except yaml.YAMLError as error:
            what = f"not valid YAML: {' '.join(str(error).split())}"
            self.problems.append(Problem(file=self.file, what=what))
            return None
        return value

    def _document(self, events: Iterator[Event]) -> Any:
        value: Any = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._add(event, (), "holds a second document (---)", "use one file for each")
                    raise _Stop
            elif isinstance(event, NodeEvent):
                value = self._value(event, events, ())
        return value

    def _value(self, event: Event, events: Iterator[Event], path: KeyPath, depth: int = 1) -> Any:
        if depth > MAX_DEPTH:
            self._add(event, (), f"nested more than {MAX_DEPTH} deep")
            raise _Stop
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            self._add(event, path, "anchors and aliases (& and *) are not allowed", "write it out")
        if tag := getattr(event, "tag", None):
            self._add(event, path, f"the tag {tag} is not allowed", "write a plain value")
        if isinstance(event, AliasEvent):
            return None
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, MappingStartEvent):
            return self._mapping(events, path, depth)
        return self._sequence(events, path, depth)

    def _sequence(self, events: Iterator[Event], path: KeyPath, depth: int) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            here = (*path, len(values))
            self.places[here] = Place(self.file, _line(event))
            values.append(self._value(event, events, here, depth + 1))
        return values

    def _mapping(self, events: Iterator[Event], path: KeyPath, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            place = Place(self.file, _line(event))
            key = self._value(event, events, path, depth + 1)
            here = (*path, key) if isinstance(key, str) else (*path, "?")
            known = self.places.get(here)
            self.places[here] = known or place
            value = self._value(next(events), events, here, depth + 1)
            if not isinstance(key, str):
                what = f"{key!r:.80} is not a word and cannot be a key"
                plain = isinstance(key, int | float) and not isinstance(key, bool)
                self._add(event, path, what, f'quote it: "{key}"' if plain else "")
            elif key in values:
                first = known.line if known else place.line
                self._add(event, here, f"written twice, first in line {first}", "remove one")
            else:
                values[key] = value
        return values

    def _scalar(self, event: ScalarEvent, path: KeyPath) -> Any:
        text: str = event.value
        if "\0" in text:
            self._add(event, path, "holds a NUL character")
            return None
        if not event.implicit[0]:  # quoted, or a block of text
            return text
        plain = _PLAIN.fullmatch(text)
        kind = plain.lastgroup if plain else "text"
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        return text if kind == "text" else self._number(event, path, whole=kind == "int")

    def _number(self, event: ScalarEvent, path: KeyPath, *, whole: bool) -> int | float | None:
        text: str = event.value
        if len(text) > MAX_DIGITS:
            self._add(event, path, f"a number of {len(text)} characters")
            return None
        if text.startswith(("0o", "0x")):
            return int(text, 0)
        if whole:
            return int(text)
        # Python's spelling of YAML's .inf and .nan has no dot
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))

    def _add(self, event: Event, path: KeyPath, what: str, fix: str = "") -> None:
        self.problems.append(
            Problem(file=self.file, line=_line(event), key=key_text(path), what=what, fix=fix)
        )


def _line(event: Event) -> int | None:
    return event.start_mark.line + 1 if event.start_mark else None
