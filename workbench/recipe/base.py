"""The base of every recipe section."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, model_validator

from workbench.recipe.renamed import LAST_PARTS
from workbench.recipe.yaml_reader import KeyPath


class Finding(NamedTuple):
    """One thing wrong with a recipe, before it is known in which file and line it was written."""

    path: KeyPath
    what: str
    fix: str = ""
    others: tuple[KeyPath, ...] = ()
    """Further keys that the rule looked at; it says nothing when one of them is broken."""


class StrictModel(BaseModel):
    """A recipe section: unknown keys, infinities and later changes are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_old_names(cls, values: Any) -> Any:
        old = LAST_PARTS.keys() & values.keys() if isinstance(values, dict) else ()
        now = {key: LAST_PARTS[key] for key in old if LAST_PARTS[key] in cls.model_fields}
        if now:
            raise ValueError(
                ", ".join(f"`{key}` is now called `{now[key]}`" for key in sorted(now))
            )
        return values


def repeated(path: tuple[str, ...], values: Sequence[str | int]) -> Iterator[Finding]:
    """A list that names something twice."""
    twice = sorted({str(v) for v in values if values.count(v) > 1})
    if twice:
        yield Finding(path, f"listed more than once: {', '.join(twice)}", "name each once")
