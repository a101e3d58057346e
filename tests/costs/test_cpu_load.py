"""Other programs in the way of measuring: noticed, told, and what they spoilt measured again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from workbench import plan
from workbench.costs import cpu_load as module
from workbench.costs.calibration import Calibration
from workbench.costs.cpu_load import BackgroundLoad
from workbench.costs.stopwatch import Stopwatch
from workbench.recipe.schema import Recipe

share = BackgroundLoad.share
"""The real one; the tests of this folder are alone."""
SECONDS = 1.0


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The share that others take from now on, and what an operator takes; both can be changed."""
    now = [0.9, 0.004]
    monkeypatch.setattr(BackgroundLoad, "share", lambda _self: now[0])
    monkeypatch.setattr(Stopwatch, "seconds", lambda _self, _kind: now[1])
    return now


@pytest.fixture
def busy_processors() -> Iterator[None]:
    """A program for each processor that does nothing but work."""
    programs = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(psutil.cpu_count() or 1)
    ]
    yield
    for each in programs:
        each.kill()
        each.wait()


def test_others_are_noticed(busy_processors: None) -> None:
    others = BackgroundLoad()
    time.sleep(SECONDS)
    assert share(others) > 0.5


def test_what_this_process_does_is_not_that_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    worked, clock = iter([(10.0, 4.0), (13.0, 5.0)]), iter([0.0, 2.0])
    monkeypatch.setattr(module, "_worked", lambda: next(worked))
    monkeypatch.setattr(module, "_processors", lambda: {0, 1})
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    assert share(BackgroundLoad()) == pytest.approx((3.0 - 1.0) / (2 * 2.0))


def test_hidden_counters_are_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(percpu: bool) -> None:
        raise PermissionError("/proc/stat")

    monkeypatch.setattr(psutil, "cpu_times", hidden)
    assert share(BackgroundLoad()) == 0.0


def test_a_busy_device_is_told_and_measured_again_when_it_is_not(
    make_recipe: Callable[..., Recipe], taken: list[float]
) -> None:
    recipe = make_recipe("lora")
    busy = plan(recipe)
    (note,) = busy["notes"]
    assert "other programs" in note and "measures again" in note
    assert busy["train_seconds"] > 0
    taken[1] = 0.007
    assert plan(recipe)["seconds_per_step"] == busy["seconds_per_step"], "not measured again yet"
    taken[:] = [0.1, 0.001]
    quiet = plan(recipe)
    assert quiet["notes"] == [] and quiet["seconds_per_step"] < busy["seconds_per_step"] / 2
    taken[:] = [0.9, 0.004]
    again = plan(recipe)
    assert again["notes"] == [] and again["seconds_per_step"] == quiet["seconds_per_step"]


def test_a_file_says_which_are_which(
    make_recipe: Callable[..., Recipe], taken: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    of = Calibration.of

    def found(*args: Any, **kwargs: Any) -> Calibration:
        paths.append((calibration := of(*args, **kwargs)).path)
        return calibration

    monkeypatch.setattr(Calibration, "of", found)
    for taken[0], (many, none) in (
        (0.9, ("while_busy", "seconds")),
        (0.0, ("seconds", "while_busy")),
    ):
        plan(make_recipe("lora"))
        kept = json.loads(paths[0].read_text())
        assert len(kept[many]) > 40 and kept[none] == {}
