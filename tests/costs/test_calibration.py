"""What operators take: measured, kept, measured again now and then, and added up."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.costs.test_dry_run import run_spec_of
from workbench import plan
from workbench.costs import calibration as module
from workbench.costs.calibration import OVERHEAD, Calibration
from workbench.costs.cpu_load import BackgroundLoad
from workbench.costs.dry_run import dry_run
from workbench.costs.fake_tensors import fake_mode
from workbench.costs.operations import OpCounts, OpSignature, TensorSpec
from workbench.costs.stopwatch import Stopwatch, _in_part
from workbench.distributed.policy import choose_policy
from workbench.recipe.schema import Recipe, TrainingSpec

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


def relu(elements: int) -> OpSignature:
    return OpSignature(torch.ops.aten.relu.default, (TensorSpec(torch.float32, (elements,), (1,)),))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the kinds that are measured, each of which takes a millisecond; none twice."""
    keys: list[str] = []

    def seconds(_stopwatch: Stopwatch, kind: OpSignature) -> float:
        keys.append(kind.key)
        return 0.001

    monkeypatch.setattr(Stopwatch, "seconds", seconds)
    monkeypatch.setattr(module, "_AGAIN_SECONDS", -1.0)
    monkeypatch.setattr(module, "_overhead", lambda _device: 0.0001)
    return keys


@pytest.fixture
def paces(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that an operator takes from now on, which can be changed."""
    seconds = [0.001]
    monkeypatch.setattr(Stopwatch, "seconds", lambda _self, _kind: seconds[0])
    monkeypatch.setattr(module, "_overhead", lambda _device: 0.0)
    return seconds


def test_like_calls_are_one_kind() -> None:
    operations = OpCounts()
    with fake_mode() as tracker:
        tracker.on_op = operations.add
        a, b = torch.ones(4, 3), torch.ones(3, 5)
        for _ in range(3):
            torch.mm(a, b)
        torch.mm(a.t().t(), b)
        torch.mm(torch.ones(8, 3), b)
    counts = [(str(kind.operator), n) for kind, n in operations.counts.items()]
    assert [n for name, n in counts if name == "aten.mm.default"] == [4, 1]
    assert "aten.t.default" not in dict(counts), "a view computes nothing"
    assert operations.calls > sum(operations.counts.values())


def test_each_kind_of_a_real_step_can_be_called(make_recipe: Callable[..., Recipe]) -> None:
    with dry_run(run_spec_of(make_recipe("lora", training={"precision": "bf16"})), 0) as done:
        operations = done.with_width(16).operations
    assert len(operations.counts) > 40
    stopwatch = Stopwatch(CPU)
    for kind in operations.counts:
        assert 0 < stopwatch.seconds(kind) < 1


def test_long_lists_are_timed_in_part_and_their_largest_tensor_first_to_go() -> None:
    small, large = (
        TensorSpec(torch.float32, (2**20,), (1,)),
        TensorSpec(torch.float32, (2**26,), (1,)),
    )
    tensors = [large, *([small] * 40)]
    (args, kwargs), share = _in_part(((tensors, tensors, []), {"lr": 0.1}))
    assert args == ([small] * 8, [small] * 8, []), "8 rows of 8 MiB fill 64 MiB"
    assert kwargs == {"lr": 0.1} and share == pytest.approx(64 / (2 * (256 + 160)))
    short = (([small], [small], []), {})
    assert _in_part(short) == (short, 1.0)


def test_arguments_take_turns_so_that_no_cache_holds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()

    def median(_stopwatch: Stopwatch, _operator: object, made: list[tuple[Any, Any]]) -> float:
        seen.add(len({args[0].data_ptr() for args, _ in made}))
        return 1.0

    monkeypatch.setattr(Stopwatch, "_median", median)
    for elements in (2**10, 2**22, 2**25):
        Stopwatch(CPU).seconds(relu(elements))
    assert seen == {1, 4}, "the smallest is soon in a cache, the largest never"


def test_an_operator_finds_numbers_that_none_has_written_over() -> None:
    stopwatch = Stopwatch(CPU)
    blank = TensorSpec(torch.float32, (2**20, 4), (4, 1))
    for _ in range(2):
        stopwatch.seconds(OpSignature(torch.ops.aten.mul_.Scalar, (blank, 0.0)))
    found = stopwatch._cut(blank, blank.shape)
    assert torch.equal(found, torch.full((2**20, 4), 0.5))


def test_arguments_have_the_strides_of_their_blanks_and_no_memory_in_common() -> None:
    stopwatch = Stopwatch(CPU)
    turned = stopwatch._filled(TensorSpec(torch.bfloat16, (3, 5), (1, 3)), 1)
    repeated = stopwatch._filled(TensorSpec(torch.bfloat16, (4, 6), (0, 1)), 1)
    empty = stopwatch._filled(TensorSpec(torch.bfloat16, (0, 7), (7, 1)), 1)
    rows = stopwatch._filled(TensorSpec(torch.int64, (100,), (1,)), 7)
    large = stopwatch._filled(TensorSpec(torch.bfloat16, (2**26,), (1,)), 1)
    for made, shape, stride in (
        (turned, (3, 5), (1, 3)),
        (repeated, (4, 6), (0, 1)),
        (empty, (0, 7), (7, 1)),
    ):
        assert (tuple(made.shape), made.stride()) == (shape, stride)
        assert (made == 0.5).all()
    assert len({each.data_ptr() for each in (turned, repeated, large)}) == 3
    assert (large == 0.5).all(), "more than there was"
    assert 0 <= rows.min() and rows.max() < 7


def test_what_is_new_is_measured_and_all_again_when_asked(
    make_recipe: Callable[..., Recipe], measured: list[str]
) -> None:
    recipe = make_recipe("lora")
    first = plan(recipe)
    assert first["notes"] == []
    assert first["train_seconds"] == pytest.approx(first["steps"] * first["seconds_per_step"])
    count = len(measured)
    assert count > 40 and len(set(measured)) == count
    assert plan(recipe)["seconds_per_step"] == first["seconds_per_step"]
    assert len(measured) == count, "all was known"
    plan(make_recipe({"name": "lora", "r": 4}))
    assert count < len(measured) < 2 * count, "only the smaller matrices were new"
    plan(recipe, recalibrate=True)
    assert len(measured) >= 2 * count
    before = len(measured)
    assert plan(recipe, time=False)["train_seconds"] is None and len(measured) == before


def _calibration() -> Calibration:
    return Calibration.of(choose_policy(TrainingSpec(), CPU), CPU)


def test_a_step_is_the_sum_of_its_calls(measured: list[str]) -> None:
    operations = OpCounts()
    with fake_mode() as tracker:
        tracker.on_op = operations.add
        a = torch.ones(4, 4)
        for _ in range(5):
            a = torch.mm(a, a)
    calibration = _calibration()
    assert calibration.step_time(operations) is None
    calibration.measure(operations)
    found = calibration.step_time(operations)
    assert found and found.mean == pytest.approx(6 * 0.001 + 6 * 0.0001)
    assert found.timings == 1 and found.spread is None


def test_a_forecast_is_the_mean_of_the_paces_that_were_met(paces: list[float]) -> None:
    step = OpCounts(Counter({relu(8): 3}), calls=3)
    for pace, mean in ((0.001, 0.001), (0.003, 0.002), (0.005, 0.003)):
        paces[:] = [pace]
        calibration = _calibration()
        calibration.measure(step)
        found = calibration.step_time(step)
        assert found and found.mean == pytest.approx(3 * mean)
        if found.timings == 3:
            assert found.spread == pytest.approx((0.001 / mean, pace / mean))
    for _ in range(module._TIMES):
        calibration.measure(step)
    assert len(calibration.seconds[relu(8).key]) == module._TIMES, "and that is enough"
    found = calibration.step_time(step)
    assert found and found.mean == pytest.approx(3 * (0.001 + 0.003 + 3 * 0.005) / 5)
    assert found.timings == module._TIMES
    assert _calibration().seconds == calibration.seconds


def test_a_time_is_as_well_known_as_half_of_it(measured: list[str]) -> None:
    step = OpCounts(Counter({relu(8): 60, relu(16): 40}), calls=0)
    calibration = _calibration()
    calibration.measure(step)
    for often in (3, 4):
        calibration.seconds[relu(8).key] = [0.001] * (often - 1) + [0.004]
        found = calibration.step_time(step)
        assert found and found.timings == often and found.spread is not None
        known = (0.001 * (often - 1) + 0.004) / often
        assert found.spread == pytest.approx((0.001 / known, 0.004 / known)), "of the rest as well"
    calibration.seconds[relu(16).key] = [0.01]
    found = calibration.step_time(step)
    assert found and found.timings == 1 and found.spread is None, "most was measured once"


def test_on_a_gpu_the_longer_of_computing_and_waiting_counts_at_each_pace() -> None:
    """It computes while the CPU goes ahead; nothing here needs one."""
    step = OpCounts(Counter({relu(8): 1}), calls=1)
    calibration = _calibration()
    calibration.seconds = {relu(8).key: [0.010] * 3, OVERHEAD: [0.0045, 0.009, 0.0135]}
    for device, mean, spread in (
        ("cpu", 0.019, (0.0145 / 0.019, 0.0235 / 0.019)),
        ("cuda", 0.010, (1.0, 1.35)),
    ):
        calibration.device = torch.device(device)
        found = calibration.step_time(step)
        assert found and found.mean == pytest.approx(mean)
        assert found.spread == pytest.approx(spread)


def test_a_range_is_told_from_three_timings_on(
    make_recipe: Callable[..., Recipe], measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 60.0)
    found = [plan(make_recipe("lora")) for _ in range(4)]
    assert [each["timings"] for each in found] == [1, 2, 3, 4]
    for each in found[:2]:
        assert each["seconds_per_step_range"] is each["train_seconds_range"] is None
    seconds, steps = found[3]["seconds_per_step"], found[3]["steps"]
    assert found[3]["seconds_per_step_range"] == pytest.approx([seconds, seconds]), "a steady clock"
    assert found[3]["train_seconds_range"] == pytest.approx([steps * seconds] * 2)


def test_what_weighs_most_and_was_measured_least_comes_first(
    paces: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    often, seldom, new = relu(8), relu(16), relu(24)
    step = OpCounts(Counter({often: 3, seldom: 2}), calls=5)
    calibration = _calibration()
    calibration.measure(step)
    step.counts[new] = 9
    # Three looks at the clock: one at the beginning, and one before each kind.
    times = itertools.cycle((0.0, 0.0, module._AGAIN_SECONDS + 1))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(times))
    for expected in (often, seldom, often):
        again = calibration._once_more([step], Stopwatch(CPU))
        assert list(again) == [expected.key], "and what is new is not there to be measured again"
        calibration.seconds[expected.key] += again.values()


def test_a_plan_of_long_steps_measures_its_heavy_kinds_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step of 0.9 s, of which each of three kinds takes a third and 0.15 s to measure."""
    kinds = [relu(8), relu(16), relu(24)]
    step, clock = OpCounts(Counter(dict.fromkeys(kinds, 6)), calls=0), [0.0]

    def seconds(_stopwatch: Stopwatch, kind: OpSignature) -> float:
        clock[0] += 0.15
        return 0.05

    monkeypatch.setattr(Stopwatch, "seconds", seconds)
    monkeypatch.setattr(module, "_overhead", lambda _device: 0.0)
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    calibration = _calibration()
    timings = []
    for _ in range(3):
        calibration.measure(step)
        found = calibration.step_time(step)
        timings.append(found.timings if found else 0)
    assert timings == [1, 2, 3]


def test_nothing_is_measured_again_beside_other_programs(
    paces: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = OpCounts(Counter({relu(8): 3}), calls=3)
    calibration = _calibration()
    calibration.measure(step)
    quiet = dict(calibration.seconds)
    monkeypatch.setattr(BackgroundLoad, "share", lambda _self: 0.9)
    paces[:] = [0.009]
    calibration.measure(step)
    assert calibration.seconds == quiet and calibration.while_busy == {}


def test_devices_have_files_of_their_own_and_a_damaged_one_is_measured_again(
    measured: list[str],
) -> None:
    calibrations = [
        Calibration.of(replace(choose_policy(TrainingSpec(), CPU), precision=precision), CPU)
        for precision in ("fp32", "bf16")
    ]
    assert calibrations[0].path != calibrations[1].path
    calibrations[0].measure(OpCounts())
    kept = json.loads(calibrations[0].path.read_text())
    assert kept["torch"] == torch.__version__ and kept["seconds"][OVERHEAD] == [0.0001]
    again = Calibration.of(choose_policy(TrainingSpec(precision="fp32"), CPU), CPU)
    assert again.seconds == calibrations[0].seconds
    for damaged in ('{"seconds": {"overhead": "soon", "x": 1', '{"seconds": {"x": [1, "soon"]}}'):
        calibrations[0].path.write_text(damaged)
        again = Calibration.of(choose_policy(TrainingSpec(precision="fp32"), CPU), CPU)
        assert again.seconds == {}
