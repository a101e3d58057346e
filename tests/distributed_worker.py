"""One of several processes of a run that is watched: which examples it saw, what it exchanged.

Usage, by accelerate launch: distributed_worker.py RECIPE RUNS REPORTS [FITS]. With FITS, a forward
pass of more examples than that runs out of memory on the second process. Each process writes what
it saw to REPORTS/rank.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.training.killing import without_forecast
from workbench.data.encode import Row
from workbench.devices import choose_policy, make_accelerator, this_process, wrap
from workbench.recipe import load_recipe
from workbench.recipe.schema import TrainingSpec
from workbench.runner import run_recipe
from workbench.training import accumulation


class Watched:
    """Notes the shares that this process trains on, and fails as memory would."""

    def __init__(self, fits: int | None) -> None:
        self.rank, self.fits = this_process().process_index, fits
        self.shares: list[list[list[int]]] = []
        self.tried: list[int] = []
        self._share, self._losses = accumulation.own_share, accumulation.Accumulation._losses

    def own_share(self, rows: Sequence[Row], process: int, processes: int) -> list[Row]:
        """``own_share`` itself, with a note of what came out."""
        share = self._share(rows, process, processes)
        self.shares.append([list(row["input_ids"]) for row in share])
        return share

    def losses(self, one: accumulation.Accumulation, rows: Sequence[Row]) -> Any:
        """``Accumulation._losses`` itself, where the rows fit."""
        self.tried.append(len(rows))
        if self.fits is not None and self.rank == 1 and len(rows) > self.fits:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return self._losses(one, rows)


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


def main(recipe: str, runs: str, reports: str, fits: int | None = None) -> None:
    """Trains under observation and writes the report of this process."""
    watched = Watched(fits)
    without_forecast()
    accumulation.own_share = watched.own_share  # type: ignore[assignment]
    accumulation.Accumulation._losses = (  # type: ignore[method-assign]
        lambda one, rows: watched.losses(one, rows)
    )
    traffic = exchanged() if fits is None else {}
    run_recipe(load_recipe(Path(recipe)), 0, Path(runs))
    report = {"shares": watched.shares, "tried": watched.tried, "traffic": traffic}
    (Path(reports) / f"{watched.rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:4], *(int(each) for each in sys.argv[4:]))
