"""An evaluation in batches of 32 beside one in batches from free memory.

The larger batch (``workbench.inference.batch_size``) has to pay and to change no loss. A forecast
of what a text takes decides it, so that stands beside what it took. Not run on a GPU so far.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.steps import TURNS, result_row, wait
from workbench.costs.dry_run import RunSpec, dry_run
from workbench.data import load_data
from workbench.distributed.accelerator import make_accelerator
from workbench.inference.batch_size import EvaluationBatch
from workbench.methods.build import build_model
from workbench.pipeline.setup import make_trainer, set_up
from workbench.recipe import Recipe
from workbench.recipe.schema import USUAL_EVAL_BATCH
from workbench.training.trainer import Trainer


def rows(name: str, recipe: Recipe, folder: Path) -> Iterator[dict[str, Any]]:
    """Texts per second and losses of both ways, on the texts of the training split."""
    trainer = _trainer(recipe, folder)
    usual, chosen = EvaluationBatch(least=USUAL_EVAL_BATCH), trainer.eval_batch
    seconds: dict[int, list[float]] = {id(usual): [], id(chosen): []}
    losses = {}
    for _ in range(TURNS):
        for batch in (usual, chosen):
            trainer.eval_batch = batch
            wait()
            started = time.perf_counter()
            losses[id(batch)] = trainer.predict(trainer.train).losses
            wait()
            seconds[id(batch)].append(time.perf_counter() - started)
    apart = float(np.abs(losses[id(usual)] - losses[id(chosen)]).max())
    yield result_row(
        f"{name}: losses of an evaluation by {chosen.largest} and by {usual.largest}",
        f"differ by {apart:.1e}",
        "at most 0.05",
        reached=apart <= 0.05,
    )
    took = {key: statistics.median(each[1:]) for key, each in seconds.items()}  # the first warms up
    gain, pace = took[id(usual)] / took[id(chosen)], len(trainer.train) / took[id(chosen)]
    cuda = torch.cuda.is_available()
    yield result_row(
        f"{name}: texts/s of an evaluation by {chosen.largest} over by {usual.largest}",
        f"{gain:.2f} ({pace:.0f}/s)",
        "at least 1",
        reached=gain >= 0.99 if cuda else None,
    )
    if cuda and chosen.row_bytes:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        trainer.predict(trainer.train)
        taken = (torch.cuda.max_memory_allocated() - before) / chosen.largest
        yield result_row(
            f"{name}: bytes of a text, forecast over taken in training's precision",
            f"{chosen.row_bytes / taken:.2f} ({taken / 1e6:.1f} MB)",
        )


def _trainer(recipe: Recipe, folder: Path) -> Trainer:
    setup = set_up(recipe, 0, load_data(recipe.data, recipe.task), trial=True)
    run = RunSpec(
        recipe=recipe,
        task=setup.task,
        policy=setup.policy,
        tokenizer=setup.tokenizer,
        train=setup.splits["train"],
    )
    with dry_run(run, 0) as dry:  # a CPU would not ask for it
        setup = replace(setup, evaluation=dry.evaluate())
    accelerator = make_accelerator(setup.policy, recipe.training)
    model = build_model(recipe, setup.task, setup.load_base, steps=setup.steps, seed=0)
    return make_trainer(setup, model, recipe, 0, accelerator, folder / "evaluation")
