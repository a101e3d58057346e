"""The queue played on forecasts: makespan, device hours and memory of a study on given devices."""

from __future__ import annotations

import itertools

import pytest

from workbench.errors import UsageError
from workbench.executors.packing import START_SECONDS
from workbench.executors.schedule import (
    FP32,
    Devices,
    PlannedRun,
    parse_devices,
    run_seconds,
    schedule,
)


def runs(*seconds: float | None, needed: int | None = 10) -> list[PlannedRun]:
    return [PlannedRun(name=f"r{n}", seconds=s, needed_bytes=needed) for n, s in enumerate(seconds)]


def test_devices_as_a_user_writes_them() -> None:
    h100 = Devices(name="H100", slots=8, memory_bytes=80 * 10**9)
    assert parse_devices("8xH100:80GB") == h100
    assert parse_devices("2xA10G") == Devices(name="A10G", slots=2)
    assert parse_devices("4") == 4 and parse_devices("ray") is None
    for text in ("", "0", "x", "0xH100:80GB", "8xH100:80", "8xH100:0GB", "99999xA", "-1", "8x"):
        with pytest.raises(UsageError, match="names no devices"):
            parse_devices(text)


def test_runs_go_to_the_device_that_is_free_first() -> None:
    """Against a clock that goes second by second and gives each free device the next run."""
    seconds = [7, 3, 5, 2, 2, 6, 1]
    for slots in (1, 2, 3, 8):
        waiting, busy, ended = list(seconds), [0] * slots, 0
        for now in itertools.count():
            for device in range(slots):
                if busy[device] <= now and waiting:
                    busy[device] = now + waiting.pop(0)
                    ended = max(ended, busy[device])
            if not waiting:
                break
        devices = Devices(name="A", slots=slots, longest_first=False)
        found = schedule(runs(*seconds), devices)
        assert found["makespan_seconds"] == ended
        assert found["reserved_hours"] == pytest.approx(slots * ended / 3600)
        assert found["busy_hours"] == pytest.approx(sum(seconds) / 3600)


def test_runs_that_share_a_device_need_its_memory_together() -> None:
    both = [*runs(4), *runs(4, needed=30), *runs(4, needed=20)]
    devices = Devices(name="here", slots=2, per_device=2, memory_bytes=49, slowdown=2.0)
    found = schedule(both, devices)
    assert found["devices"] == 1 and found["peak_memory_bytes"] == 50 and found["fits"] is False
    assert found["makespan_seconds"] == 16, "each takes twice as long"
    assert found["busy_hours"] == pytest.approx(12 / 3600)
    alone = schedule(both, Devices(name="A", slots=2, memory_bytes=70))
    assert alone["peak_memory_bytes"] == 30 and alone["fits"] is True
    assert alone["fit_on_one_device"] == 2


def test_what_is_not_forecast_is_not_known() -> None:
    found = schedule(runs(4, None), Devices(name="A", slots=2, memory_bytes=70))
    assert found["makespan_seconds"] is None and found["busy_hours"] is None
    found = schedule(runs(4, needed=None), Devices(name="A", slots=2, memory_bytes=70))
    assert found["fits"] is None and found["peak_memory_bytes"] is None


def test_a_run_takes_its_process_its_steps_and_its_evaluations() -> None:
    lora = {"trainable_parameters": 30, "head_parameters": 10, "total_parameters": 900}
    plan = {"seconds_per_step": 0.8, "train_seconds": 80.0, "precision": "fp32"} | lora
    assert run_seconds(plan, 8, 0) == START_SECONDS + 80

    def evaluated(**changes: object) -> float:
        found = run_seconds(plan | changes, 8, 100)
        assert found is not None
        return found - START_SECONDS - 80

    assert evaluated() == pytest.approx(100 * 0.05), "half of a step: its backward pass is as long"
    assert evaluated(trainable_parameters=10) == pytest.approx(100 * 0.1), "the head alone"
    assert evaluated(trainable_parameters=900) == pytest.approx(100 * 0.1 / 3), "full"
    assert evaluated(precision="bf16") == pytest.approx(100 * 0.05 * FP32), "the test is fp32"
    assert run_seconds({}, 8, 100) is None


def test_the_longest_first_comes_near_the_best_packing() -> None:
    """Of three seeds each of eight recipes on 2 to 8 devices, by what no packing can undercut."""
    seconds = [each for each in (221, 340, 106, 235, 222, 241, 207, 240) for _ in range(3)]
    for slots in range(2, 9):
        found = schedule(runs(*seconds), Devices(name="A", slots=slots))
        best = max(sum(seconds) / slots, max(seconds))
        assert found["makespan_seconds"] <= 1.15 * best
