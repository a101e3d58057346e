"""What arrives in a folder or an archive: nothing but an adapter is unpacked."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest

from tests.adapters.foreign.importing import Pack, refusal, taken


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("adapter_model.bin", "is a pickle"),
        ("training_args.bin", "is a pickle"),
        ("optimizer.pt", "is a pickle"),
        ("modeling_evil.py", "is not a file of an adapter"),
        ("model.safetensors", "a whole model is not an adapter"),
        ("trained_weights.safetensors", "some of the model's own weights"),
        ("status.json", "is not a file of an adapter"),
    ],
)
def test_other_files_are_refused_by_name(
    name: str, words: str, adapter: Path, zipped: Pack, tiny_bert: Path
) -> None:
    assert words in refusal(zipped((name, "x")), tiny_bert)
    (adapter / name).write_text("x")
    message = refusal(adapter, tiny_bert)
    assert words in message and name in message


def test_folders_and_links_are_refused_and_hidden_entries_left_behind(
    adapter: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    (adapter / ".cache").mkdir()
    assert taken(adapter, tmp_path / "mine", tiny_bert).is_dir()
    assert not (tmp_path / "mine" / ".cache").exists()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (adapter / "README.md").unlink()
    (adapter / "README.md").symlink_to(secret)
    assert f"README.md: a link, to {secret}" in refusal(adapter, tiny_bert)
    (adapter / "README.md").unlink()
    (adapter / "README.md").mkdir()
    assert "not a regular file" in refusal(adapter, tiny_bert)


def _link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("../vocab.txt", "leads out of its folder"),
        ("a/../../vocab.txt", "leads out of its folder"),
        ("/etc/vocab.txt", "leads out of its folder"),
        ("./vocab.txt", "leads out of its folder"),
        ("C:/vocab.txt", "a name that is not the same everywhere"),
        ("..\\vocab.txt", "a name that is not the same everywhere"),
        ("vocab.txt\n", "a name that is not the same everywhere"),
        ("deeper/vocab.txt", "'deeper/vocab.txt' is not a file of an adapter"),
        ("README.MD", "'README.MD' is not a file of an adapter"),
        (_link("vocab.txt"), "is a link"),
    ],
)
def test_entries_of_a_zip_that_are_refused(
    entry: str | zipfile.ZipInfo, words: str, zipped: Pack, tiny_bert: Path, tmp_path: Path
) -> None:
    before = {path for path in tmp_path.rglob("vocab.txt")}
    assert words in refusal(zipped((entry, "x")), tiny_bert)
    assert {path for path in tmp_path.rglob("vocab.txt")} == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice(zipped: Pack, tiny_bert: Path) -> None:
    assert "README.md is in it twice" in refusal(zipped(("README.md", "other")), tiny_bert)


def test_bombs_are_refused_unopened(zipped: Pack, adapter: Path, tiny_bert: Path) -> None:
    message = refusal(zipped(("vocab.txt", "0" * 90_000_000)), tiny_bert)
    assert "would grow from" in message and "to 90,000,000 bytes" in message
    many = [(f"{number}.txt", "x") for number in range(100)]
    assert "more than 64 entries" in refusal(zipped(*many), tiny_bert)
    (adapter / "README.md").write_text("x" * 10_000_001)
    assert "more than 10,000,000 bytes are refused" in refusal(adapter, tiny_bert)


@pytest.mark.parametrize("cut", [-1, 100, 3000])
def test_a_damaged_zip(cut: int, zipped: Pack, tiny_bert: Path) -> None:
    path = zipped()
    content = bytearray(path.read_bytes())
    if cut < 0:
        path.write_bytes(content[: len(content) // 2])
        assert "neither a folder nor a zip" in refusal(path, tiny_bert)
        return
    content[cut] ^= 0xFF
    path.write_bytes(content)
    refusal(path, tiny_bert)


def test_a_tokenizer_with_code_is_refused(adapter: Path, tiny_bert: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (adapter / name).write_bytes((tiny_bert / name).read_bytes())
    config = json.loads((tiny_bert / "tokenizer_config.json").read_text())
    config["auto_map"] = {"AutoTokenizer": ["evil.Evil", None]}
    (adapter / "tokenizer_config.json").write_text(json.dumps(config))
    assert "a tokenizer with code of its own" in refusal(adapter, tiny_bert)
