"""A process that has trained before measures what one measures that has not."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEGABYTE = 1024**2
SCRIPT = """
import json, resource, torch
from pathlib import Path
from workbench.costs.memory_meter import MemoryMeter

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

def blocks(count):
    return [torch.ones(1024**2 // 4) for _ in range(count)]

meter = MemoryMeter(torch.device("cpu"))
meter.start()
meter.keep_freed()
before = blocks(200)
kept = before[::4]
del before  # leaves a hole of three megabytes beside each one that is kept
meter.start()
start, found = resident(), {}
with meter.phase("train"):
    again = blocks(100)
    del again
    found["after"] = resident() - start
    again = blocks(100)
found |= {"peak": meter.phases["train"], "start": resident() - start}
del again
meter.keep_freed()
again = blocks(100)
del again
found["relaxed"] = resident() - start
faults = []
for _ in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    large = torch.ones(64 * 1024**2 // 4)
    del large
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
found["faults"] = sum(faults[2:])  # once it has found its place
with meter.phase("evaluate"):
    found["between phases"] = resident() - start
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc of Linux")
def test_what_is_freed_into_holes_goes_back_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, cwd=ROOT
    )
    found = json.loads(done.stdout)
    assert found["after"] < 5 * MEGABYTE, "nothing of what was freed stays resident"
    assert found["peak"] == pytest.approx(100 * MEGABYTE, rel=0.05)
    assert found["relaxed"] > 80 * MEGABYTE, "afterwards the holes are in use, and kept"
    assert found["faults"] < 500, "large blocks too; each would be 16,384 pages again"
    assert found["between phases"] < 5 * MEGABYTE


ARENAS = """
import ctypes, re, sys, tempfile, threading
from workbench.heavy_imports import loading_libraries

libc = ctypes.CDLL(None)
libc.fopen.restype = libc.malloc.restype = ctypes.c_void_p
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "loading":
    with loading_libraries():
        pass
threads = [threading.Thread(target=libc.malloc, args=(1000,)) for _ in range(4)]
for thread in threads:
    thread.start()
    thread.join()
with tempfile.NamedTemporaryFile("r") as file:
    stream = libc.fopen(file.name.encode(), b"w")
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(len(re.findall("<heap nr", file.read())))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has arenas")
def test_threads_of_libraries_share_one_heap() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}

    def heaps(when: str) -> int:
        command = [sys.executable, "-c", ARENAS, when]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment
        )
        return int(done.stdout)

    assert heaps("loading") == 1 < heaps("not")
