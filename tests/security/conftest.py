"""A canary: a file that appears if anything of a stranger is run, and payloads that would make it.

The payload is written as the bytes of a pickle, for no file here may import the module.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """The file that must not appear; looked for at the end of every test that names it."""
    path = tmp_path / "CANARY"
    yield path
    assert not path.exists(), "something of a stranger was run"


@pytest.fixture
def payload(canary: Path) -> bytes:
    """A pickle that makes the canary as soon as it is loaded."""
    return f"cposix\nsystem\n(S'touch {canary}'\ntR.".encode()


@pytest.fixture
def torch_payload(payload: bytes) -> bytes:
    """The same in the zip that ``torch.save`` writes."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")
    return target.getvalue()


@pytest.fixture
def evil_code(canary: Path) -> str:
    """A Python module that makes the canary as soon as it is imported."""
    return (
        "import pathlib\n"
        f"pathlib.Path({str(canary)!r}).touch()\n"
        "from transformers import BertConfig as EvilConfig, BertModel as EvilModel\n"
    )


@pytest.fixture
def model_folder(tiny_bert: Path, tmp_path: Path) -> Callable[..., Path]:
    """``model_folder(auto_map={...})``: a copy of the tiny BERT with other values in its config."""

    def change(**values: object) -> Path:
        folder = tmp_path / "model"
        shutil.copytree(tiny_bert, folder)
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
        return folder

    return change
