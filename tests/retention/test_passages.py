"""The general text ships whole, and no other is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import AssetError
from workbench.retention.passages import FILE, read_passages


def test_there_are_48_different_passages_long_enough_for_what_is_read_of_each() -> None:
    passages = read_passages()
    assert len(set(passages)) == 48
    assert all(72 <= len(passage.split()) <= 109 for passage in passages)


def test_a_changed_text_is_refused(tmp_path: Path) -> None:
    changed = tmp_path / "passages.jsonl"
    changed.write_bytes(FILE.read_bytes().replace(b"website", b"web site", 1))
    with pytest.raises(AssetError, match="the general text has changed"):
        read_passages(changed)


def test_a_missing_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="cannot be read: No such file"):
        read_passages(tmp_path / "passages.jsonl")
