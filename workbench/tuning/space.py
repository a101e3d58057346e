"""What a search may try: which keys of a recipe, between which values, and the recipe it makes."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any

from workbench.errors import Problem, RecipeError, UsageError
from workbench.recipe import Recipe, build
from workbench.recipe.layers import flatten
from workbench.recipe.suggest import did_you_mean
from workbench.recipe.yaml_reader import parse_value

LEARNING_RATE = "training.learning_rate"
AROUND = 10.0
DIGITS = 3
"""Significant digits of a number that is tried, so that a recipe can repeat it exactly."""
SECTIONS = ("method", "training")
"""Where a search may change values; elsewhere it would change what is compared."""
OPTION = "--search"
EXAMPLE = "method.r=4,8,16 or training.learning_rate=1e-4..1e-2"

Scalar = str | int | float | bool | None
Values = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """Numbers between two positive ones, drawn evenly on a logarithmic scale."""

    low: float
    high: float

    @property
    def is_integer(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def holds(self, value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high

    def ends(self) -> tuple[Scalar, ...]:
        return (self.low, self.high)

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@dataclass(frozen=True)
class Choices:
    """A few values, none nearer to one than to another."""

    values: tuple[Scalar, ...]

    def holds(self, value: Any) -> bool:
        return value in self.values

    def ends(self) -> tuple[Scalar, ...]:
        return self.values

    def __str__(self) -> str:
        return ",".join("null" if value is None else str(value) for value in self.values)


Space = dict[str, Range | Choices]


def parse_searches(texts: Iterable[str]) -> Space:
    """The keys and values of ``KEY=A..B`` and ``KEY=A,B,C``; a UsageError names what is neither."""
    space: Space = {}
    for text in texts:
        key, equals, wanted = (part.strip() for part in text.partition("="))
        if not text.isprintable() or not equals or not key or not wanted:
            raise UsageError(f"{text!r} is not of the form KEY=VALUES", where=OPTION, fix=EXAMPLE)
        if key in space:
            fix = "write all its values in one --search"
            raise UsageError(f"{key} is searched twice", where=OPTION, fix=fix)
        if key.partition(".")[0] not in SECTIONS or key.endswith(".name"):
            raise UsageError(
                f"{key} cannot be searched",
                where=OPTION,
                why="it would change what is compared; a search changes method.* and training.*",
                fix=EXAMPLE,
            )
        space[key] = _range(key, wanted) if ".." in wanted else _choices(key, wanted)
    return space


def _range(key: str, text: str) -> Range:
    scalars = [_scalar(key, part) for part in text.split("..", 1)]
    ends = [x for x in scalars if isinstance(x, int | float) and not isinstance(x, bool)]
    if len(ends) < 2:
        what = f"{key}: {text!r} is not a range of two numbers"
        raise UsageError(what, where=OPTION, fix=EXAMPLE)
    low, high = ends
    if not 0 < low < high < math.inf:
        fix = f"list the values instead, e.g. {key}=0,0.1,0.2"
        if 0 < high < low < math.inf:
            fix = f"did you mean {key}={high}..{low}?"
        why = "a range is sampled on a log scale: 0 < low < high"
        raise UsageError(f"{key}: {text} is not a range", where=OPTION, why=why, fix=fix)
    return Range(low, high)


def _choices(key: str, text: str) -> Choices:
    values = tuple(_scalar(key, part) for part in text.split(","))
    if len(set(values)) < len(values) or len(values) < 2:
        what = "has a duplicate" if len(values) > 1 else "is only one value to search"
        fix = f"two values or more; `--set {key}=VALUE` sets one" if len(values) < 2 else ""
        raise UsageError(f"{key}: {text!r} {what}", where=OPTION, fix=fix)
    return Choices(values)


def _scalar(key: str, text: str) -> Scalar:
    value, wrong = parse_value(text.strip())
    if not wrong and (not text.strip() or isinstance(value, list | dict)):
        wrong = "is empty" if not text.strip() else "is not a single value"
    if wrong:
        raise UsageError(f"{key}: {text.strip()!r} {wrong}", where=OPTION, fix=EXAMPLE)
    return value  # type: ignore[no-any-return]  # a YAML scalar


def spaces_of(recipes: Sequence[Recipe], searches: Space) -> list[Space]:
    """What is searched of each recipe: the keys that it has, and its learning rate, unless given
    from a tenth to ten times its own. The rule is the same for every method.

    Raises:
        UsageError: when no recipe has a key, or one has no validation split.
        RecipeError: when a value makes a recipe that cannot be run.
    """
    known = [_flat(recipe) for recipe in recipes]
    for key in searches:
        if not any(key in flat for flat in known):
            every = sorted({name for flat in known for name in flat if name.startswith(SECTIONS)})
            what = f"no recipe has a key {key}"
            raise UsageError(what, where=OPTION, fix=did_you_mean(key, every))
    spaces = []
    for recipe, flat in zip(recipes, known, strict=True):
        splits, rate = recipe.data.splits, recipe.learning_rate
        if recipe.data.validation_size is None and not (splits and splits.validation):
            raise UsageError(
                "there is no validation split to tune on",
                where=f"{recipe.study}/{recipe.name}",
                why="the test split has to stay unseen until the values are chosen",
                fix="set data.validation_size (or data.splits.validation)",
            )
        around = Range(_rounded(rate / AROUND), min(_rounded(rate * AROUND), 100.0))
        space = {LEARNING_RATE: around} | {k: v for k, v in searches.items() if k in flat}
        for key, wanted in space.items():
            for value in wanted.ends():
                with_values(recipe, {key: value})
        spaces.append(space)
    return spaces


def own_values(recipe: Recipe, space: Space) -> Values | None:
    """The recipe's own values of what is searched; None where the search leaves them out."""
    flat = _flat(recipe)
    values = {key: flat[key] for key in space}
    return values if all(space[key].holds(values[key]) for key in space) else None


def built(recipe: Recipe, values: Mapping[str, Any]) -> tuple[Recipe | None, list[Problem]]:
    """The recipe with some values by dotted key, and what is wrong with it."""
    document = recipe.model_dump()
    for key, value in values.items():
        *parents, last = key.split(".")
        reduce(getitem, parents, document)[last] = value
    found, problems = build(document, file=f"{OPTION} ({recipe.study}/{recipe.name})")
    return found if not problems else None, problems


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with some values by dotted key, or a RecipeError."""
    found, problems = built(recipe, values)
    if found is None:
        raise RecipeError(problems)
    return found


def describe_values(values: Mapping[str, Any]) -> str:
    """What a trial tries: ``learning rate 0.005, r 8``."""
    return ", ".join(
        f"{key.rpartition('.')[2].replace('_', ' ')} "
        + (f"{value:g}" if isinstance(value, float) else str(value))
        for key, value in values.items()
    )


def combinations(space: Space) -> Iterator[Values] | None:
    """Every combination of a space that has only choices; None where there are ranges."""
    choices = [wanted.values for wanted in space.values() if isinstance(wanted, Choices)]
    if len(choices) < len(space):
        return None
    return (dict(zip(space, values, strict=True)) for values in itertools.product(*choices))


def rounded(space: Space, values: Values) -> Values:
    """Drawn values as they are tried: numbers of a range in three significant digits."""

    def shorten(key: str, value: Any) -> Any:
        wanted = space[key]
        if not isinstance(wanted, Range) or wanted.is_integer:
            return value
        return min(max(_rounded(value), wanted.low), wanted.high)

    return {key: shorten(key, value) for key, value in values.items()}


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _flat(recipe: Recipe) -> Values:
    """Values by dotted key; the learning rate is the one that the recipe trains with."""
    flat = flatten(recipe.model_dump(include=set(SECTIONS)))
    return flat | {LEARNING_RATE: recipe.learning_rate}
