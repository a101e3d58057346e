"""The table of architectures in docs/tasks.md says what comes of each cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.architecture_table import (
    METHODS,
    PAGE,
    START,
    outcome,
    outcomes,
    read,
    recipe_of,
    render,
    tasks_of,
)
from tests.architectures import FAMILIES, save_architecture
from workbench.costs.plan import plan
from workbench.store import Run

Train = Callable[..., Run]
QUICK = [
    ("ALBERT", "token-classification", "lora"),
    ("BigBird", "text-classification", "prefix"),
    ("Falcon", "instruction", "prefix"),
    ("Gemma 3", "causal-lm", "prompt"),
    ("Longformer", "text-classification", "lora"),
    ("MobileBERT", "text-classification", "p-tuning"),
    ("ModernBERT", "text-classification", "ia3"),
    ("ModernBERT", "token-classification", "p-tuning"),
    ("OPT, projected", "text-classification", "prompt"),
    ("Phi-3", "causal-lm", "lora"),
    ("XLNet", "text-classification", "prompt"),
]
"""Cells in which an architecture is unlike the others: half a second each."""


def _run(train: Train) -> Callable[[Any, Path], Run]:
    return lambda recipe, runs: train(recipe, 0, runs, force=True)


@pytest.mark.parametrize("name, task, method", QUICK, ids=["-".join(cell) for cell in QUICK])
def test_a_cell_of_the_table(
    name: str, task: str, method: str, train: Train, tmp_path: Path
) -> None:
    assert outcome(name, task, method, tmp_path, _run(train)) == read()[name][task, method]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", FAMILIES)
def test_an_architecture_is_planned(name: str, tmp_path: Path) -> None:
    """Initialisations that draw until a number fits never end where there are no numbers."""
    save_architecture(name, tmp_path / "model")
    planned = plan(recipe_of(tasks_of(name)[0], "full", tmp_path, METHODS["full"]), time=False)
    # The code of these two branches on numbers in tensors, and a note says that nothing is known.
    unknown = name in ("Longformer", "XLNet")
    assert (planned["peak_memory_bytes"] is None) is unknown
    assert bool(planned["notes"]) is unknown


@pytest.mark.nightly
@pytest.mark.integration
@pytest.mark.parametrize("name", FAMILIES)
def test_every_cell_of_an_architecture(name: str, train: Train, tmp_path: Path) -> None:
    assert outcomes(name, tmp_path, _run(train)) == read()[name]


def test_the_table_holds_every_architecture_task_and_method() -> None:
    table = read()
    assert list(table) == list(FAMILIES)
    for name, cells in table.items():
        assert {task for task, _ in cells} == set(tasks_of(name))
        assert {method for _, method in cells} == set(METHODS)
    text = PAGE.read_text(encoding="utf-8").partition(START)[2]
    assert text.startswith(render(table)), "what is read is what is written"


def test_what_every_architecture_has_to_do() -> None:
    """The bar: full, head, lora and prompt everywhere; Longformer's own code refuses one."""
    refused = {
        (name, task, method)
        for name, cells in read().items()
        for (task, method), found in cells.items()
        if method in ("full", "head", "lora", "prompt")
        and found != "yes"
        and not found.startswith("with target_modules: all-linear")
    }
    assert refused == {("Longformer", "text-classification", "prompt")}
