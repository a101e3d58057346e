"""One recipe from its layers: the base file, the file itself, the overrides."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workbench.errors import Problem
from workbench.recipe.schema import VARIANTS
from workbench.recipe.sources import absolute, resolve_source
from workbench.recipe.yaml_reader import (
    Document,
    KeyPath,
    Place,
    key_text,
    parse_value,
    read_file,
)

OVERRIDE = "--set"


Bases = dict[Path, tuple[Document, list[Problem]]]
"""The base files of a listing with what is wrong with each, read once however many recipes name it.
A document is shared: what is laid over it makes a new one."""


def read_layers(
    path: Path, overrides: Iterable[str], bases: Bases
) -> tuple[Document, list[Problem]]:
    """The merged document of a recipe file, its base and overrides, with all their problems."""
    document, problems = read_file(path)
    base = Document()
    if "base" in document.values:
        base, found = _base_of(path, document, bases)
        problems += found
    document = with_paths(document, path.parent)
    override, found = read_overrides(overrides)
    if after := _method(override):
        _change_method(document, path.stem, _method(merge(base, document)), after)
    document = merge(base, document)
    if override.values:
        document = merge(document, with_paths(override, Path.cwd()))
    return document, problems + found


def _method(document: Document) -> str:
    """The name of the method in a document; empty where none can be read."""
    section = document.values.get("method")
    name = section.get("name") if isinstance(section, dict) else None
    return name if isinstance(name, str) else ""


def _change_method(document: Document, stem: str, before: str, after: str) -> None:
    """Where an override names another method: takes out what the file says of its own alone.

    A learning rate of the base stays: it is the study's.
    """
    if before in ("", after):
        return
    for section in ("description", "tuning"):
        _remove(document, section)
    if isinstance(training := document.values.get("training"), dict):
        document.values["training"] = {k: v for k, v in training.items() if k != "learning_rate"}
    name = str(document.values.get("name", stem))
    document.values["name"] = name.replace(before, after) if before in name else f"{name}-{after}"


def merge(lower: Document, upper: Document) -> Document:
    """``upper`` over ``lower``: sections are merged key by key, lists and values replaced.

    A task or method is replaced as a whole when its name differs, for the keys of one mean
    nothing to another.
    """
    merged = Document(dict(lower.values), dict(lower.places))
    for section in VARIANTS:
        match lower.values.get(section), upper.values.get(section):
            case dict(mine), {"name": name} if name != mine.get("name"):
                _remove(merged, section)
    for key, value in upper.values.items():
        if isinstance(merged.values.get(key), dict) and isinstance(value, dict):
            inner = merge(_section(merged, key), _section(upper, key))
            merged.values[key] = inner.values
            for inner_path, place in inner.places.items():
                merged.places[(key, *inner_path)] = place
        else:
            _remove(merged, key)
            merged.values[key] = value
            merged.places |= {p: place for p, place in upper.places.items() if p[0] == key}
    return merged


def _section(document: Document, key: str) -> Document:
    places = {p[1:]: place for p, place in document.places.items() if p[0] == key and len(p) > 1}
    return Document(document.values[key], places)


def _remove(document: Document, key: str) -> None:
    document.values.pop(key, None)
    for path in [path for path in document.places if path[0] == key]:
        del document.places[path]


def _base_of(path: Path, document: Document, bases: Bases) -> tuple[Document, list[Problem]]:
    name, place = document.values.pop("base"), document.places[("base",)]
    wrong, fix = "", "name a file beside this one, e.g. base: _base.yaml"
    base_path = path.parent / str(name)
    if not isinstance(name, str) or not name or len(name) > 255:
        wrong = "must be the name of a file"
    elif Path(name).is_absolute() or path.resolve().parents[1] not in base_path.resolve().parents:
        wrong = f"{name} is outside this study and its neighbours"
    elif base_path.resolve() == path.resolve():
        wrong = "is this file itself"
    elif not base_path.is_file():
        wrong, fix = f"no such file: {base_path}", ""
    if wrong:
        return Document(), [Problem(**place._asdict(), key="base", what=wrong, fix=fix)]
    if base_path not in bases:
        bases[base_path] = _read_base(base_path)
    return bases[base_path]


def _read_base(path: Path) -> tuple[Document, list[Problem]]:
    base, problems = read_file(path)
    if "base" in base.values:
        at = base.places[("base",)]
        what = "a base cannot have a base itself"
        problems.append(
            Problem(
                file=at.file, line=at.line, key="base", what=what, fix="write its values out here"
            )
        )
        _remove(base, "base")
    return with_paths(base, path.parent), problems


def read_overrides(overrides: Iterable[str]) -> tuple[Document, list[Problem]]:
    document, problems = Document(), []
    for override in overrides:
        key, equals, text = override.partition("=")
        path = tuple(key.strip().split("."))
        if not equals or not all(path):
            what = f"{override!r} is not of the form key.path=value"
            problems.append(Problem(file=OVERRIDE, what=what, fix="e.g. method.r=16"))
            continue
        value, wrong = parse_value(text)
        if wrong:
            fix = "quote a text that holds special characters"
            problems.append(Problem(file=OVERRIDE, key=key_text(path), what=wrong, fix=fix))
            continue
        places: dict[KeyPath, Place] = {path[: n + 1]: Place(OVERRIDE) for n in range(len(path))}
        for part in reversed(path):
            value = {part: value}
        document = merge(document, Document(value, places))
    return document, problems


def flatten(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Values by dotted key, ``method.r``; an empty section has none."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{before}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def with_paths(document: Document, folder: Path) -> Document:
    """Local sources as absolute paths, read from the folder of the file that names them."""
    for section in ("model", "data"):
        content = document.values.get(section)
        if isinstance(content, dict) and isinstance(content.get("source"), str):
            content["source"] = resolve_source(content["source"], folder)
    if isinstance(start := document.values.get("init_from"), str) and start:
        document.values["init_from"] = absolute(start, folder)
    return document
