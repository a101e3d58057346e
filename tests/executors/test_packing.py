"""How many runs a device takes at once."""

from __future__ import annotations

import pytest

from workbench.executors.packing import (
    CPU_PROCESS_BYTES,
    GPU_PROCESS_BYTES,
    Machine,
    at_once_each,
    ends_of,
    needed_bytes,
    pays,
)

GIB = 2**30


def machine(**facts: object) -> Machine:
    usual: dict[str, object] = {"cards": (), "free_bytes": 64 * GIB, "cores": 8, "threads": 2}
    return Machine(**(usual | facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "needed", "runs"),
    [
        ({}, [GIB], 4),  # 8 cores, 2 threads each
        ({"threads": 8}, [GIB], 1),
        ({"threads": 3}, [GIB], 2),
        ({"free_bytes": 5 * GIB}, [GIB, 2 * GIB], 2),  # by the largest
        ({"free_bytes": GIB}, [2 * GIB], 1),  # one runs in any case, and says what it lacks
        ({}, [GIB, None], 1),  # one of them is not forecast
        ({"free_bytes": None}, [GIB], 1),
        ({"cards": ("0", "1"), "free_bytes": 10 * GIB}, [3 * GIB], 3),
        ({"cards": ("0", "1"), "free_bytes": 80 * GIB}, [GIB], 4),  # a core for each run
        ({"cards": tuple("01234567"), "cores": 4}, [GIB], 1),
    ],
)
def test_memory_and_cores_decide(
    facts: dict[str, object], needed: list[int | None], runs: int
) -> None:
    assert at_once_each(machine(**facts), needed) == runs


def test_a_run_needs_its_process_too() -> None:
    plan = {"peak_memory_bytes": GIB, "memory": {"weights_bytes": 1000}, "device": "cuda"}
    assert needed_bytes(plan) == GIB + GPU_PROCESS_BYTES
    on_cpu = needed_bytes(plan | {"device": "cpu"})
    assert on_cpu == GIB + 1000 + CPU_PROCESS_BYTES, "its check loads the model once more"
    assert needed_bytes({}) is None


def test_short_runs_are_quicker_one_after_the_other() -> None:
    assert not pays([1.0] * 8, 2), "a process for each takes longer than what it saves"
    assert pays([60.0] * 8, 2)
    assert pays([1.0, None], 2), "of what is not known the cores decide"


def test_each_run_takes_what_is_free_first_in_the_order_of_the_queue() -> None:
    assert ends_of([4, 2, 3, 1], [0, 0]) == [4, 2, 5, 5]
    assert ends_of([1, 1], [0, 10]) == [1, 2]
    assert ends_of([], [0]) == []
