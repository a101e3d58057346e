"""What somebody has changed by hand in the recipes of a study that `workbench new` made."""

import json
import math
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from workbench.analysis.records import get_section
from workbench.errors import RecipeError
from workbench.new_study.existing import Study
from workbench.new_study.questions import Given
from workbench.new_study.write import BASE
from workbench.recipe.layers import flatten, read_layers
from workbench.recipe.yaml_reader import read_text
from workbench.store import read_whole

_REASON = re.compile(r"# (\w+): (.+?) \(")
_NUMBER = re.compile(r"([\d,]*\.?\d+)(%?)( .+)?")
_REASON_OF = {"test_size": "test", "max_new_tokens": "decoding", "name": "task"}
"""What the reason of a setting is called where that is not its name."""
_CHOSEN = ("model.source", "data.source", "data.splits", "data.unusable_rows", "data.merge_labels")
_OPTIONAL = ("text_pair", "group")
_QUESTIONS = {"task.name": "task"} | {
    f"{'task' if key == 'problem_type' else 'data'}.{key}": key
    for key in Given._fields
    if key != "task"
}


class HandEdits(NamedTuple):
    """Settings by dotted key that are not as they were made.

    Attributes:
        base: the sections of the recipe that all share.
        model: the base model, where no reason says that it was chosen for them.
        given: answers to what a new study asks of its data.
        shared: what all recipes have, and no new study asks for.
        own: settings of the training of one method.
        alone: what else one method has for itself, as no new study can: ``method: key=value``.
    """

    base: dict[str, Any]
    model: str | None
    given: dict[str, Any]
    shared: dict[str, Any]
    own: dict[str, dict[str, Any]]
    alone: list[str]


def hand_edits(study: Study, asked: Collection[str]) -> HandEdits:
    """The settings of a study's files that differ from what their comments say was made.

    Args:
        asked: settings of the training that are asked for each method.
    """
    text, base, values = *_read(study.folder / BASE), _layers(study.folder / BASE)
    reasons = dict(_REASON.findall(text))
    changed = {
        key: value
        for key, value in flatten(base).items()
        if key.partition(".")[0] in ("task", "model", "data", "training", "evaluation")
        and not _is_as_made(value, reasons.get(_reason_of(key)))
        and not any(f"{key}.".startswith(f"{chosen}.") for chosen in _CHOSEN)
    }
    given = {_QUESTIONS[key]: value for key, value in changed.items() if key in _QUESTIONS}
    given |= {
        key: "" for key in _OPTIONAL if key in reasons and key not in get_section(base, "data")
    }
    shared = {key: value for key, value in changed.items() if key not in _QUESTIONS}
    if "init_from" in base:
        shared["init_from"] = values["init_from"]
    own, alone = _of_methods(study, flatten(values))
    source = get_section(values, "model").get("source")
    return HandEdits(
        base=values,
        model=None if _is_as_made(source, reasons.get("model")) else source,
        given=given,
        shared=_unasked(shared, asked),
        own={method: _unasked(training, asked) for method, training in own.items()},
        alone=alone,
    )


def _of_methods(study: Study, base: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What each method has that the base has not, or otherwise: of its training, and the rest."""
    methods = {recipe.name: recipe.method.name for recipe in study.recipes}
    own: dict[str, dict[str, Any]] = {method: {} for method in methods.values()}
    alone = []
    for file in sorted(study.folder.glob("[!._]*.yaml")):
        values = _layers(file)
        method = methods.get(str(values.get("name", file.stem)))
        if method is None:
            continue
        for key, value in flatten(values).items():
            section, _, setting = key.partition(".")
            if section in ("name", "study", "method") or (key in base and base[key] == value):
                continue
            if section != "training":
                alone.append(f"{method}: {key}={json.dumps(value, default=str)}")
            elif setting:
                own[method][key] = value
    return own, alone


def _unasked(values: dict[str, Any], asked: Collection[str]) -> dict[str, Any]:
    known = {f"training.{key}" for key in asked}
    return {key: value for key, value in values.items() if key not in known}


def _layers(file: Path) -> dict[str, Any]:
    """What a recipe file says with its base; empty where it cannot be read."""
    with suppress(OSError, RecipeError):
        return dict(read_layers(file, (), {})[0].values)
    return {}


def _read(file: Path) -> tuple[str, dict[str, Any]]:
    with suppress(OSError, UnicodeDecodeError):
        text = read_whole(file)
        return text, dict(read_text(text, str(file))[0].values)
    return "", {}


def _reason_of(key: str) -> str:
    name = key.rpartition(".")[2]
    return _REASON_OF.get(name, name)


def _is_as_made(value: Any, reason: str | None) -> bool:
    """Whether a setting is what the reason for it says: ``64 tokens``, ``20% of the rows``."""
    if reason is None:
        return False
    if isinstance(value, bool) or not isinstance(value, int | float):
        names = value if isinstance(value, list) else [value]
        return ", ".join(map(str, names)).casefold() == reason.casefold()
    told = _NUMBER.fullmatch(reason)
    number = float(told[1].replace(",", "")) if told else math.nan
    return math.isclose(value, number / 100 if told and told[2] else number)
