"""Logits of a whole split, in its own order, whatever the batching and the processes."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from workbench.data.batches import collate, evaluation_order, own_share
from workbench.data.encode import Encoded
from workbench.tasks import TextClassificationTask


def predict(
    model: nn.Module,
    task: TextClassificationTask,
    encoded: Encoded,
    tokenizer: PreTrainedTokenizerBase,
    accelerator: Accelerator,
    *,
    batch_size: int,
    virtual_tokens: int,
) -> Tensor:
    """Logits of every example of a split, (examples, labels), fp32 on the CPU.

    Each process takes its share; what is gathered is put back by position, so an example that
    was padded in to even out the shares counts once.
    """
    was_training = model.training
    model.eval()
    order = evaluation_order(encoded.lengths, batch_size)
    mine = [
        share
        for b in order
        if (share := own_share(b, accelerator.process_index, accelerator.num_processes))
    ]
    positions: list[int] = []
    rows: list[Tensor] = []
    with torch.inference_mode():
        for indices in mine:
            batch = collate(encoded, indices, tokenizer)
            inputs = {k: v.to(accelerator.device) for k, v in batch.inputs.items()}
            rows.append(task.logits(model, inputs, virtual_tokens))
            positions += indices
    model.train(was_training)
    width = len(task.label_names) or 1
    logits = torch.cat(rows) if rows else torch.zeros(0, width, device=accelerator.device)
    return _assemble(logits, positions, len(encoded), accelerator)


def _assemble(logits: Tensor, positions: list[int], count: int, accelerator: Accelerator) -> Tensor:
    where = torch.tensor(positions, dtype=torch.long, device=logits.device)
    if accelerator.num_processes > 1:
        # Shares differ by at most one batch; rows padded in have position -1 and are dropped.
        where = accelerator.pad_across_processes(where, dim=0, pad_index=-1)
        logits = accelerator.pad_across_processes(logits, dim=0)
        where, logits = accelerator.gather(where), accelerator.gather(logits)
    kept = where >= 0
    result = torch.empty(count, logits.shape[1], dtype=torch.float)
    result[where[kept].cpu()] = logits[kept].float().cpu()
    return result
