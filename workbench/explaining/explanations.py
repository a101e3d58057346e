"""Explanations as plain JSON values, with the base model (zero-shot) beside the adapter."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from torch import Tensor

from workbench.adapters.loaded import LoadedAdapter, ZeroShotModel
from workbench.errors import MethodError
from workbench.explaining.attention import Attention, attend
from workbench.explaining.attribution import attribute
from workbench.explaining.decisions import Decision

LARGEST_MAP = 96
"""Tokens of the text on a side of an attention map: more cannot be told apart on a screen."""

NO_ANSWER = (
    "The base model has no answer to compare with: the task puts a new head on it, which is at "
    "random until it is trained."
)
INCOMPLETE = (
    "The base model has no answer to compare with: its checkpoint came without a part of the "
    "output layer ({names}), which is at random until it is trained."
)


def no_answer_of(base: ZeroShotModel) -> str:
    """Why what a base model answers zero-shot would be noise; empty when it means something."""
    if base.answers:
        return ""
    if base.adapter.task.spec.new_head:
        return NO_ANSWER
    return INCOMPLETE.format(names=", ".join(base.at_random[:3]))


def explain_attribution(
    adapter: LoadedAdapter,
    base: ZeroShotModel,
    decision: Decision,
    *,
    on_progress: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Which tokens speak for an answer, and which did so before the fine-tuning.

    Returns:
        What the decision is about, ``tokens`` and ``adapter``: the numbers of an `Attribution`;
        ``base``: those of the base model for the same answer, null where ``why_no_base``.
    """
    why = no_answer_of(base)
    # The base reads the same tokens, without the virtual ones.
    asked = {"adapter": adapter} if why else {"base": base.adapter, "adapter": adapter}
    found = {
        name: asdict(attribute(each, decision, on_progress=on_progress))
        for name, each in asked.items()
    }
    return {**_about(decision), "base": None, **found, "why_no_base": why}


def explain_attention(
    adapter: LoadedAdapter,
    base: ZeroShotModel,
    decision: Decision,
    *,
    layer: int = -1,
    head: int | None = None,
) -> dict[str, Any]:
    """What a head looks at, and all heads together, with the adapter and without it.

    Args:
        layer: from 0; -1 for the last.
        head: from 0; None for the mean of the layer's heads.

    Returns:
        What the decision is about, ``tokens``; ``layers`` and ``heads`` there are, ``layer`` and
        ``head`` shown; ``virtual_rows`` and ``virtual_columns``; ``map`` (rows of columns; text
        beyond `LARGEST_MAP` tokens is left out, from ``first`` on it is shown); ``share`` of the
        attention on virtual tokens (layers of heads); ``rows``: weights of the head from the
        decision's token (``attention``) and of all layers (``rollout``) to every column, with the
        adapter and in the ``base``.

    Raises:
        MethodError: when there is no such layer or head, or the model has no attention to show.
    """
    found, before = (attend(m, decision.reading.batch) for m in (adapter.model, base.adapter.model))
    layers, heads = found.layers.shape[:2]
    layer = layer % layers if layer < 0 else layer
    if layer >= layers or (head is not None and not 0 <= head < heads):
        raise MethodError(
            f"there is no layer {layer} with a head {head}",
            why=f"the model has {layers} layers of {heads} heads, counted from 0",
            fix="choose one of them",
        )
    # The first token of a stretch that fits on a map and has the decision's token in it.
    beyond = max(0, len(decision.reading.tokens) - LARGEST_MAP)
    first = min(beyond, max(0, decision.position - LARGEST_MAP // 2))
    shown = {"layers": layers, "heads": heads, "layer": layer, "head": head, "first": first}
    return {
        **_about(decision),
        **shown,
        "virtual_rows": found.virtual_rows,
        "virtual_columns": found.virtual_columns,
        "map": _rounded(_window(found, found.map(layer, head), first)),
        "share": _rounded(found.virtual_share()),
        "rows": {
            name: _from(each, decision.position, layer, head)
            for name, each in (("adapter", found), ("base", before))
        },
    }


def _about(decision: Decision) -> dict[str, Any]:
    return {
        "about": decision.about,
        "unit": decision.unit,
        "position": decision.position,
        "tokens": [asdict(token) for token in decision.reading.tokens],
        "cut": decision.reading.cut,
    }


def _window(found: Attention, weights: Tensor, first: int) -> Tensor:
    """The rows and columns of virtual tokens and of the tokens that are shown."""
    virtual = (found.virtual_rows, found.virtual_columns)
    rows, columns = (
        [*range(before), *range(before, count)[first : first + LARGEST_MAP]]
        for before, count in zip(virtual, weights.shape, strict=True)
    )
    return weights[rows][:, columns]


def _from(found: Attention, position: int, layer: int, head: int | None) -> dict[str, Any]:
    row = found.virtual_rows + position
    attention, rollout = found.map(layer, head)[row], found.rollout()[row]
    return {"attention": _rounded(attention), "rollout": _rounded(rollout)}


def _rounded(numbers: Tensor) -> Any:
    """Nested lists of numbers with five digits: what a picture shows, in a third of the bytes."""
    return (numbers.double() * 1e5).round().div(1e5).tolist()
