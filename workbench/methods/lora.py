"""LoRA and its relatives that PEFT implements with the same config: DoRA, rsLoRA, PiSSA, OLoRA."""

from __future__ import annotations

from typing import Any

from peft import LoraConfig, get_peft_model_state_dict
from torch import nn
from transformers.pytorch_utils import Conv1D

from workbench.methods.base import Adapted, Method, Setting
from workbench.methods.wrapping import check_targets, wrap
from workbench.models import Base
from workbench.recipe.methods import LoRA


def _start(base: Base, spec: LoRA) -> Any:
    """PEFT's word for the start values; while counting there are no weights for it."""
    counting = next(base.model.parameters()).device.type == "meta"
    return True if spec.init == "default" or counting else spec.init


def _apply(base: Base, spec: LoRA, setting: Setting) -> Adapted:
    if isinstance(spec.targets, list):
        check_targets(base.model, spec.targets, kinds=(nn.Linear, Conv1D, nn.Embedding))
    config = LoraConfig(
        r=spec.r,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=spec.targets,
        # PEFT (0.21) leaves the head of text classification out of all-linear, but no other.
        exclude_modules=list(base.head_names) if spec.targets == "all-linear" else None,
        bias=spec.bias,
        use_dora=spec.use_dora,
        use_rslora=spec.use_rslora,
        init_lora_weights=_start(base, spec),
        # GPT-2 keeps its weights transposed (Conv1D); PEFT corrects this with a warning.
        fan_in_fan_out=any(isinstance(m, Conv1D) for m in base.model.modules()),
    )
    return Adapted(wrap(base, config, setting), base)


def _keep_start(adapted: Adapted, spec: LoRA, _setting: Setting) -> None:
    """Remembers the starting adapter of inits that take it out of the base's own weights.

    PiSSA and OLoRA subtract the start from the frozen weights. The export has to undo that, or it
    would be right on the changed base only; PEFT does so from the starting adapter.
    """
    if spec.init not in ("pissa", "olora"):
        return
    state = get_peft_model_state_dict(adapted.model, save_embedding_layers=False)
    adapted.starting_adapter = {name: tensor.detach().clone() for name, tensor in state.items()}


LORA = Method(
    paper="LoRA: Hu et al. 2021, arXiv:2106.09685; DoRA: Liu et al. 2024, arXiv:2402.09353; "
    "rsLoRA: Kalajdzievski 2023, arXiv:2312.03732; PiSSA: Meng et al. 2024, arXiv:2404.02948",
    export_kind="peft",
    apply=_apply,
    initialise=_keep_start,
)
