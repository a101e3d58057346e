"""The policy of a run on its model: what the device does best, where the architecture can."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
import transformers
from transformers.initialization import no_init_weights

from workbench.distributed.policy import Policy, choose_policy
from workbench.models.attention import class_of
from workbench.models.loading import has_sdpa, plain_config
from workbench.recipe.schema import ModelSpec, TrainingSpec


def policy_for(
    spec: ModelSpec, auto_class: str, training: TrainingSpec, device: torch.device, processes: int
) -> Policy:
    """What ``choose_policy`` says, with the attention and the precision that the model has.

    Raises:
        UsageError: when there is no such model here or on the Hub.
    """
    sdpa = has_sdpa(spec, auto_class)
    policy = choose_policy(training, device, processes, sdpa=sdpa)
    # Architectures with SDPA leave masks to torch, which knows the range of bf16.
    if sdpa or policy.precision != "bf16" or _computes_bf16(spec, auto_class, device):
        return policy
    note = "training.precision: fp32, as this model's architecture does not compute in bf16"
    return replace(policy, precision="fp32", notes=(*policy.notes, note))


def _computes_bf16(spec: ModelSpec, auto_class: str, device: torch.device) -> bool:
    """Whether one layer of the model, with any weights, computes under bf16 autocast.

    DeBERTa (transformers 5.23) masks scores with the least number of fp32, which bf16 has not.
    """
    config = deepcopy(plain_config(spec))
    try:
        class_of(auto_class, config)
        config.num_hidden_layers = 1
        with torch.random.fork_rng(devices=[]), no_init_weights(), device:
            model = getattr(transformers, auto_class).from_config(
                config, attn_implementation="eager", dtype=torch.float32
            )
        _forward(model, device, bf16=False)
    except Exception:  # whatever else is wrong is said where the model is loaded as a whole
        return True
    try:
        _forward(model, device, bf16=True)
    except RuntimeError:
        return False
    return True


@torch.no_grad()
def _forward(model: Any, device: torch.device, *, bf16: bool) -> None:
    ids = torch.zeros(1, 4, dtype=torch.long, device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
