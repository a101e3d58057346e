"""Which layers a method adapts where neither the recipe nor PEFT names them.

Nothing here asks for an architecture's name, so that a new one of transformers works: what a layer
does is read off the module it lies in, its own name, and its shape.
"""

import re
from collections.abc import Iterable
from typing import Any

from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
from peft.utils import constants
from torch import nn
from transformers.pytorch_utils import Conv1D

from workbench.errors import MethodError
from workbench.models import Base

_WORDS = {"query": "q", "key": "k", "value": "v"}
_PARTS = re.compile(r"_|(?<=[a-z])(?=[A-Z])")
_NUMBER = re.compile(r"\.\d+\.")


def set_targets(base: Base, config: PeftConfig, key: str) -> bool:
    """Names the layers to adapt in a PEFT config that names none, where PEFT has no default.

    Args:
        key: of the recipe, where a user would name them.

    Returns:
        Whether they were found here.

    Raises:
        MethodError: when the model has no such layers, with the names of its linear layers.
    """
    model_type, kind = base.config.model_type, str(config.peft_type.value)
    known = _peft_defaults(config)
    if not known or getattr(config, "target_parameters", None):
        return False
    found = _layers_for(base, kind)
    chosen: Any = config.target_modules
    if chosen is None and model_type not in known:
        if not found:
            raise _nothing_found(base, kind, key)
        config.target_modules = chosen = set(_short_names(base.model, found))
    elif not (kind == "IA3" and config.feedforward_modules is None and model_type not in known):
        return False
    if kind == "IA3":
        of_feedforward = [name for name in _feedforward(base) if _named_by(name, chosen)]
        config.feedforward_modules = set(_short_names(base.model, of_feedforward))
    return True


def candidates(model: nn.Module, head: Iterable[str] = ()) -> list[str]:
    """Names by which linear layers outside the head can be targeted."""
    aside, output = set(head), getattr(model, "get_output_embeddings", lambda: None)()
    linear = ((name, layer) for name, layer in _linear(model) if layer is not output)
    names = (name for name, _ in linear if not aside.intersection(name.split(".")))
    return sorted({name.rpartition(".")[2] for name in names})


def _peft_defaults(config: PeftConfig) -> dict[str, Any]:
    """PEFT's targets by model type, of the methods that have any (peft 0.21)."""
    if config.peft_type == "IA3":
        return constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING  # type: ignore[no-any-return]
    tuner = PEFT_TYPE_TO_TUNER_MAPPING.get(config.peft_type)
    return getattr(tuner, "target_module_mapping", {})


def _layers_for(base: Base, kind: str) -> list[str]:
    if kind == "LN_TUNING":
        return [
            n for n, m in base.model.named_modules() if n and "norm" in type(m).__name__.lower()
        ]
    if kind == "IA3":
        found = _projections(base, "kv")
        return found and [*found, *_feedforward(base)]
    return _projections(base, "qv")


def _projections(base: Base, wanted: str) -> list[str]:
    """Attention's layers that make queries (q), keys (k) or values (v); one may make them all."""
    by_attention: dict[str, list[tuple[str, Any]]] = {}
    for name, layer in _body(base):
        if inside := _attention_around(base.model, name):
            by_attention.setdefault(inside, []).append((name, layer))
    chosen: set[str] = set()
    for layers in by_attention.values():
        makers = {role: _makers([name for name, _ in layers], role) for role in wanted}
        if all(makers.values()):
            chosen.update(*makers.values())
        else:
            # One that makes all three has other names: c_attn, in_proj. It is wider than its input.
            chosen.update(name for name, layer in layers if _width(layer)[1] > _width(layer)[0])
    return [name for name, _ in _linear(base.model) if name in chosen]


def _makers(names: list[str], role: str) -> list[str]:
    """Those that say they make a role, with the fewest other words: query, not query_global."""
    parts = {name: _PARTS.split(name.rpartition(".")[2]) for name in names}
    saying = [name for name in names if any(role in _roles(part) for part in parts[name])]
    fewest = min((len(parts[name]) for name in saying if not _is_fused(parts[name])), default=None)
    return [n for n in saying if _is_fused(parts[n]) or len(parts[n]) == fewest]


def _roles(part: str) -> str:
    """Which of q, k and v a part of a layer's name stands for: "qkv" of Wqkv, "v" of value."""
    letters = _WORDS.get(part.lower(), part.lower().removeprefix("w"))
    return letters if letters and set(letters) <= set("qkv") else ""


def _is_fused(parts: list[str]) -> bool:
    return len({role for part in parts for role in _roles(part)}) > 1


def _feedforward(base: Base) -> list[str]:
    """The layers that lead out of the feed-forward networks: the widest input of their block."""
    blocks: dict[str, list[tuple[str, int]]] = {}
    for name, layer in _body(base):
        number = _NUMBER.search(name)
        inputs, outputs = _width(layer)
        if number and inputs > outputs and not _attention_around(base.model, name):
            blocks.setdefault(name[: number.end()], []).append((name, inputs))
    widest = {block: max(width for _, width in layers) for block, layers in blocks.items()}
    return [n for block, layers in blocks.items() for n, width in layers if width == widest[block]]


def _body(base: Base) -> list[tuple[str, Any]]:
    head = set(base.head_names)
    return [(n, layer) for n, layer in _linear(base.model) if not head.intersection(n.split("."))]


def _linear(model: nn.Module) -> list[tuple[str, Any]]:
    return [
        (n, layer) for n, layer in model.named_modules() if isinstance(layer, nn.Linear | Conv1D)
    ]


def _width(layer: Any) -> tuple[int, int]:
    """Features in and out; Conv1D keeps its weight the other way round."""
    rows, columns = layer.weight.shape
    return (rows, columns) if isinstance(layer, Conv1D) else (columns, rows)


def _attention_around(model: nn.Module, name: str) -> str:
    """The innermost attention that a layer lies in; empty where there is none."""
    path = name.split(".")[:-1]
    while path:
        kind = type(model.get_submodule(".".join(path))).__name__.lower()
        if "attention" in kind or "attn" in kind:
            return ".".join(path)
        path.pop()
    return ""


def _short_names(model: nn.Module, chosen: list[str]) -> list[str]:
    """The shortest endings of names that these layers have and no other module has."""
    others = {name for name, _ in model.named_modules()}.difference(chosen)
    endings: list[str] = []
    for name in chosen:
        if _named_by(name, endings):
            continue
        parts = name.split(".")
        tried = (".".join(parts[start:]) for start in reversed(range(len(parts))))
        endings.append(next(e for e in tried if not any(_named_by(o, [e]) for o in others)))
    return endings


def _named_by(name: str, targets: Iterable[str] | str) -> bool:
    """Whether PEFT would adapt a layer for these targets."""
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets)


def _nothing_found(base: Base, kind: str, key: str) -> MethodError:
    names = ", ".join(candidates(base.model, base.head_names))
    return MethodError(
        f"{base.config.model_type} has no layers that {kind} adapts by default",
        where=key,
        why="neither PEFT nor the names and shapes of its layers say which make the queries and "
        "values of its attention",
        fix=f"name some of {names}" + ("" if kind == "IA3" else ", or write all-linear"),
    )
