"""Exact parameter counts, with and without the task head, trained and stored."""

import math
from pathlib import Path

from safetensors import safe_open

from workbench.methods import AdaptedModel
from workbench.models.base import number_count


def count_parameters(adapted: AdaptedModel) -> dict[str, int]:
    """Counts of one adapted model.

    ``trainable`` includes the head, ``adapter`` leaves it out. ``total`` is the base with its head
    plus what the method adds: PEFT's own counts the head twice, with the untrained copy.
    """
    trainable = adapted.trainable()
    head = sum(p.numel() for name, p in trainable.items() if adapted.is_head(name))
    count = sum(p.numel() for p in trainable.values())
    own = {id(p) for p in adapted.base.model.parameters()}
    added = sum(p.numel() for p in adapted.model.parameters() if id(p) not in own)
    base_parameters = adapted.base.parameter_count
    inside = sum(map(number_count, adapted.base.model.parameters())) - base_parameters
    copies = head if inside >= head and adapted.model is not adapted.base.model else 0
    return {
        "trainable": count,
        "head": head,
        "adapter": count - head,
        "total": base_parameters + added + inside - copies,
    }


def stored(folder: Path) -> dict[str, int]:
    """Numbers and bytes of the weight files in an exported folder. A projected prefix or P-tuning
    stores fewer numbers than it trains: its network is dropped."""
    files = sorted(folder.glob("*.safetensors"))
    numbers = 0
    for path in files:
        with safe_open(path, framework="numpy") as tensors:
            shapes = [tensors.get_slice(key).get_shape() for key in tensors.keys()]  # noqa: SIM118
            numbers += sum(map(math.prod, shapes))
    return {"stored": numbers, "bytes": sum(path.stat().st_size for path in files)}
