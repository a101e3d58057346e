"""glibc's heap, brought to where resident memory is what was allocated.

By default the C library keeps freed blocks for later. Exact, it maps each block over 64 kB by
itself and gives it back at once, but only where the heap has no hole for it: a block in a hole
stays resident when it is freed. A process that has trained before is full of holes. LoRA on
SmolLM2-135M measured 1,392 MiB as the first run of a process and 1,634 to 1,672 MiB as a later
one, of the same tensors. So the holes are taken, untouched, for as long as the heap is exact.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import cache
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_EXACT_BYTES = 64 * 1024
_RELAXED_MMAP_BYTES, _RELAXED_TRIM_BYTES = 32 * 1024**2, 512 * 1024**2
_INFO = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()

_taken: list[int] = []
"""Addresses of the holes that are held."""


def be_exact() -> None:
    """Gives back what is free, and lets blocks over 64 kB go back as soon as they are freed."""
    gc.collect()
    libc = _glibc()
    if libc is None:
        return
    libc.mallopt(_M_ARENA_MAX, 1)
    _set_thresholds(libc, _EXACT_BYTES, _EXACT_BYTES)
    _let_go(libc)
    libc.malloc_trim(0)
    _take_holes(libc)


def stop_being_exact() -> None:
    """Lets the C library keep freed blocks again, which saves page faults."""
    libc = _glibc()
    if libc is None:
        return
    _set_thresholds(libc, _RELAXED_MMAP_BYTES, _RELAXED_TRIM_BYTES)
    _let_go(libc)


def _set_thresholds(libc: Any, map_from: int, trim_from: int) -> None:
    libc.mallopt(_M_MMAP_THRESHOLD, map_from)
    libc.mallopt(_M_TRIM_THRESHOLD, trim_from)


def _take_holes(libc: Any) -> None:
    """Allocates the free part of the heap, the largest blocks first, without writing to them.

    A hole is used up when a block of its size is mapped instead, which the number of maps tells.
    """
    info = _info(libc)
    if info is None:
        return
    size = 1 << max(info().fordblks, 0).bit_length()
    while size >= _EXACT_BYTES:
        maps = info().hblks
        block = libc.malloc(size)
        if block and info().hblks == maps:
            _taken.append(block)
            continue
        libc.free(block)
        size //= 2


def _let_go(libc: Any) -> None:
    while _taken:
        libc.free(_taken.pop())


@cache
def _glibc() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")):
        return None
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    return libc


def _info(libc: Any) -> Any:
    """mallinfo2 (man mallinfo), which glibc has from 2.33 on; an older one counts to 2 GB."""
    if not hasattr(libc, "mallinfo2"):
        return None

    class Info(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in _INFO]

    libc.mallinfo2.restype = Info
    return libc.mallinfo2
