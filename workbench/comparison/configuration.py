"""In what the recipes of some runs differ, and short names that say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from workbench.recipe.layers import flatten
from workbench.recipe.methods import METHOD_SPECS
from workbench.store import Run

# libyaml reads a recipe in 0.3 ms where the Python reader takes 3 ms.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NAMES = frozenset({"study", "name", "description", "seeds", "tuning"})
_MOST_IN_A_LABEL = 40

MOST_READ = 100
"""Recipes whose files are read to name them or to tell their differences in a sentence.

Reading one takes 0.9 ms; a comparison of 500 has to take less than a second.
"""

Settings = Mapping[str, Any]


@dataclass
class Variant:
    """A recipe as it was run, seeds aside; read from one of its runs."""

    study: str
    recipe: str
    fingerprint: str
    run: Run

    @cached_property
    def settings(self) -> Settings:
        """The values of the recipe by dotted key."""
        return read_settings(self.run)


def config_difference(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """The values that differ between the recipes of some runs, by dotted key, then by recipe.

    Runs of the same recipe and fingerprint count once. A recipe that does not have the key (LoRA
    has no ``method.num_virtual_tokens``) is absent from the inner dictionary, and so is a run whose
    recipe cannot be read.
    """
    first: dict[tuple[str, str, str], Variant] = {}
    for run in runs:
        study, recipe, fingerprint = (
            str(run.status.get(key) or "") for key in ("study", "recipe", "fingerprint")
        )
        variant = Variant(study, recipe or run.path.name, fingerprint, run)
        first.setdefault((study, variant.recipe, fingerprint), variant)
    variants = list(first.values())
    labels = distinct_labels(variants)
    return differing({x: v.settings for x, v in zip(labels, variants, strict=True)})


def differing(settings: Mapping[str, Settings]) -> dict[str, dict[str, Any]]:
    """The same for settings that have a label each; empty ones are ignored."""
    settings = {label: flat for label, flat in settings.items() if flat}
    found: dict[str, dict[str, Any]] = {}
    for key in dict.fromkeys(key for flat in settings.values() for key in flat):
        values = {label: flat[key] for label, flat in settings.items() if key in flat}
        held = list(values.values())
        if len(held) < len(settings) or any(value != held[0] for value in held):
            found[key] = values
    return found


# --- names -----------------------------------------------------------------------------------


def distinct_labels(variants: Sequence[Variant]) -> list[str]:
    """Short distinct names: the recipe's, and only where that is not enough, more.

    Where several share it, the study (``bbc-news/lora``), then the values that differ
    (``lora [r=16]``), then the first digits of the fingerprint, then a running number.
    """
    labels = [variant.recipe for variant in variants]
    labels = _extended(labels, [f"{variant.study}/" for variant in variants], before=True)
    labels = _extended(labels, _values(labels, variants))
    labels = _extended(labels, [f" [{variant.fingerprint[:8]}]" for variant in variants])
    seen: Counter[str] = Counter()
    repeated = Counter(labels)
    for i, label in enumerate(labels):
        seen[label] += 1
        labels[i] = f"{label} #{seen[label]}" if repeated[label] > 1 else label
    return labels


def _extended(labels: list[str], parts: list[str], *, before: bool = False) -> list[str]:
    """Adds a part to those labels that several share with different parts."""
    sharing: dict[str, set[str]] = {}
    for label, part in zip(labels, parts, strict=True):
        sharing.setdefault(label, set()).add(part)
    return [
        (part + label if before else label + part) if len(sharing[label]) > 1 else label
        for label, part in zip(labels, parts, strict=True)
    ]


def _values(labels: Sequence[str], variants: Sequence[Variant]) -> list[str]:
    """For each variant the values that set it apart from others of its label, if they are few."""
    sharing: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        sharing.setdefault(label, []).append(i)
    parts = [""] * len(labels)
    for members in sharing.values():
        if not 1 < len(members) <= MOST_READ:
            continue
        found = differing({str(i): variants[i].settings for i in members})
        for i in members:
            values = [(key, held[str(i)]) for key, held in found.items() if str(i) in held]
            text = ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in values)
            parts[i] = f" [{text}]" if 0 < len(text) <= _MOST_IN_A_LABEL else ""
    return parts


# --- reading ---------------------------------------------------------------------------------


def read_settings(run: Run) -> dict[str, Any]:
    """The resolved recipe of a run by dotted key, without its names and seeds; empty if unreadable.

    A learning rate left to the method is given as the number it stands for.
    """
    text = run.recipe_text()
    try:
        if "&" in text and any(isinstance(e, yaml.AliasEvent) for e in yaml.parse(text, _LOADER)):
            return {}  # aliases can unfold without end, and no recipe is written with them
        recipe = yaml.load(text, _LOADER)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    if not isinstance(recipe, dict):
        return {}
    flat = flatten({key: part for key, part in recipe.items() if key not in _NAMES})
    method = METHOD_SPECS.get(str(flat.get("method.name")))
    if method and flat.get("training.learning_rate", 0) is None:
        flat["training.learning_rate"] = method.default_learning_rate
    return flat
