"""Schema violations in plain words: the key as written, the value found, what is allowed."""

from collections.abc import Sequence
from typing import Any

from pydantic_core import ErrorDetails

from workbench.recipe.base import Finding
from workbench.recipe.json_schema import allowed, keys_at, owners, schema_at, value_at
from workbench.recipe.schema import VARIANTS
from workbench.recipe.suggest import choice, did_you_mean, shown
from workbench.recipe.yaml_reader import KeyPath, key_text


def explain(errors: Sequence[ErrorDetails], values: dict[str, Any]) -> list[Finding]:
    """One finding for each wrong key, however many branches of a union refused it."""
    found: dict[KeyPath, Finding] = {}
    for error in errors:
        path = written_path(error["loc"], values)
        if error["type"] == "literal_error" and isinstance(value_at(path, values), dict):
            continue  # the other branch of the union was meant
        if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
            path = (*path, "name")
        if path not in found:
            found[path] = _finding(path, error["type"], values)
    return [f for p, f in found.items() if not any(p[:n] in found for n in range(1, len(p)))]


def written_path(location: Sequence[str | int], values: Any) -> KeyPath:
    """Pydantic's location without its union branches: ``method.r``, not ``method.lora.r``."""
    path: list[str | int] = []
    parts = list(location)
    if len(parts) > 1 and parts[1] in VARIANTS.get(str(parts[0]), ()):
        del parts[1]
    for part in parts:
        if isinstance(values, dict) and isinstance(part, str):
            if part not in values and "[" in part:  # a branch: dict[str,float]
                continue
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int):
            values = values[part]
        else:
            continue
        path.append(part)
    return tuple(path)


def _finding(path: KeyPath, kind: str, values: dict[str, Any]) -> Finding:
    if kind == "extra_forbidden":
        return _unknown_key(path, values)
    value, node = value_at(path, values), schema_at(path, values)
    if kind in ("missing", "union_tag_not_found"):
        variants = VARIANTS.get(str(path[0]), {}) if path[1:] == ("name",) else {}
        options = f": {', '.join(variants)}" if variants else ""
        about = node.get("description", "").rstrip(".")
        return Finding(path, "missing", f"needed{options}{': ' + about if about else ''}")
    if kind == "union_tag_invalid":
        what = f"found {shown(value)}, which is not a {path[0]}"
        return Finding(path, what, choice(value, VARIANTS[str(path[0])]))
    if len(path) == 1 and path[0] in VARIANTS and isinstance(value, str):
        return Finding(path, f"found {shown(value)}", f"write `{path[0]}: {{name: {value}}}`")
    nearest = did_you_mean(value, node["enum"]) if "enum" in node else ""
    return Finding(path, f"found {shown(value)}, must be {allowed(node)}", nearest)


def _unknown_key(path: KeyPath, values: dict[str, Any]) -> Finding:
    section, key = path[:-1], str(path[-1])
    if key == "trust_remote_code":
        why = "code that comes with a model or data set is never run"
        return Finding(path, f"not supported: {why}", "remove it; choose a built-in architecture")
    sections, variants = owners(key)
    section_name = str(section[0]) if len(section) == 1 else ""
    own = variants.get(section_name, [])
    name = value_at((section_name, "name"), values) if section_name in VARIANTS else None
    if own:
        noun = section_name if len(own) == 1 else f"{section_name}s"
        what = f"`{key}` belongs to {noun} {', '.join(own)}; this is {name}"
        return Finding(path, what, did_you_mean(key, keys_at(section, values)) or "remove it")
    valid = keys_at(section, values)
    of = f" of {section_name} {name}" if name else ""
    if nearest := did_you_mean(key, valid):
        return Finding(path, f"unknown key{of}", nearest)
    if homes := [*sections, *variants]:
        return Finding(path, "unknown key here", f"`{key}` belongs under `{homes[0]}:`")
    place = key_text(section) or "a recipe"
    return Finding(path, f"unknown key{of}", f"{place} has: {', '.join(valid)}")
