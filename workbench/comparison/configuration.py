"""The settings of recipes as they were run, and in what they differ."""

from collections.abc import Mapping
from typing import Any

import yaml

from workbench.recipe.layers import flatten
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.renamed import ADDED
from workbench.recipe.schema import USUAL_EVAL_BATCH
from workbench.store import Run

# libyaml reads a recipe in 0.3 ms where the Python reader takes 3 ms.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_ASIDE = frozenset({"study", "name", "description", "seeds", "tuning", "evaluation"})
"""What changes no adapter and no score."""

MOST_READ = 100
"""Recipes that are read to be named or told apart: one takes 0.9 ms, and a comparison of 500 has
to take less than a second."""

MOST_LEVELS = 32
"""Sections of a recipe inside each other; ours have four."""

Settings = Mapping[str, Any]


def differing(settings: Mapping[str, Settings]) -> dict[str, dict[str, Any]]:
    """The values that differ between some settings, by dotted key, then by label.

    Settings without a key (LoRA has no ``method.num_virtual_tokens``) are absent from its values;
    empty ones, of a recipe that cannot be read, are ignored.
    """
    settings = {label: flat for label, flat in settings.items() if flat}
    found: dict[str, dict[str, Any]] = {}
    for key in dict.fromkeys(key for flat in settings.values() for key in flat):
        values = {label: flat[key] for label, flat in settings.items() if key in flat}
        given = list(values.values())
        if len(given) < len(settings) or any(value != given[0] for value in given):
            found[key] = values
    return found


def read_settings(run: Run) -> dict[str, Any]:
    """The resolved recipe by dotted key, without names, seeds and what is measured besides; with
    the learning rate that it stands for. Empty if unreadable."""
    text = run.recipe_text()
    try:
        recipe = yaml.load(text, _LOADER) if _is_plain(text) else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    if not isinstance(recipe, dict):
        return {}
    flat = flatten({key: part for key, part in recipe.items() if key not in _ASIDE})
    flat |= {key: value for key, value in ADDED.items() if key not in flat}  # of an older version
    if flat.get("training.eval_batch_size") == "auto":  # 32 in recipes of earlier versions
        flat["training.eval_batch_size"] = USUAL_EVAL_BATCH
    method = METHOD_SPECS.get(str(flat.get("method.name")))
    if method and flat.get("training.learning_rate", 0) is None:
        flat["training.learning_rate"] = method.default_learning_rate
    return flat


def _is_plain(text: str) -> bool:
    """False for what no recipe is written with: aliases, which can unfold without end, and sections
    inside each other by the thousand, over which libyaml's reader ends the process."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MOST_LEVELS or isinstance(event, yaml.AliasEvent):
            return False
    return True
