"""What a process pays once for training, paid before anything is measured."""

from __future__ import annotations

import dataclasses
from itertools import islice

import torch

from workbench.costs.dry_run import STEPS, RunSpec, make_trainer, one_process_spec
from workbench.distributed.accelerator import make_accelerator, single_process
from workbench.models import load_base

LAYERS = 2
"""All shapes of a model occur in two layers: of the last one a classifier reads one position."""


def warm_up(outline: RunSpec, device: torch.device, seed: int) -> bool:
    """Takes a training's first steps on its model's first layers; False where that is not possible.

    The first training of a process touches pages of torch's and oneDNN's code for the first time,
    compiles kernels for its shapes and starts threads: 37 MB of 265 with LoRA on MiniLM (bf16), so
    that the first run of a study measured 16% more memory than the others. On a GPU the allocator's
    own figures have none of it. Random numbers are the caller's to seed afterwards.
    """
    policy = outline.policy
    if device.type != "cpu" or policy.sharded or policy.zero:
        return False
    spec, recipe = one_process_spec(outline), outline.recipe
    try:
        with single_process():
            accelerator = make_accelerator(dataclasses.replace(policy, processes=1), spec)
            base = load_base(recipe.model, outline.task, policy, outline.tokenizer, layers=LAYERS)
            trainer = make_trainer(base, outline, spec, accelerator, seed)
            for _ in islice(trainer.events(), STEPS):
                pass
            trainer.finish()
    # Models are other people's code: one that does not train with two of its layers trains with
    # all of them, and its first run measures some 30 MB more.
    except Exception:
        return False
    return True
