"""What the strict reader takes for what, and what it refuses, with both of PyYAML's parsers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from workbench.recipe import yaml_reader
from workbench.recipe.yaml_reader import MAX_BYTES, dump, parse_value, read_file, read_text


@pytest.fixture(autouse=True, params=["libyaml", "pure Python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = yaml.CSafeLoader if request.param == "libyaml" else yaml.SafeLoader
    monkeypatch.setattr(yaml_reader, "_PARSER", loader)


def only_problem(text: str) -> Any:
    _, problems = read_text(text, "r.yaml")
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-4", 1e-4), ("3e-3", 3e-3), ("5E-5", 5e-5), ("1.", 1.0), (".5", 0.5),
        ("-2.5e+3", -2500.0),
        ("8", 8), ("+2", 2), ("0x10", 16), ("0o7", 7), ("010", 10),
        ("true", True), ("FALSE", False), ("null", None), ("~", None),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("2020-01-01", "2020-01-01"), ("12:30:45", "12:30:45"), ("1_000", "1_000"),
        ('"1e-4"', "1e-4"), ("'true'", "true"), ("nan", "nan"), ("=", "="),
        (".inf", math.inf), ("-.Inf", -math.inf),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(written: str, value: Any) -> None:
    document, problems = read_text(f"key: {written}", "r.yaml")
    assert not problems
    assert document.values["key"] == value
    assert type(document.values["key"]) is type(value)


def test_nan_is_a_number() -> None:
    document, _ = read_text("key: .nan", "r.yaml")
    assert math.isnan(document.values["key"])


def test_every_key_has_its_line() -> None:
    text = "a: 1\n\nb:\n  c: 2  # comment\n  d: {e: 3,\n      f: [4,\n 5]}\n"
    document, problems = read_text(text, "r.yaml")
    assert not problems
    assert document.values == {"a": 1, "b": {"c": 2, "d": {"e": 3, "f": [4, 5]}}}
    lines = {path: place.line for path, place in document.places.items()}
    assert lines[("a",)] == 1 and lines[("b", "c")] == 4
    assert lines[("b", "d", "f")] == 6 and lines[("b", "d", "f", 1)] == 7


@pytest.mark.parametrize(
    ("text", "line", "key", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a", "written twice, first in line 1"),
        ("m:\n  r: 1\n  r: 2\n", 3, "m.r", "written twice, first in line 2"),
        ("a: &x 1\n", 1, "a", "anchors and aliases (& and *) are not allowed"),
        ("a: 1\nb: *x\n", 2, "b", "anchors and aliases (& and *) are not allowed"),
        ("a: !!python/object/apply:os.system [x]", 1, "a", "the tag tag:yaml.org,2002:python/"),
        ("a: !!str 1", 1, "a", "the tag tag:yaml.org,2002:str is not allowed"),
        ("a: !x 1", 1, "a", "the tag !x is not allowed"),
        ("1: a\n", 1, "", "1 is not a word and cannot be a key"),
        ("true: a\n", 1, "", "True is not a word and cannot be a key"),
        ("? [a]\n: 1\n", 1, "", "['a'] is not a word and cannot be a key"),
        ("a: 1\n--- \nb: 1\n", 2, "", "holds a second document"),
        ("a: " + "[" * 60 + "]" * 60, 1, "", "nested more than 20 deep"),
        ("a: " + "9" * 5000, 1, "a", "a number of 5000 characters"),
        ('a: "x\\0y"', 1, "a", "holds a NUL character"),
        ("a: b: c", 1, "", "not valid YAML"),
        ("a: [1", None, "", "not valid YAML"),
        ("", None, "", "is empty"),
        ("# only a comment\n", None, "", "is empty"),
        ("- a\n- b\n", None, "", "is not a list of `key: value` lines"),
        ("just text", None, "", "is not a list of `key: value` lines"),
        ("a: 1\nb: \0\n", 2, "", "holds a NUL character"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, line: int | None, key: str, what: str) -> None:
    problem = only_problem(text)
    assert problem.file == "r.yaml" and problem.key == key
    assert problem.what.startswith(what)
    if line is not None:
        assert problem.line == line


def test_several_problems_of_one_file_come_together() -> None:
    _, problems = read_text("a: 1\na: 2\nb: !x 1\nc: &y 2\n", "r.yaml")
    assert [p.line for p in problems] == [2, 3, 4]


def test_an_alias_bomb_is_refused_without_being_built() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    _, problems = read_text("\n".join(levels), "r.yaml")
    assert problems and all("anchors and aliases" in p.what for p in problems)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"a: 1\nb: \xa35\n")
    _, (problem,) = read_file(path)
    assert (problem.line, problem.what) == (2, "byte 0xa3 at offset 8 is not UTF-8")
    path.write_bytes(b"# " + b"x" * MAX_BYTES)
    _, (problem,) = read_file(path)
    assert problem.what == "262,146 bytes; a recipe has at most 262,144"
    _, (problem,) = read_file(tmp_path / "none.yaml")
    assert problem.what == "no such file"
    _, (problem,) = read_file(tmp_path)
    assert problem.what == "is a folder, not a file"


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: x\r\n")
    document, problems = read_file(path)
    assert not problems and document.values == {"a": 1, "b": "x"}


@pytest.mark.parametrize(
    ("text", "value"), [("3e-3", 3e-3), ("[0, 1]", [0, 1]), ("{a: 1}", {"a": 1}), ("", None)]
)
def test_values_of_overrides(text: str, value: Any) -> None:
    assert parse_value(text) == (value, "")


@pytest.mark.parametrize("text", ["[1", "*x", "a\nb: 1", "\ud83d"])
def test_values_of_overrides_that_are_refused(text: str) -> None:
    value, wrong = parse_value(text)
    assert value is None and wrong


def test_dump_reads_back_equal() -> None:
    values = {
        "texts": ["1e-4", "yes", "~", "", "0o7", ".inf", "null", "a: b", "é", "- x", "2020-01-01"],
        "numbers": [1e-5, 5e-324, 1, -3, 0.1, 16.0],
        "others": [True, None, {"a": []}],
    }
    document, problems = read_text(dump(values), "r.yaml")
    assert not problems and document.values == values
