"""Steps that are read once the next one is launched, as on CUDA: every number is what it was.

The expected values are those of the plain way: each step read before the next begins.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.shared_runs import forked
from tests.small_recipes import small_recipe
from tests.training.behind import read_behind, rows_of, same
from workbench.data.encode import Row
from workbench.distributed.policy import choose_policy
from workbench.pipeline import setup
from workbench.recipe.schema import Recipe, TrainingSpec
from workbench.store import Run, run_path
from workbench.training import checkpoint_files
from workbench.training.accumulation import Accumulation
from workbench.training.trainer import Trainer

Make = Callable[..., Recipe]
Train = Callable[..., Run]
Both = Callable[..., tuple[Run, Run]]
STEPS_PER_EPOCH = 7
DROPOUT = {"dropout": 0.2, "attention": "eager"}  # so that random numbers count


@pytest.mark.parametrize(
    ("method", "training"),
    [
        ("lora", {"epochs": 3, **DROPOUT}),
        ("full", {"max_steps": 9, "validate_every": 4, "micro_batch_size": 3, **DROPOUT}),
        ("prompt", {"max_steps": 5, "max_grad_norm": None}),
        ("lora", {"max_steps": 2}),  # nothing to read behind
    ],
)
def test_log_scores_and_adapter_are_the_same(
    method: str, training: dict[str, Any], make_recipe: Make, both: Both
) -> None:
    plain, behind = both(make_recipe(method, training=training))
    same(plain, behind)
    assert behind.result["policy"].pop("reads_behind") is True
    assert behind.result["policy"] == plain.result["policy"]


def test_losses_that_are_weighed_together_are_logged_as_ever(
    tiny_gpt2: Path, tmp_path: Path, both: Both
) -> None:
    training = {"max_steps": 5, "micro_batch_size": 3}
    sections = {"task": {"lm_weight": 0.5}, "training": training}
    recipe = small_recipe("text-classification", "lora", tiny_gpt2, tmp_path, **sections)
    plain, behind = both(recipe)
    same(plain, behind)
    assert all(row["losses"] for row in rows_of(behind) if row["kind"] == "step")


@pytest.mark.parametrize("task", ["instruction", "question-answering", "token-classification"])
def test_log_scores_and_adapter_of_every_task_are_the_same(
    task: str, tiny_bert: Path, tiny_llama: Path, tmp_path: Path, both: Both
) -> None:
    model = tiny_llama if task == "instruction" else tiny_bert
    same(*both(small_recipe(task, "lora", model, tmp_path)))


def test_a_step_comes_out_when_the_next_is_launched_and_its_batch_is_made_ahead(
    make_recipe: Make,
    train: Train,
    tmp_path: Path,
    trainers: list[Trainer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read_behind(monkeypatch)
    monkeypatch.setattr(setup, "forecast", lambda *_, **__: {})
    monkeypatch.setattr(setup, "warm_up", lambda *_: None)
    pinned: list[bool] = []
    real = Accumulation._batch

    def batch(self: Accumulation, rows: Sequence[Row], **options: bool) -> Any:
        pinned.append(options.get("pinned", False))
        return real(self, rows, **options)

    monkeypatch.setattr(Accumulation, "_batch", batch)
    ahead: dict[int, int] = {}

    def watch(kind: str, fields: dict[str, Any]) -> None:
        if kind == "step":
            ahead[fields["step"]] = trainers[-1].step - fields["step"]

    run = train(make_recipe("lora", training={"epochs": 2}), 0, tmp_path, observer=watch)
    assert run.state == "finished", run.reason
    # The first two are watched by the guard; the last of an epoch is read before its validation.
    at_once = {1, 2, STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH}
    assert {step for step, steps in ahead.items() if steps == 0} == at_once
    assert set(ahead.values()) == {0, 1}
    assert pinned == [False] * 3 + [True] * (2 * STEPS_PER_EPOCH - 3)


def test_the_processor_reads_every_step_at_once(
    make_recipe: Make, train: Train, tmp_path: Path, trainers: list[Trainer]
) -> None:
    run = train(make_recipe("lora", training={"max_steps": 4}), 0, tmp_path)
    assert run.state == "finished", run.reason
    assert trainers[0].reads_behind is False and "reads_behind" not in run.result["policy"]


# --- stopping and resuming ----------------------------------------------------------------------


def test_a_stopped_run_has_saved_what_it_has_logged_and_resumes_exactly(
    make_recipe: Make, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("lora", training={"epochs": 3, **DROPOUT})
    whole = train(recipe, 0, tmp_path / "whole")
    read_behind(monkeypatch)
    parts = tmp_path / "parts"

    def stop(kind: str, fields: dict[str, Any]) -> None:
        if kind == "step" and fields["step"] == 10:
            (run_path(parts, recipe, 0) / "stop").touch()

    stopped = train(recipe, 0, parts, observer=stop)
    assert stopped.state == "stopped", stopped.reason
    # Step 11 was under way.
    logged = [row["step"] for row in stopped.events()[0] if row["kind"] == "step"]
    assert logged == [*range(1, 12)]
    saved = max((stopped.path / "checkpoints").glob("step-*"))
    assert saved.name == "step-000011" and not checkpoint_files.find_damage(saved)
    resumed = train(recipe, 0, parts, resume=True)
    assert resumed.state == "finished", resumed.reason
    steps = [[r for r in rows_of(run) if r["kind"] == "step"] for run in (whole, resumed)]
    assert steps[0] == steps[1]
    assert resumed.result["metrics"] == whole.result["metrics"]


def test_a_trial_pauses_at_its_step(
    make_recipe: Make, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a pruned search pauses its trials, with the scores of the plain way."""
    recipe = make_recipe("lora", training={"epochs": 2})
    paused = []
    for folder in ("plain", "behind"):
        run = train(recipe, 0, tmp_path / folder, trial=True, until=0.4)
        assert run.state == "stopped", run.reason
        paused += [row for row in rows_of(run) if row["kind"] == "paused"]
        assert [r["step"] for r in rows_of(run) if r["kind"] == "step"] == [*range(1, 7)]
        read_behind(monkeypatch)
    assert paused[0] == paused[1] and paused[0]["step"] == 6


def test_a_step_that_does_not_fit_is_tried_smaller(
    make_recipe: Make, both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch that was made ahead is made anew in the smaller size."""
    monkeypatch.setattr(setup, "forecast", lambda *_, **__: {})
    monkeypatch.setattr(setup, "warm_up", lambda *_: None)
    real, tried = Accumulation._losses, [0]

    def losses(self: Accumulation, rows: Sequence[Row]) -> Any:
        tried[0] += 1
        if len(rows) > 2 and tried[0] > 8:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return real(self, rows)

    monkeypatch.setattr(Accumulation, "_losses", losses)
    asked = {"max_steps": 8, "micro_batch_size": 4, "auto_micro_batch": True, **DROPOUT}

    def restart(kind: str, fields: dict[str, Any]) -> None:
        if kind == "phase" and fields["phase"] == "train":
            tried[0] = 0

    plain, behind = both(make_recipe("lora", training=asked), observer=restart)
    assert plain.state == behind.state == "finished", behind.reason
    rows = [
        [r for r in rows_of(run) if r["kind"] in ("step", "micro_batch")] for run in (plain, behind)
    ]
    key = lambda row: (row["step"], row["kind"] == "step")  # noqa: E731
    assert sorted(rows[0], key=key) == sorted(rows[1], key=key)
    assert [r["size"] for r in rows[1] if r["kind"] == "micro_batch"] == [2]
    for file in plain.adapter.glob("*.safetensors"):
        theirs = load_file(behind.adapter / file.name)
        assert all(torch.equal(theirs[k], v) for k, v in load_file(file).items())


# --- several processes, and what is chosen ------------------------------------------------------


@pytest.mark.slow
def test_two_processes_add_up_their_losses_where_they_lie(
    make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last batch of an epoch is one example, of which one process has none.
    recipe = make_recipe("lora", data={"train_size": 49}, training={"max_steps": 9})
    plain = forked(recipe, tmp_path / "plain", {})
    read_behind(monkeypatch)
    behind = forked(recipe, tmp_path / "behind", {})
    assert rows_of(plain) == rows_of(behind)
    assert behind.result["policy"]["reads_behind"] is True


@pytest.mark.parametrize(
    ("processes", "shared", "expected"),
    [(1, {}, True), (2, {}, True), (2, {"sharded": True}, False), (2, {"zero": 2}, False)],
)
def test_cuda_reads_behind_where_each_process_has_the_whole_optimizer(
    processes: int, shared: dict[str, Any], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.distributed import policy

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    monkeypatch.setattr(policy, "shards_weights", lambda: shared.get("sharded", False))
    monkeypatch.setattr(policy, "zero_stage", lambda: shared.get("zero", 0))
    found = choose_policy(TrainingSpec(), torch.device("cuda"), processes)
    assert found.reads_behind is expected
    assert found.record().get("reads_behind", False) is expected
    json.dumps(found.record())
