"""What would take gigabytes is refused by its header alone: in a second and in 200 MB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workbench.adapters.foreign.header import read_header
from workbench.errors import ExportError

LORA = {"peft_type": "LORA", "task_type": "SEQ_CLS", "r": 4, "target_modules": ["query"]}
A = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight"


def write(path: Path, header: dict[str, Any] | bytes, data: bytes = b"", length: int = -1) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length < 0 else length
    path.write_bytes(size.to_bytes(8, "little") + text + data)
    return path


def tensor(shape: list[Any], begin: Any, end: Any, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ({"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, 12),
        ({"a": tensor([2], 0, 8), "b": tensor([2], 0, 8)}, 8),
        ({"a": tensor([2], 0, 8), "b": tensor([2], 12, 20)}, 20),
        ({"a": tensor([2], 4, 12)}, 12),
        ({"a": tensor([2], 0, 8)}, 9),
        ({"a": tensor([4], 0, 16)}, 8),
        ({"a": tensor([2], 0, 12)}, 12),
        ({"a": tensor([2**40, 2**40], 0, 8)}, 8),
        ({"a": tensor([2**62] * 8, 0, 8)}, 8),
        ({"a": tensor([-1, -2], 0, 8)}, 8),
        ({"a": tensor([2.0], 0, 8)}, 8),
        ({"a": tensor([True], 0, 4)}, 4),
        ({"a": tensor([2], 8, 0)}, 8),
        ({"a": tensor([2], 0, 8, "F31")}, 8),
        ({"a": {"dtype": "F32"}}, 8),
        ({"a": 3}, 8),
        (b'{"a": 1, "a": 2}', 0),
        (b"[" * 100_000, 0),
        (b"\xff\xfe", 0),
        (b"[]", 0),
    ],
)
def test_a_header_that_contradicts_itself(
    header: dict[str, Any] | bytes, data: int, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="the weights are not taken") as caught:
        read_header(write(tmp_path / "x.safetensors", header, bytes(data)))
    assert "download the adapter again" in str(caught.value)


@pytest.mark.parametrize("length", [2**40, 2**63, 10**8, 3])
def test_a_header_that_claims_too_much(length: int, tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", {"a": tensor([1], 0, 4)}, bytes(4), length)
    with pytest.raises(ExportError, match="header"):
        read_header(path)


def test_a_good_header_is_read(tmp_path: Path) -> None:
    header = {"__metadata__": {"format": "pt"}, "a": tensor([1, 2], 0, 8), "b": tensor([], 8, 12)}
    tensors = read_header(write(tmp_path / "x.safetensors", header, bytes(12)))
    assert {name: t.shape for name, t in tensors.items()} == {"a": (1, 2), "b": ()}


PROGRAM = """
import re, sys, time
from workbench.adapters.foreign import import_adapter
from workbench.errors import WorkbenchError
start = time.process_time()
try:
    import_adapter(sys.argv[1], sys.argv[2], base=sys.argv[3], confirm=lambda _: True)
except WorkbenchError as error:
    print(error.what)
# Not ru_maxrss: a child starts with that of the process that forked it.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
print(time.process_time() - start, peak, "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("config", "header", "words"),
    [
        ({"r": 10**9}, {A: tensor([4, 32], 0, 512)}, "found 1000000000"),
        ({"r": 8}, {A: tensor([10**9, 32], 0, 128 * 10**9)}, "file not fully covered"),
        ({"r": 8}, {A: tensor([4, 32], 0, 512)}, "which is rank 4"),
        ({}, b"{", "its header would be 1,099,511,627,776 bytes"),
        ({}, {A: tensor([4, 32], 0, 512), "b": tensor([4, 32], 0, 512)}, "invalid offset"),
    ],
)
def test_a_greedy_adapter_takes_a_second_and_200_mb_at_most(
    config: dict[str, Any], header: dict[str, Any] | bytes, words: str, tiny_bert: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({**LORA, **config}))
    length = 2**40 if header == b"{" else -1
    write(folder / "adapter_model.safetensors", header, bytes(512), length)
    command = [sys.executable, "-c", PROGRAM, folder, tmp_path / "mine", tiny_bert]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said, figures = done.stdout.strip().splitlines()
    seconds, peak, torch_loaded = figures.split()
    assert words in said
    assert float(seconds) < 1 and int(peak) < 200_000_000 and torch_loaded == "False"
