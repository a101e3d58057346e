"""Reads the header of a safetensors file: names, types and shapes, and not one weight; no torch.

safetensors itself refuses a header that contradicts itself or the file: tensors that overlap or
leave a gap, a shape that does not fit its bytes, a file that is cut off or holds more.
"""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from workbench.errors import ExportError

MAX_HEADER_BYTES = 16_000_000
"""Ten thousand tensors take about a million; safetensors would unpack 100 million."""


@dataclass(frozen=True)
class TensorHeader:
    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, TensorHeader]:
    """The tensors of a safetensors file, by name.

    Raises:
        ExportError: when the header is too long, damaged or contradicts itself or the file.
    """
    try:
        with open(path, "rb") as file:
            if (length := int.from_bytes(file.read(8), "little")) > MAX_HEADER_BYTES:
                raise SafetensorError(f"its header would be {length:,} bytes long")
        with safe_open(path, framework="np") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            return {
                name: TensorHeader(part.get_dtype(), tuple(part.get_shape()))
                for name, part in slices.items()
            }
    except (SafetensorError, OSError) as error:
        raise ExportError(
            f"the weights are not taken: {str(error)[:200]}",
            where=path.name,
            why="the header of a safetensors file has to describe its bytes exactly",
            fix="download the adapter again, or ask whoever made it for an undamaged file",
        ) from error
