"""LoRA and its relatives that PEFT implements with the same config: DoRA, rsLoRA, PiSSA, OLoRA."""

from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

from workbench.methods.base import AdaptedModel, Method, MethodContext
from workbench.methods.targets import set_targets
from workbench.methods.wrapping import check_targets, new_token_rows, wrap
from workbench.models import Base
from workbench.recipe.methods import LoRA


def _start(base: Base, spec: LoRA) -> Any:
    """PEFT's word for the start values; while counting there are no weights for it."""
    counting = next(base.model.parameters()).device.type == "meta"
    later = counting or _is_own_olora(base, spec)
    return True if spec.init == "default" or later else spec.init


def _is_own_olora(base: Base, spec: LoRA) -> bool:
    """Whether OLoRA is started here: PEFT (0.21) decomposes GPT-2's weights as if they were not
    transposed, which gives matrices of the wrong shape, or, where a weight is square, a model that
    does not start as the base."""
    return spec.init == "olora" and _is_transposed(base)


def _is_transposed(base: Base) -> bool:
    """Whether the base keeps weights as ``(in, out)``, as GPT-2 does in its Conv1D."""
    return any(isinstance(module, Conv1D) for module in base.model.modules())


def _apply(base: Base, spec: LoRA, context: MethodContext) -> AdaptedModel:
    if isinstance(spec.target_modules, list):
        check_targets(base.model, spec.target_modules, kinds=(nn.Linear, Conv1D, nn.Embedding))
    config = LoraConfig(
        r=spec.r,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=spec.target_modules,
        # PEFT (0.21) leaves the head of text classification out of all-linear, but no other.
        exclude_modules=list(base.head_names) if spec.target_modules == "all-linear" else None,
        bias=spec.bias,
        use_dora=spec.use_dora,
        use_rslora=spec.use_rslora,
        init_lora_weights=_start(base, spec),
        trainable_token_indices=new_token_rows(base),
        # GPT-2 keeps its weights transposed (Conv1D); PEFT corrects this with a warning.
        fan_in_fan_out=_is_transposed(base),
    )
    found = set_targets(base, config, "method.target_modules")
    return AdaptedModel(
        model=wrap(base, config, context),
        base=base,
        layers_by_kind=found or spec.target_modules == "all-linear",
        changes_base=spec.init in ("pissa", "olora"),
    )


def _initialise(adapted: AdaptedModel, spec: LoRA, _context: MethodContext) -> None:
    """Sets or remembers the starting adapter of inits that take it out of the base's own weights.

    PiSSA and OLoRA subtract the start from the frozen weights. The export has to undo that, or it
    would be right on the changed base only; PEFT does so from the starting adapter.
    """
    if not adapted.changes_base:
        return
    if _is_own_olora(adapted.base, spec):
        for module in adapted.model.modules():
            if isinstance(module, LoraLayer):
                _start_olora(module)
    state = get_peft_model_state_dict(adapted.model, save_embedding_layers=False)
    adapted.starting_adapter = {name: tensor.detach().clone() for name, tensor in state.items()}


@torch.no_grad()
def _start_olora(layer: Any) -> None:
    """W = QR, of weights as ``(out, in)``: the first columns of Q and rows of R are the adapter,
    and the frozen weight is what is left (Büyükakyüz 2024, arXiv:2406.01775)."""
    weight, rank = layer.get_base_layer().weight, layer.r["default"]
    transposed = layer.fan_in_fan_out
    whole = (weight.T if transposed else weight).float()  # (out, in)
    q, r = torch.linalg.qr(whole)
    layer.lora_A["default"].weight.copy_(r[:rank])
    layer.lora_B["default"].weight.copy_(q[:, :rank])
    rest = whole - layer.scaling["default"] * (q[:, :rank] @ r[:rank])
    weight.copy_(rest.T if transposed else rest)


LORA = Method(
    name="lora",
    paper="LoRA: Hu et al. 2021, arXiv:2106.09685; DoRA: Liu et al. 2024, arXiv:2402.09353; "
    "rsLoRA: Kalajdzievski 2023, arXiv:2312.03732; PiSSA: Meng et al. 2024, arXiv:2404.02948",
    export_kind="peft",
    apply=_apply,
    initialise=_initialise,
)
