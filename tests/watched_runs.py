"""Runs of two processes that are watched: which examples each saw, what they exchanged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.shared_runs import forked
from workbench.data.encode import Row
from workbench.distributed.accelerator import make_accelerator, this_process, wrap
from workbench.distributed.policy import choose_policy
from workbench.recipe.schema import Recipe, TrainingSpec
from workbench.store import Run
from workbench.training import accumulation


class Watched:
    """Notes the shares that this process trains on, and fails as memory would."""

    def __init__(self, folder: Path, fits: int | None) -> None:
        self._rank, self._fits = this_process().process_index, fits
        self._file = folder / f"{self._rank}.json"
        self._seen: dict[str, Any] = {"shares": [], "tried": [], "traffic": {}}
        self._share, self._losses = accumulation.own_share, accumulation.Accumulation._losses

    def begin(self) -> None:
        """Puts itself into the product's place."""
        if self._fits is None:
            self._seen["traffic"] = exchanged()
        accumulation.own_share = self.own_share  # type: ignore[assignment]
        accumulation.Accumulation._losses = (  # type: ignore[method-assign]
            lambda one, rows: self.losses(one, rows)
        )

    def own_share(self, rows: Sequence[Row], process: int, processes: int) -> list[Row]:
        """``own_share`` itself, with a note of what came out."""
        share = self._share(rows, process, processes)
        self._note("shares", [list(row["input_ids"]) for row in share])
        return share

    def losses(self, one: accumulation.Accumulation, rows: Sequence[Row]) -> Any:
        """``Accumulation._losses`` itself, where the rows fit."""
        self._note("tried", len(rows))
        if self._fits is not None and self._rank == 1 and len(rows) > self._fits:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return self._losses(one, rows)

    def _note(self, what: str, seen: Any) -> None:
        self._seen[what].append(seen)
        self._file.write_text(json.dumps(self._seen))


class Partly(nn.Module):
    """A frozen layer, a trained one, and a trained one that the loss never sees."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.trained, self.unused = (nn.Linear(4, 4, bias=False) for _ in range(3))
        self.frozen.requires_grad_(False)
        self.register_buffer("own", torch.zeros(1))

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, 4) to (batch, 4)."""
        return self.trained(self.frozen(inputs))  # type: ignore[no-any-return]


def exchanged() -> dict[str, Any]:
    """How many numbers travel in two steps of a model that is partly frozen, and what arrives."""
    process, training = this_process(), TrainingSpec(precision="fp32")
    policy = choose_policy(training, process.device, process.num_processes)
    accelerator = make_accelerator(policy, training)
    torch.manual_seed(0)
    bare = Partly()
    trained = [each for each in bare.parameters() if each.requires_grad]
    model, _ = wrap(accelerator, bare, torch.optim.SGD(trained))
    bare.own.fill_(process.process_index)
    sent: list[int] = []

    def count(_state, bucket):  # type: ignore[no-untyped-def]  # torch reads annotations
        sent.append(bucket.buffer().numel())
        return (
            torch.distributed.all_reduce(bucket.buffer(), async_op=True)
            .get_future()
            .then(lambda done: done.value()[0])
        )

    model.register_comm_hook(None, count)
    for _ in range(2):
        model.zero_grad()
        accelerator.backward(model(torch.full((1, 4), 1.0 + process.process_index)).sum())
    weight, gradient = bare.frozen.weight, bare.trained.weight.grad
    expected = (1.0 + 2.0) * weight.sum(1).expand(4, 4)  # the inputs of both
    accelerator.free_memory()
    return {
        "sent": sent,
        "right": bool(torch.allclose(gradient, expected)),
        "frozen": bare.frozen.weight.grad is None,
        "buffer": float(bare.own),
    }


def watch_two(
    recipe: Recipe, folder: Path, fits: int | None = None
) -> tuple[Run, list[dict[str, Any]]]:
    """A run of two watched processes, and what each saw.

    Args:
        fits: a forward pass of more examples runs out of memory on the second process.
    """

    run = forked(recipe, folder, {}, prepare=lambda: Watched(folder, fits).begin())
    return run, [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
