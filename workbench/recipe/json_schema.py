"""The recipe's JSON Schema: what editors complete from, and the words of error messages."""

import functools
from typing import Any

from workbench.recipe.model_spec import MODULE
from workbench.recipe.schema import VARIANTS, Recipe
from workbench.recipe.tasks import TASK_SPECS
from workbench.recipe.yaml_reader import KeyPath

Node = dict[str, Any]

MERGED_SECTIONS = ("ModelSpec", "DataSpec", *(spec.__name__ for spec in TASK_SPECS.values()))
"""Sections that a file may give in part, because its base holds the rest."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe file, for editors (``recipes/schema.json``).

    Nothing is required at the top: a file may leave to its base whatever does not differ.
    """
    schema = Recipe.model_json_schema()
    properties = {
        "base": {
            "type": "string",
            "description": "File with the values that the recipes of a study share.",
        },
        **schema["properties"],
    }
    definitions = {
        name: {k: v for k, v in node.items() if k != "required" or name not in MERGED_SECTIONS}
        for name, node in schema["$defs"].items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "workbench recipe",
        "description": schema["description"],
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "$defs": definitions,
    }


@functools.cache
def _root() -> Node:
    return Recipe.model_json_schema()


def schema_at(path: KeyPath, values: Any) -> Node:
    """The schema of the value at a key path; empty where the recipe knows no such key.

    ``values`` is what was written, needed to know which task's or method's keys apply.
    """
    node, value = _resolved(_root()), values
    for part in path:
        node = _variant(node, value)
        if isinstance(part, int):
            node = _resolved(_option(node, "items").get("items", {}))
        else:
            properties = _properties(node)
            node = _resolved(properties[part] if part in properties else _values_schema(node))
        value = value_at((part,), value)
    return _variant(node, value)


def keys_at(path: KeyPath, values: Any) -> list[str]:
    """The keys that the section at a path may hold."""
    return list(_properties(schema_at(path, values)))


def owners(key: str) -> tuple[list[str], dict[str, list[str]]]:
    """The plain sections that have a key of this name, and the tasks and methods that have it."""
    properties = _root()["properties"]
    sections = [
        name
        for name in properties
        if name not in VARIANTS and key in _properties(_resolved(properties[name]))
    ]
    variants = {
        section: [name for name, spec in specs.items() if key in spec.model_fields]
        for section, specs in VARIANTS.items()
        if key != "name"
    }
    return sections, {section: names for section, names in variants.items() if names}


def allowed(node: Node) -> str:
    """What a schema allows, in words: ``a whole number from 1 to 512``."""
    node = _resolved(node)
    if "anyOf" in node:
        return " or ".join(allowed(option) for option in node["anyOf"])
    if "const" in node:
        return f'"{node["const"]}"'
    if "enum" in node:
        return f"one of {', '.join(node['enum'])}"
    kind = node.get("type")
    if kind in ("integer", "number"):
        word = "a whole number" if kind == "integer" else "a number"
        return f"{word}{_range(node)}"
    if kind == "string":
        return _text(node)
    if kind == "array":
        least = f" of at least {node['minItems']}" if "minItems" in node else ""
        return f"a list{least}, each {allowed(node.get('items', {}))}"
    words = {"boolean": "true or false", "null": "null", "object": "a section of `key: value`"}
    return words.get(str(kind), "a section of `key: value`" if "oneOf" in node else "a value")


def _range(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    limits = {"above": above, "of at least": low, "below": below, "at most": high}
    parts = [f"{word} {limit:g}" for word, limit in limits.items() if limit is not None]
    return f" {' and '.join(parts)}" if parts else ""


def _text(node: Node) -> str:
    if node.get("pattern") == MODULE:
        return "a module's name, of letters, digits, '_' and '.'"
    if "pattern" in node:
        return "a name of letters, digits, '.', '_' and '-' (80 at most, letter or digit first)"
    if "maxLength" in node:
        return f"text of at most {node['maxLength']} characters"
    return "a text that is not empty" if node.get("minLength") else "a text"


def _resolved(node: Node) -> Node:
    reference = node.get("$ref")
    return _root()["$defs"][reference.rpartition("/")[2]] if reference else node


def _variant(node: Node, value: Any) -> Node:
    """The branch of a union that the written ``name`` selects."""
    mapping = node.get("discriminator", {}).get("mapping", {})
    name = value.get("name") if isinstance(value, dict) else None
    reference = mapping.get(name) if isinstance(name, str) else None
    return _resolved({"$ref": reference}) if reference else node


def _option(node: Node, key: str) -> Node:
    """The branch of a union that has a key of JSON Schema, such as ``properties``."""
    options = [_resolved(option) for option in node.get("anyOf", [node])]
    return next((option for option in options if key in option), {})


def _properties(node: Node) -> Node:
    properties: Node = _option(node, "properties").get("properties", {})
    return properties


def _values_schema(node: Node) -> Node:
    """The schema of each value of a section whose keys are not fixed; empty for any other."""
    values: Any = _option(node, "additionalProperties").get("additionalProperties")
    return values if isinstance(values, dict) else {}


def value_at(path: KeyPath, values: Any) -> Any:
    """What was written at a key path; None where nothing was."""
    for part in path:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            return None
    return values
