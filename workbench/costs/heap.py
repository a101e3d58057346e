"""glibc's heap, brought to where resident memory is what was allocated.

Exact, the C library maps each block over 64 kB by itself and gives it back at once, but only where
the heap has no hole for it, and a process that has trained before is full of holes: LoRA on
SmolLM2-135M measured 1,392 MiB as its first run and 1,634 to 1,672 MiB as a later one, of the same
tensors. So the holes are allocated, without a write, while the heap is exact.

Afterwards it keeps all it has, because a page that was given back is zeroed before it is used
again: 150,000 of them in each step of a BERT-base. On two cores of an AMD EPYC, keeping them takes
full fine-tuning (4 x 128 tokens) to 0.70 of the time, LoRA to 0.88 (16 x 128) and 0.69 (64 x 128),
with the same peak of resident memory; MiniLM and SmolLM2 gain nothing or a few percent.

All threads share one arena (`heavy_imports.one_arena`), as the free end of another is not given
back. Tokenizing takes as long as before.
"""

import ctypes
import gc
import sys
from functools import cache
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_EXACT_BYTES = 64 * 1024
_MOST_MAPS = 65536
"""The C library's own limit of blocks that are mapped by themselves."""
_NEVER = -1
_INFO = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()

_PYTHON_BYTES = 12 * 2**20
"""Small Python objects that a training's first steps may make before they count: they make 1 to 4
MB, for which a first run had to ask the kernel and a later one had room left by the runs before."""

_taken: list[int] = []
_scattered: list[bytes] = []
"""Objects that keep Python from giving free room back: a few in each of its arenas."""


def trim_eagerly(*, again: bool = False) -> None:
    """Gives back what is free, and lets blocks over 64 kB go back as soon as they are freed;
    ``again``, of what is measured already, without making or collecting what would change it."""
    if not again:
        gc.collect()
    libc = _glibc()
    if libc is None:
        return
    libc.mallopt(_M_MMAP_MAX, _MOST_MAPS)
    libc.mallopt(_M_MMAP_THRESHOLD, _EXACT_BYTES)
    libc.mallopt(_M_TRIM_THRESHOLD, _EXACT_BYTES)
    _let_go(libc)
    if not again:
        # As many small objects as a training may need, of which all but a few are let go.
        size = 512
        objects = [bytes(size - sys.getsizeof(b"")) for _ in range(_PYTHON_BYTES // size)]
        _scattered[:] = objects[:: 2**20 // size // 4]
        del objects
    libc.malloc_trim(0)
    _fill_free_blocks(libc)


def keep_freed() -> None:
    """Lets the C library keep all blocks that are freed, which saves page faults."""
    libc = _glibc()
    if libc is None:
        return
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)
    _let_go(libc)


def give_back() -> None:
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _fill_free_blocks(libc: Any) -> None:
    """Allocates the free part of the heap, the largest blocks first, without writing to them. A
    hole is used up when a block of its size is mapped instead, which the number of maps tells."""
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
