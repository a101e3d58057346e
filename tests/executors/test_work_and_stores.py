"""What a node does with one run, and how its folder reaches a store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from workbench.errors import UsageError
from workbench.executors.stores import upload_run
from workbench.executors.work import do_run
from workbench.recipe.schema import Recipe
from workbench.store import Run, read_run

Make = Callable[..., Recipe]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = tmp_path / "runs" / "tiny" / "lora-s0-12345678"
    (run / "adapter").mkdir(parents=True)
    for name in ("recipe.yaml", "status.json", "result.json", "adapter/weights", "a.tmp", "stop"):
        (run / name).write_text(name)
    return run


def test_a_folder_is_copied_whole_and_the_old_one_is_kept(folder: Path, tmp_path: Path) -> None:
    store = f"file://{tmp_path / 'store'}"
    address = upload_run(folder, store)
    assert address == f"{store}/tiny/{folder.name}"
    copied = tmp_path / "store" / "tiny" / folder.name
    names = {p.relative_to(copied).as_posix() for p in copied.rglob("*") if p.is_file()}
    assert names == {"recipe.yaml", "status.json", "result.json", "adapter/weights"}
    (folder / "result.json").write_text("second")
    upload_run(folder, store)
    assert (copied / "result.json").read_text() == "second"
    old = copied.parent / ".replaced" / f"{folder.name}.1"
    assert (old / "result.json").read_text() == "result.json"


def test_an_upload_that_breaks_off_leaves_nothing_that_looks_like_a_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = fsspec.filesystem("file")
    copy, copied = type(files).put_file, []

    def break_off(self: Any, source: str, target: str, **options: Any) -> None:
        if len(copied) == 2:
            raise OSError("the connection is gone")
        copied.append(target)
        copy(self, source, target, **options)

    monkeypatch.setattr(type(files), "put_file", break_off)
    with pytest.raises(OSError, match="the connection is gone"):
        upload_run(folder, str(tmp_path / "store"))
    there = {p.name for p in (tmp_path / "store").rglob("*") if p.is_file()}
    assert there and not there & {"recipe.yaml", "status.json"}


def test_a_store_that_fsspec_does_not_know_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="cannot open the store nowhere://x"):
        upload_run(folder, "nowhere://x")


def test_a_node_runs_goes_on_and_copies(
    make_recipe: Make, tmp_path: Path, train: Callable[..., Run], capfd: pytest.CaptureFixture[str]
) -> None:
    """A run that a lost node left behind is continued with, not begun again."""
    recipe = make_recipe("head", training={"epochs": 2})

    class Lost(BaseException):
        """Ends a run between two steps, with nothing saved."""

    def lose(kind: str, fields: dict[str, Any]) -> None:
        if kind == "step" and fields["step"] == 9:
            raise Lost

    runs = tmp_path / "runs"
    with pytest.raises(Lost):
        train(recipe, 0, runs, observer=lose)
    values = recipe.model_dump(mode="json")
    done = do_run(values, 0, str(runs), False, "memory://there")
    assert done["state"] == "finished", done
    assert done["uploaded"] == f"memory:///there/tiny/{Path(done['path']).name}"
    run = read_run(Path(done["path"]))
    assert not (run.path.parent / ".replaced").exists()
    steps = [row["step"] for row in run.events()[0] if row["kind"] == "step"]
    assert steps == list(range(1, 15))
    said = capfd.readouterr().err
    assert f"{run.id} resumed" in said and "validated at step 14" in said
    remote = fsspec.filesystem("memory")
    result = json.loads(remote.cat(f"/there/tiny/{run.path.name}/result.json"))
    assert result["metrics"] == run.result["metrics"] == done["metrics"]

    again = do_run(values, 0, str(runs), False, None)
    assert again["state"] == "finished" and "finished before, skipped" in capfd.readouterr().err
