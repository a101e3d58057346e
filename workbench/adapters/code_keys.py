"""Keys of an adapter_config.json by which PEFT would import or load what a stranger wrote.

No torch: a config that names code is refused before anything is loaded.
"""

from collections.abc import Iterator
from typing import Any

_CODE = {"auto_mapping", "auto_map", "parent_library", "megatron_config", "trust_remote_code"}
_MEGATRON = "megatron.core"
"""What PEFT writes in every LoRA, and imports only where there is a megatron_config."""


def names_code(config: dict[str, Any]) -> Iterator[tuple[str, Any, str, str]]:
    """Path and value of every key that names code, why that is refused, and what to do."""
    for key, name, value in leaves(config):
        if name in _CODE and value not in (None, False, {}):
            why = "it names code that would be imported or run, and no code of a stranger is"
            yield key, value, why, "ask for an adapter of a plain model, saved without it"
        if name == "megatron_core" and value not in (None, _MEGATRON):
            why = "it names a module that PEFT would import"
            yield key, value, why, f"only {_MEGATRON} or null is taken"
        if name == "tokenizer_kwargs" and value:
            why = "these are arguments that a tokenizer of the Hub would be loaded with"
            yield key, value, why, "remove the key; a trained prompt needs no tokenizer"


def leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Key path, own key and value of everything in a config; sections before what is in them."""
    for name, value in values.items():
        key = f"{path}.{name}" if path else name
        yield key, name, value
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                yield from leaves(item, key)
