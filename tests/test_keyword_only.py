"""What takes more than four values is given them by name."""

import ast
from collections.abc import Iterator

import pytest

from tests.test_layers import ROOT

MOST = 4
"""Values that a reader can tell apart by their order."""
SOURCES = [path for name in ("workbench", "ui") for path in sorted((ROOT / name).rglob("*.py"))]


def many_by_position(tree: ast.AST) -> Iterator[str]:
    """Names of the classes that take more than ``MOST`` values by position."""
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for name, node in classes.items():
        made = next((each for each in node.body if getattr(each, "name", "") == "__init__"), None)
        if isinstance(made, ast.FunctionDef) and len(made.args.args) > MOST + 1:  # and self
            yield name
        decorators = [ast.unparse(each) for each in node.decorator_list]
        by_position = any("dataclass" in each and "kw_only=True" not in each for each in decorators)
        if by_position and len(_fields(node, classes)) > MOST:
            yield name


def _fields(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> set[str]:
    """Those of the bases in the same file too."""
    bases = [classes[base.id] for base in node.bases if getattr(base, "id", "") in classes]
    inherited = set().union(*(_fields(base, classes) for base in bases))
    own = [each for each in node.body if isinstance(each, ast.AnnAssign)]
    kept = [
        each for each in own if not any(s in ast.unparse(each) for s in ("ClassVar", "init=False"))
    ]
    return inherited | {ast.unparse(each.target) for each in kept}


def test_classes_of_many_fields_are_made_by_keyword():
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        for name in many_by_position(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert len(SOURCES) > 100 and not found


@pytest.mark.parametrize(
    "source",
    [
        "@dataclass\nclass A:\n    a: int\n    b: int\n    c: int\n    d: int\n    e: int = 0",
        "@dataclass(frozen=True)\nclass A:\n a: int\n b: int\n c: int\n d: int\n e: int",
        "@dataclass\nclass B:\n    a: int\n    b: int\n    c: int\n"
        "@dataclass\nclass A(B):\n    d: int\n    e: int",
        "class A:\n    def __init__(self, a, b, c, d, e): ...",
    ],
)
def test_the_check_sees_many_fields(source: str):
    assert list(many_by_position(ast.parse(source))) == ["A"]
