"""What a model makes of a whole split, whatever the batching and the number of processes."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from transformers import PreTrainedTokenizerBase

from workbench.data.batches import Batch, evaluation_order, own_share, pad
from workbench.data.encode import Encoded
from workbench.distributed.accelerator import place
from workbench.distributed.processor import onednn_is_quicker
from workbench.distributed.tensors import evaluating, is_sharded
from workbench.inference.batch_size import EvaluationBatch
from workbench.models import products_by_onednn
from workbench.tasks import AnyTask, Predicted
from workbench.tasks.base import EVALUATION_SEED

_Answer = tuple[int, float, float, Any]
"""Position of a feature, its loss, its weight and its values."""


def predict(
    model: nn.Module,
    task: AnyTask,
    encoded: Encoded,
    tokenizer: PreTrainedTokenizerBase,
    accelerator: Accelerator | None,
    *,
    batch_size: int | EvaluationBatch,
    virtual_tokens: int,
    labelled: bool = True,
    alone: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Predicted:
    """Losses and values of every feature of a split, on every process.

    Args:
        accelerator: None to work alone on the device that the model is on.
        batch_size: of all processes together; a number, or what free memory decides.
        labelled: False for texts from outside, which have no loss.
        alone: each feature by itself and without padding. In bf16 and in quantised weights what is
            beside a text moves its logits by some hundredths, and a plain load has nothing there.
        on_progress: called with the features of this process that are done and those of all.
    """
    process, processes = place(accelerator)
    device = next(model.parameters()).device
    longest = 0 if alone else int(encoded.lengths.max(initial=0))
    at_once = EvaluationBatch.of(batch_size)
    size = processes if alone else at_once.examples(longest + virtual_tokens, device, processes)

    def answer(indices: Sequence[int]) -> list[_Answer]:
        rows = task.rows(encoded, indices, EVALUATION_SEED)
        batch = on_device(pad(rows, tokenizer, longest), device)
        outputs = task.outputs(model, batch, virtual_tokens)
        losses = task.losses(outputs, batch).tolist() if labelled else [0.0] * len(rows)
        weights = [task.weight(row) if labelled else 0.0 for row in rows]
        return list(zip(indices, losses, weights, task.values(outputs, batch), strict=True))

    found: list[_Answer] = []
    with evaluating(model), nullcontext() if alone else _quick_products(model):
        for indices in evaluation_order(encoded.lengths, size):
            if mine := own_share(indices, process, processes):
                found += at_once.each(model, mine, answer)
            elif is_sharded(model):  # a rank without examples left still runs the forward pass
                answer(indices[:1])
            else:
                continue
            if on_progress:
                on_progress(len(found), len(encoded))
    at_once.give_back(model)
    return _in_order(gather_object(found) if processes > 1 else found)


def _in_order(found: list[_Answer]) -> Predicted:
    found.sort(key=lambda entry: entry[0])
    return Predicted(
        losses=np.array([entry[1] for entry in found]),
        weights=np.array([entry[2] for entry in found]),
        values=[entry[3] for entry in found],
    )


def _quick_products(model: nn.Module) -> AbstractContextManager[None]:
    quick = onednn_is_quicker() and not is_sharded(model)
    return products_by_onednn(model) if quick else nullcontext()


def on_device(batch: Batch, device: torch.device, *, pinned: bool = False) -> Batch:
    """The same batch with its inputs on a device; CUDA copies them while it computes.

    Args:
        pinned: from memory that the device reads by itself.
    """
    cuda, inputs = device.type == "cuda", batch.inputs
    if cuda and pinned:
        inputs = {name: value.pin_memory() for name, value in inputs.items()}
    return Batch({n: v.to(device, non_blocking=cuda) for n, v in inputs.items()}, batch.rows)
