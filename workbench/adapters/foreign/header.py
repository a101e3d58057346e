"""Reads the header of a safetensors file by its own rules before any library maps it.

The format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import ExportError

MAX_HEADER_BYTES = 16_000_000
"""Ten thousand tensors take about a million."""
MAX_TENSORS = 100_000
MAX_DIMENSIONS = 8

_BYTES = {
    **{"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "I32": 4, "U32": 4, "I64": 8, "U64": 8},
    **{"F16": 2, "BF16": 2, "F32": 4, "F64": 8},
}
_FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
_BF16_EXPONENT = 0x7F80
"""All bits of the exponent set: infinite or no number."""
_CHUNK = 1 << 22


@dataclass(frozen=True)
class TensorHeader:
    """What the header says of one tensor; ``begin`` and ``end`` are bytes of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(path: Path) -> dict[str, TensorHeader]:
    """The tensors of a safetensors file, by name, if every byte of it belongs to exactly one.

    Raises:
        ExportError: when the header is too long, damaged or contradicts itself or the file.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
            raise _refused(
                path, f"its header would be {length:,} bytes long, in a file of {size:,} bytes"
            )
        text = file.read(length)
    entries = _parsed(text, path)
    if len(entries) > MAX_TENSORS:
        raise _refused(path, f"it holds {len(entries):,} tensors, more than {MAX_TENSORS:,}")
    tensors = {n: _tensor(n, e, 8 + length, path) for n, e in entries.items()}
    _refuse_gaps(tensors, 8 + length, size, path)
    return tensors


def refuse_what_is_no_number(path: Path, tensors: dict[str, TensorHeader]) -> None:
    """Refuses NaN and infinite values, a few megabytes at a time.

    Raises:
        ExportError: naming the tensor.
    """
    with open(path, "rb") as file:
        for name, tensor in tensors.items():
            if tensor.dtype not in (*_FLOATS, "BF16"):
                continue
            file.seek(tensor.begin)
            for chunk in _chunks(file, tensor.end - tensor.begin):
                if not _finite(chunk, tensor.dtype):
                    raise _refused(path, f"{_shown(name)} holds NaN or infinite numbers")


def _finite(chunk: bytes, dtype: str) -> bool:
    if dtype == "BF16":
        exponents = np.frombuffer(chunk, "<u2") & _BF16_EXPONENT
        return bool((exponents != _BF16_EXPONENT).all())
    return bool(np.isfinite(np.frombuffer(chunk, _FLOATS[dtype])).all())


def _chunks(file: Any, size: int) -> Iterator[bytes]:
    while size > 0:
        chunk: bytes = file.read(min(_CHUNK, size))
        if not chunk:
            return
        size -= len(chunk)
        yield chunk


def _parsed(text: bytes, path: Path) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name is written twice")
        return dict(pairs)

    try:
        content = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"its header is not readable: {str(error)[:100]}") from error
    if not isinstance(content, dict):
        raise _refused(path, "its header is no object")
    content.pop("__metadata__", None)
    return content


def _tensor(name: str, entry: Any, start: int, path: Path) -> TensorHeader:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end]}:
            pass
        case _:
            raise _refused(path, f"{_shown(name)} has no dtype, shape and data_offsets")
    if dtype not in _BYTES:
        raise _refused(path, f"{_shown(name)} is of the unknown type {dtype[:20]!r}")
    if not all(_is_size(number) for number in (*shape, begin, end)) or begin > end:
        raise _refused(path, f"{_shown(name)} has a shape or place that is no whole number")
    if len(shape) > MAX_DIMENSIONS:
        raise _refused(path, f"{_shown(name)} has {len(shape)} dimensions")
    if math.prod(shape) * _BYTES[dtype] != end - begin:
        raise _refused(
            path, f"{_shown(name)} of shape {tuple(shape)} does not fit its {end - begin:,} bytes"
        )
    return TensorHeader(dtype, tuple(shape), start + begin, start + end)


def _is_size(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63


def _refuse_gaps(tensors: dict[str, TensorHeader], start: int, size: int, path: Path) -> None:
    """Every byte after the header belongs to one tensor: none overlap, nothing is hidden."""
    at = start
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != at:
            what = "overlaps another" if tensor.begin < at else "leaves a gap before it"
            raise _refused(path, f"{_shown(name)} {what}")
        at = tensor.end
    if at != size:
        what = "cut off" if at > size else "followed by bytes of no tensor"
        raise _refused(path, f"its tensors end at byte {at:,} of {size:,}: it is {what}")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:77]}...")


def _refused(path: Path, what: str) -> ExportError:
    return ExportError(
        f"the weights are not taken: {what}",
        where=path.name,
        why="the header of a safetensors file has to describe its bytes exactly",
        fix="download the adapter again, or ask whoever made it for an undamaged file",
    )
