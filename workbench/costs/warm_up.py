"""What a process pays once for a run, paid before anything is measured."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import islice

import torch

from workbench.costs.dry_run import STEPS, RunSpec, trial_trainer
from workbench.data.batches import evaluation_order
from workbench.data.encode import Encoded
from workbench.distributed.accelerator import make_accelerator, single_process
from workbench.inference.generate import generate
from workbench.models import load_base, only_first_token, set_attention
from workbench.tasks.base import WritingTask
from workbench.training.trainer import Trainer

LAYERS = 2
"""All shapes of a model occur in two layers: of the last one a classifier reads one position."""
NEW_TOKENS = 3
"""Enough to read cached keys and values that have grown once."""


def warm_up(
    run: RunSpec, validation: Encoded, test: Encoded, device: torch.device, seed: int
) -> bool:
    """Trains, validates and tests on its model's first layers; False where that is not possible.

    The first training of a process touches pages of code for the first time, compiles kernels and
    starts threads: 37 MB of 265 with LoRA on MiniLM (bf16), so that the first run of a study
    measured 16% more memory than the others. Kernels of validation and test are 27 MB of the
    test's 150. On a GPU the allocator's figures have none of it. Random numbers are the caller's
    to seed afterwards.
    """
    policy = run.policy
    if device.type != "cpu" or policy.sharded or policy.zero:
        return False
    load = partial(load_base, policy=policy, tokenizer=run.tokenizer, layers=LAYERS)
    try:
        with single_process():
            accelerator = make_accelerator(replace(policy, processes=1), run.recipe.training)
            trainer = trial_trainer(run, load, accelerator, seed)
            for _ in islice(trainer.events(), STEPS):
                pass
            _evaluate(trainer, run, validation, test)
    # Models are other people's code: one that does not train with two of its layers trains with
    # all of them, and its first run measures some 30 MB more.
    except Exception:
        return False
    return True


def _evaluate(trainer: Trainer, run: RunSpec, validation: Encoded, test: Encoded) -> None:
    """Does with the longest texts of both splits what a run does with all of them."""
    task, size = run.task, run.recipe.training.least_eval_batch
    if len(validation):
        trainer.predict(_longest(validation, size))
    model, few = trainer.finish(), _longest(test, size)
    set_attention(model)
    alone = run.recipe.model.reduced
    if alone:
        size, few = 1, _longest(test, 1)
    with nullcontext() if alone else only_first_token(model):
        trainer.predict(few, alone=alone)
        if isinstance(task, WritingTask):
            decoding = task.spec.decoding
            most = min(NEW_TOKENS, decoding.max_new_tokens)
            generate(
                model,
                task.prompts(few),
                decoding.model_copy(update={"max_new_tokens": most}),
                eos_token_ids=task.stop_ids(trainer.tokenizer),
                batch_size=size,
            )


def _longest(split: Encoded, size: int) -> Encoded:
    return split.part(evaluation_order(split.lengths, size)[0])
