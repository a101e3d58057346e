"""Dropout of a model, which a config says under many names."""

from copy import deepcopy
from typing import Any


def dropouts(config: Any) -> dict[str, float]:
    """Every dropout probability of a config, by its key."""
    return {
        key: value
        for key, value in config.to_dict().items()
        if ("dropout" in key or key.endswith("pdrop"))
        and isinstance(value, int | float)
        and not isinstance(value, bool)
    }


def with_dropout(config: Any, dropout: float | None) -> Any:
    """A copy of the config in which every dropout probability is ``dropout``."""
    changed = deepcopy(config)
    for key in dropouts(config) if dropout is not None else ():
        setattr(changed, key, dropout)
    return changed
