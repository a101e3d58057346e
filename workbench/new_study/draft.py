"""The recipes of a new study: what they share, and what each method starts from."""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from workbench.assets import ASSETS
from workbench.data.preview import Preview
from workbench.errors import RecipeError, UsageError
from workbench.new_study.questions import OPTIONS, Given, Guess, Reason
from workbench.recipe import Recipe, build, readable_recipes, recipes_dir
from workbench.recipe.catalogue import SINGLE
from workbench.recipe.layers import Document, flatten, merge, read_overrides
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.schema import check_name
from workbench.recipe.sources import ASSET_PREFIX, resolve_source
from workbench.recipe.tasks import TASK_SPECS
from workbench.recipe.yaml_reader import key_text

METHODS = ("full", "lora", "prompt")
SEEDS = (0, 1, 2)
MOST_TESTED = 2000
"""Test texts of a new study: with more the same differences show, and the test takes longer."""
MOST_WRITTEN = 200
"""The same where each answer has to be written."""
STEPS = 150
"""Optimizer steps that a small data set is passed over for."""
EPOCHS = (3, 10)
BATCH_SIZE = 16
LONGEST = 512
"""Tokens of a text while nobody knows how long texts are."""
_OF_METHOD = re.compile(r"\s*([\w-]+):(?=\s*[\w.]+\s*=)")


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What somebody has chosen; what is None or empty is chosen for them.

    Attributes:
        source: the data, as ``data.source`` of a recipe in the current folder.
        data: keys of a recipe's ``data`` that say how rows are read.
        keep_labels: labels that look alike are different ones.
        overrides: ``key.path=value`` that all recipes share, ``method:key.path=value`` for one.
    """

    name: str
    source: str
    given: Given = Given()
    model: str | None = None
    methods: tuple[str, ...] = METHODS
    seeds: tuple[int, ...] = SEEDS
    data: Mapping[str, Any] = field(default_factory=dict)
    keep_labels: bool = False
    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name, where="the study's name")
        known = [name for name in METHOD_SPECS if name != "peft"]
        wrong = [name for name in self.methods if name not in known]
        if wrong or len(set(self.methods)) < len(self.methods) or not self.methods:
            what = f"no method called {wrong[0]!r}" if wrong else "name each method once"
            raise UsageError(what, where="--methods", fix=f"some of: {', '.join(known)}")
        for each in self.overrides:
            if (method := method_of(each)) and method not in self.methods:
                what = f"{each!r} is for {method!r}, which is not among the methods"
                raise UsageError(what, where="--set", fix=f"one of: {', '.join(self.methods)}")

    def arguments(self) -> list[str]:
        """The words of the command that makes this study."""
        words = ["workbench", "new", self.name, "--data", self.source]
        for key, value in self.given._asdict().items():
            if key == "group" and value == "":
                words.append("--no-group")
            elif value is not None:
                words += [OPTIONS[key], value if isinstance(value, str) else ",".join(value)]
        words += ["--model", self.model] if self.model else []
        words += ["--methods", ",".join(self.methods)] if self.methods != METHODS else []
        if self.seeds != SEEDS:
            counted = self.seeds == tuple(range(len(self.seeds)))
            words += ["--seeds", str(len(self.seeds)) if counted else _listed(self.seeds)]
        words += ["--drop-unusable"] if self.data.get("unusable_rows") == "drop" else []
        merged = self.data.get("merge_labels") or {}
        words += [w for one, other in merged.items() for w in ("--merge-labels", f"{one}={other}")]
        words += ["--keep-labels"] if self.keep_labels else []
        return words + [word for each in self.overrides for word in ("--set", each)]

    def command(self) -> str:
        return shlex.join(self.arguments())


def _listed(seeds: Sequence[int]) -> str:
    return ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A study that is not written yet.

    Attributes:
        base: what all recipes share.
        own: what each method has of its own, by its name.
        origin: where the values of each method come from.
        reasons: what was guessed and why.
    """

    choices: Choices
    base: dict[str, Any]
    own: Mapping[str, dict[str, Any]]
    origin: Mapping[str, str]
    reasons: tuple[Reason, ...]

    def recipes(self) -> list[Recipe]:
        """One for each method.

        Raises:
            RecipeError: with all that does not go together.
        """
        recipes, problems = [], []
        for name, own in self.own.items():
            document = merge(Document(self.base), Document(own)).values
            values = {"study": self.choices.name, "name": name, **document}
            for section in ("model", "data"):
                source = resolve_source(values[section]["source"], Path.cwd())
                values[section] = {**values[section], "source": source}
            recipe, found = build(values, file=name)
            problems += found
            recipes += [recipe] if recipe is not None else []
        if problems:
            raise RecipeError(list(dict.fromkeys(problems)))
        return recipes

    def with_value(self, section: str, reason: Reason, value: Any) -> "Draft":
        """The same with another value, named as the reason is, unless somebody has set it."""
        key = reason.key
        if key in shared_overrides(self.choices.overrides).get(section, {}):
            return self
        base = {**self.base, section: {**self.base[section], key: value}}
        return replace(self, base=base, reasons=(*self.reasons, reason))


def shared_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """The values of ``--set``, as all recipes of a study share them.

    Raises:
        RecipeError: when one cannot be read.
        UsageError: when one belongs to a method.
    """
    document, problems = read_overrides(each for each in overrides if not method_of(each))
    if problems:
        raise RecipeError(problems)
    for key in map(key_text, document.places):
        if key.startswith("method.") or key == "training.learning_rate":
            what = f"{key} belongs to one method"
            raise UsageError(what, where="--set", fix=f"say which, e.g. --set lora:{key}=VALUE")
    return dict(document.values)


def method_of(override: str) -> str:
    """The method that a value of ``--set`` is for; empty where all recipes share it."""
    found = _OF_METHOD.match(override)
    return found[1] if found else ""


def own_overrides(method: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The values of ``--set`` that are for a method.

    Raises:
        RecipeError: when one cannot be read.
        UsageError: when one is no setting of a method or of its training.
    """
    mine = [each.partition(":")[2] for each in overrides if method_of(each) == method]
    document, problems = read_overrides(mine)
    if problems:
        raise RecipeError(problems)
    for key in flatten(document.values):
        if key == "method.name" or not key.startswith(("method.", "training.")):
            what = f"{key} cannot differ between the methods of a study"
            fix = "set method.* and training.* for one method, and the rest for all"
            raise UsageError(what, where="--set", fix=fix)
    return dict(document.values)


def draft(found: Preview, guess: Guess, choices: Choices) -> Draft:
    """The study for some data, as far as it is known before the rows are checked."""
    data = {"source": found.spec.source, **guess.data, **choices.data}
    if found.spec.splits is not None:
        data["splits"] = found.spec.splits.model_dump(exclude_none=True)
    said = shared_overrides(choices.overrides)
    reasons = [each for each in guess.reasons if each.key not in said.get("task", {})]
    if (separator := found.spec.separator) != "auto":
        data["separator"] = separator
        if "separator" not in said.get("data", {}):
            why = f"the first line has {separator}s where others would stand"
            reasons.append(Reason("separator", separator, why))
    model, why = _model(choices, guess)
    task = TASK_SPECS[guess.task["name"]]
    reasons += [Reason("model", model, why)] if why else []
    data |= said.get("data", {})
    kind = task.model_validate(guess.task).kind
    drawn = "classes in proportion" if kind == SINGLE else "drawn at random"
    data, reason = _test_split(data, found, MOST_WRITTEN if task.writes else MOST_TESTED, drawn)
    base: dict[str, Any] = {
        "task": guess.task,
        "model": {"source": model, "max_length": LONGEST},
        "data": data,
        "training": {"epochs": EPOCHS[0], "batch_size": BATCH_SIZE},
        "seeds": list(choices.seeds),
    }
    base = merge(Document(base), Document(said)).values
    made = Draft(choices=choices, base=base, own={}, origin={}, reasons=(*reasons, reason))
    return with_methods(made, found.sizes["train"])


def _model(choices: Choices, guess: Guess) -> tuple[str, str]:
    if choices.model:
        return choices.model, ""
    families = TASK_SPECS[guess.task["name"]].families
    for name, asset in ASSETS.items():
        if asset.kind == "model" and asset.family in families:
            return f"{ASSET_PREFIX}{name}", f"embedded {asset.family}: {asset.about}"
    raise AssertionError(families)  # every family has one


def _test_split(
    data: dict[str, Any], found: Preview, most: int, drawn: str
) -> tuple[dict[str, Any], Reason]:
    """How the test rows are chosen."""
    own = found.spec.splits
    if own is not None and own.test is not None:
        return data, Reason("test", own.test, "a file of its own")
    if "split_column" in data:
        return data, Reason("test", data["split_column"], "the column says which rows")
    whole = f", whole groups of {data['group']} on one side" if data.get("group") else ""
    if "test_size" in data:
        return data, Reason("test", str(data["test_size"]), f"as said; {drawn}{whole}")
    size: int | float = 0.2 if found.sizes["train"] * 0.2 <= most else most
    shown = "20% of the rows" if isinstance(size, float) else f"{size:,} rows"
    return {**data, "test_size": size}, Reason("test", shown, f"{drawn}{whole}")


def with_methods(made: Draft, examples: int) -> Draft:
    """The draft with what each method starts from, for so many training rows."""
    own, origin = {}, {}
    for name in made.choices.methods:
        own[name], origin[name] = start_of(name, made.base, examples)
        if said := own_overrides(name, made.choices.overrides):
            own[name] = merge(Document(own[name]), Document(said)).values
            origin[name] += f"; set by hand: {', '.join(flatten(said))}"
    return replace(made, own=own, origin=origin)


@cache
def _shipped() -> tuple[Recipe, ...]:
    return tuple(readable_recipes(recipes_dir())[0].values())


def start_of(method: str, base: Mapping[str, Any], examples: int) -> tuple[dict[str, Any], str]:
    """The values of the shipped recipe for the same model and method that is nearest in task and
    number of examples; else the method's own defaults."""
    near: list[tuple[bool, float, str, Recipe]] = []
    for recipe in _shipped():
        same = recipe.model.source == base["model"]["source"] and recipe.name == method
        if same and recipe.method.name == method:
            size = recipe.data.train_size
            known = isinstance(size, int)
            apart = abs(math.log(size / max(examples, 1))) if known and size else math.inf
            other = recipe.task.name != base["task"]["name"]
            near.append((other, apart, recipe.study, recipe))
    if not near:
        rate = METHOD_SPECS[method].default_learning_rate
        return {"method": {"name": method}}, f"learning rate {rate:g}, the method's default"
    *_, study, recipe = min(near, key=lambda each: each[:3])
    values = recipe.method.model_dump(mode="json", exclude_defaults=True)
    rate = recipe.learning_rate
    own = {"method": {**values, "name": method}, "training": {"learning_rate": rate}}
    return own, f"learning rate {rate:g}, as tuned for this model in {study}"


def lengths(made: Draft, examples: int) -> Draft:
    """The draft with as many epochs as so many training rows need."""
    fewest, most = EPOCHS
    if not TASK_SPECS[made.base["task"]["name"]].new_head:
        fewest = 1
    epochs = min(most, max(fewest, math.ceil(STEPS * BATCH_SIZE / max(examples, 1))))
    why = f"{examples:,} training rows in batches of {BATCH_SIZE}"
    return made.with_value("training", Reason("epochs", str(epochs), why), epochs)
