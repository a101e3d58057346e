"""Plans from a process that stays loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from workbench.costs.plan import plan
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.services.planner import Planner, PlannerError, Plans

SECRET = "ab" * 20


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    shared = Planner()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_TOKEN", SECRET)
        shared.warm_up()
    yield shared
    shared.unload()


def written(recipe: Recipe, folder: Path) -> Path:
    file = folder / f"{recipe.name}.yaml"
    file.write_text(dump_recipe(recipe), encoding="utf-8")
    return file


def test_it_plans_as_the_call_does_one_after_the_other(
    planner: Planner, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    pid = planner.pid
    for method in ("lora", "prompt"):
        recipe = make_recipe(method)
        theirs, ours = planner.plan(written(recipe, tmp_path)), plan(recipe)
        for key in ("trainable_parameters", "adapter_bytes", "steps", "tokens", "memory"):
            assert theirs[key] == ours[key], key
        assert theirs["seconds_per_step"] > 0
    assert planner.pid == pid is not None


def test_a_refusal_comes_in_words_without_secrets_and_the_next_recipe_is_planned(
    planner: Planner,
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
) -> None:
    recipe = make_recipe("lora")
    file = written(recipe, tmp_path)
    broken = tmp_path / "broken.yaml"
    broken.write_text(f"{file.read_text()}\n{SECRET}: 1\n", encoding="utf-8")
    with pytest.raises(PlannerError) as refusal:
        planner.plan(broken)
    assert str(broken) in str(refusal.value) and SECRET not in str(refusal.value)
    assert planner.plan(file)["trainable_parameters"] == plan(recipe)["trainable_parameters"]


def test_it_ends_where_it_has_looked_at_a_gpu(
    make_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, request = Plans(), {"do": "plan"}
    request["recipe"] = str(written(make_recipe("lora"), tmp_path))
    desk.handle(request, lambda _: None)
    assert not desk.closed
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    desk = Plans()
    desk.handle({"do": "warm up"}, lambda _: None)
    assert not desk.closed
    desk.handle(request, lambda _: None)
    assert desk.closed


@pytest.mark.slow  # processes that import torch one after another: 15 s
def test_a_closed_desk_ends_its_process_and_the_next_plan_starts_another(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    class OnGpu(Planner):
        module = "tests.services.planner_on_gpu"

    planner, file = OnGpu(), written(make_recipe("lora"), tmp_path)
    with ThreadPoolExecutor(3) as threads:
        at_once = list(threads.map(planner.plan, [file] * 3))
    assert len(at_once) == 3 and all(each["trainable_parameters"] for each in at_once)
    pids = set()
    for _ in range(2):
        planner.warm_up()
        pids.add(planner.pid)
        planner.plan(file)
        deadline = time.monotonic() + 20
        while planner.pid is not None:
            assert time.monotonic() < deadline, "it did not end"
            time.sleep(0.05)
    assert len(pids) == 2
