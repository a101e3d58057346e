"""Checkpoints: whole or not there, whatever happens while they are written or afterwards."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.small_disk import fill_inodes, small_disk
from tests.training.killing import die_at_syscall, in_child
from workbench.errors import StorageError, TrainingError
from workbench.store import disk
from workbench.training import checkpoint_files, state_dicts
from workbench.training.checkpoint_files import Tensors
from workbench.training.checkpoint_folder import KEPT, CheckpointFolder


def tensors_at(step: int) -> Tensors:
    return {
        "trainable": {"a": torch.full((40, 5), float(step)), "b": torch.arange(7)},
        "optimizer": {"a|exp_avg": torch.full((40, 5), step / 7)},
        "random": state_dicts.of_all_processes([state_dicts.random_state(torch.device("cpu"))]),
        "method": {},
    }


def save_step(folder: CheckpointFolder, step: int, best: int | None = None) -> None:
    state = {"step": step, "best": {"step": best}, "processes": 1}
    folder.save_step(step, tensors_at(step), state, best)


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints")


def names(folder: CheckpointFolder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir())


def test_what_is_saved_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_files, "FILE_BYTES", 64)  # several files of each kind
    given: Tensors = {
        "trainable": {f"p{i}": torch.randn(4, 3) for i in range(9)}
        | {"half": torch.randn(3).bfloat16(), "nan": torch.tensor(float("nan"))},
        "empty": {},
    }
    state = {"step": 3, "loss": float("inf"), "name": "ä"}
    written = checkpoint_files.save(tmp_path / "step-000003", given, state)
    files = sorted(path.name for path in (tmp_path / "step-000003").iterdir())
    assert "trainable-3.safetensors" in files and len(files) > 6
    assert written == sum(p.stat().st_size for p in (tmp_path / "step-000003").iterdir())
    tensors, read = checkpoint_files.load(tmp_path / "step-000003")
    assert read == state and tensors["empty"] == {}
    assert tensors["trainable"].keys() == given["trainable"].keys()
    for name, value in given["trainable"].items():
        assert torch.equal(tensors["trainable"][name], value) or value.isnan().all()


def test_the_newest_two_are_kept_with_the_best_that_they_refer_to(folder: CheckpointFolder) -> None:
    best = None
    for step in range(1, 7):
        if step in (1, 3, 6):
            folder.save_best(step, {"trainable": {}, "method": {}}, {})
            best = step
        save_step(folder, step, best)
    assert names(folder) == ["best-000003", "best-000006", "step-000005", "step-000006"]
    assert [p.name for p in folder.newest_first()] == ["step-000006", "step-000005"]
    folder.finish()
    assert names(folder) == ["best-000006"]


def test_a_bit_that_flips_is_always_found(folder: CheckpointFolder) -> None:
    for step in (1, 2):
        save_step(folder, step)
    draw = random.Random(0)
    files = sorted(folder.step(2).iterdir())
    for _ in range(100):
        file = draw.choice(files)
        before = file.read_bytes()
        flipped = bytearray(before)
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
        file.write_bytes(flipped)
        assert checkpoint_files.find_damage(folder.step(2)), file.name
        file.write_bytes(before)
    assert not checkpoint_files.find_damage(folder.step(2))


def test_a_disk_that_keeps_other_bytes_is_found_as_soon_as_they_are_written(
    folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = checkpoint_files._write

    def write_and_flip_a_bit(path: Path, content: bytes) -> str:
        digest = write(path, content)
        if path.name == "trainable-1.safetensors":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        return digest

    monkeypatch.setattr(checkpoint_files, "_write", write_and_flip_a_bit)
    with pytest.raises(StorageError, match="written data differs: trainable-1.safetensors"):
        save_step(folder, 1)


@pytest.mark.parametrize("file", ["trainable-1.safetensors", "random-1.safetensors", "state.json",
                                  "MANIFEST.json"])  # fmt: skip
def test_a_damaged_one_is_named_and_the_one_before_is_used(
    file: str, folder: CheckpointFolder
) -> None:
    for step in (1, 2):
        save_step(folder, step)
    (folder.step(2) / file).unlink()
    found, damages = folder.latest_valid(with_best=True)
    assert found is not None and found.state["step"] == 1
    assert len(damages) == 1 and damages[0].startswith("step-000002: ")
    assert (file if file != "MANIFEST.json" else "manifest") in damages[0]
    assert names(folder) == ["damaged-step-000002", "step-000001"]
    (folder.step(1) / file).write_bytes(b"{}")
    found, damages = folder.latest_valid(with_best=True)
    assert found is None and len(damages) == 1


def test_one_without_every_process_or_whose_best_is_damaged_is_not_whole(
    folder: CheckpointFolder,
) -> None:
    folder.save_best(1, {"trainable": {"a": torch.ones(3)}, "method": {}}, {})
    save_step(folder, 1, best=1)
    folder.save_best(2, {"trainable": {"a": torch.ones(3)}, "method": {}}, {})
    save_step(folder, 2, best=2)
    state = {"step": 3, "best": {"step": 2}, "processes": 2}
    folder.save_step(3, tensors_at(3), state, 2)
    assert folder.latest_valid(with_best=True)[1] == [
        "step-000003: the random state of process 1 is missing"
    ]
    (folder.best(2) / "trainable-1.safetensors").write_bytes(b"")
    assert folder.latest_valid(with_best=False)[1] == []
    found, damages = folder.latest_valid(with_best=True)
    assert damages == [
        "best-000002: trainable-1.safetensors differs from the hash it was written with"
    ]
    assert found is None, "step 1 had been rotated out"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.pop("torch"),
        lambda s: s.pop("python"),
        lambda s: s.update(torch=s["torch"][:100]),
        lambda s: s.update(numpy=s["numpy"][:9]),
        lambda s: s.update(python=torch.zeros(3, dtype=torch.int64)),
    ],
)
def test_a_random_state_that_is_none_is_an_error(spoil: object) -> None:
    device = torch.device("cpu")
    saved = state_dicts.random_state(device)
    state_dicts.restore_random_state(saved, device)
    spoilt = dict(saved)
    spoil(spoilt)  # type: ignore[operator]
    try:
        with pytest.raises(TrainingError, match="random state"):
            state_dicts.restore_random_state(spoilt, device)
    finally:
        state_dicts.restore_random_state(saved, device)


def test_all_generators_go_on_where_they_were() -> None:
    import numpy as np

    def draw() -> list[float]:
        return [torch.rand(1).item(), np.random.randn(), random.gauss(0, 1), random.random()]

    draw()  # leaves one pending number in numpy's and in Python's generator
    saved = state_dicts.random_state(torch.device("cpu"))
    first = draw()
    state_dicts.restore_random_state(saved, torch.device("cpu"))
    assert draw() == first


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_a_kill_at_any_point_of_a_save_leaves_a_whole_checkpoint(
    every: int, tmp_path: Path
) -> None:
    """Of the best state, of the checkpoint, and of the rotation."""
    point, outcomes = 1 - every, set()
    while True:
        point += every
        folder = CheckpointFolder(tmp_path / str(point))
        folder.save_best(1, {"trainable": {"a": torch.ones(3)}, "method": {}}, {})
        for step in range(1, KEPT + 1):
            save_step(folder, step, best=1)

        def save(point: int = point, folder: CheckpointFolder = folder) -> None:
            die_at_syscall(point)
            folder.save_best(3, {"trainable": {"a": torch.ones(3)}, "method": {}}, {})
            save_step(folder, 3, best=3)

        ended = in_child(save)
        for path in folder.path.glob("[a-z]*"):
            assert not checkpoint_files.find_damage(path), (point, path.name)
        found, damages = folder.latest_valid(with_best=True)
        assert found is not None and not damages, point
        outcomes.add(found.state["step"])
        folder.remove_leftovers()
        assert not list(folder.path.glob(".*")), point
        if ended is None:
            break
        assert ended == signal.SIGKILL
        if found.state["step"] == 2:
            folder.drop_unneeded(found.state["best"]["step"])
            folder.save_best(3, {"trainable": {"a": torch.ones(3)}, "method": {}}, {})
            save_step(folder, 3, best=3)
        assert {"best-000003", "step-000003", "step-000002"} <= set(names(folder))
    assert outcomes == {2, 3} and point > 30, "the kills did not reach the save"


def test_a_full_disk_is_explained_and_costs_nothing(
    folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_step(folder, 1)
    before = names(folder)
    for code, words in ((errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"),
                        (errno.EIO, "Input/output error")):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", _failing_with(code))
            with pytest.raises(StorageError, match=words) as caught:
                save_step(folder, 2)
        text = str(caught.value)
        assert str(folder.step(2)) in text
        assert code == errno.EIO or ("1,6" in text or "needed" in text) and "bytes free" in text
        assert names(folder) == before and not checkpoint_files.find_damage(folder.step(1))
    save_step(folder, 2)


def _failing_with(code: int) -> object:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture
def disk_of_64k(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "size=64k") as place:
        yield place


def test_a_disk_that_really_fills(disk_of_64k: Path) -> None:
    folder = CheckpointFolder(disk_of_64k / "checkpoints")
    save_step(folder, 1)
    big = {**tensors_at(2), "trainable": {"a": torch.zeros(30_000)}}
    with pytest.raises(StorageError, match=r"the disk is full: 16\d,\d{3} bytes needed") as caught:
        folder.save_step(2, big, {"step": 2, "best": {"step": None}, "processes": 1}, None)
    assert "bytes free" in str(caught.value)
    assert names(folder) == ["step-000001"]
    found, damages = folder.latest_valid(with_best=True)
    assert found is not None and not damages
    with pytest.raises(StorageError, match=r"this may need 9\d\d,\d{3} bytes and"):
        disk.check_room(disk_of_64k, 1_000_000, "this")
    subprocess.run(["mount", "-o", "remount,ro", str(disk_of_64k)], check=True)
    with pytest.raises(StorageError, match="Read-only file system"):
        disk.check_writable(disk_of_64k / "runs")


def test_a_disk_without_inodes_is_said_to_have_none(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m,nr_inodes=20") as place:
        folder = CheckpointFolder(place / "checkpoints")
        save_step(folder, 1)
        disk.check_room(place, 1000, "this", files=12)
        with pytest.raises(StorageError, match=r"may need 1\d inodes .* and 1\d are free"):
            disk.check_room(place, 1000, "this", files=25)
        fill_inodes(place / "ballast")
        with pytest.raises(StorageError, match="the disk is full: 7 inodes needed") as caught:
            save_step(folder, 2)
        assert "0 free; " in str(caught.value) and "delete files" in str(caught.value)
        with pytest.raises(StorageError, match="a run could not be written: the disk is full: 1 i"):
            disk.check_writable(place)
        assert names(folder) == ["step-000001"]


def test_room_is_asked_for_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.check_room(tmp_path / "not" / "there", 10, "this")
    with pytest.raises(StorageError, match="this may need") as caught:
        disk.check_room(tmp_path, 2**60, "this")
    assert str(tmp_path) in str(caught.value) and f"{2**60:,} bytes" in str(caught.value)
    (tmp_path / "held").write_bytes(b"x" * 100)
    monkeypatch.setattr(disk, "free_bytes", lambda _: 0)
    disk.check_room(tmp_path, 100, "what lies there already")
    with pytest.raises(StorageError, match="1 byte"):
        disk.check_room(tmp_path, 101, "this")
