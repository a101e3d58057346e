"""What a killed process left in the folders of runs, and what of it the next command removes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.stored_recipes import news_recipe
from workbench import cli
from workbench.store import Run, open_run, read_run, run_path, write_json
from workbench.store.leftovers import tidy
from workbench.store.run_folder import lock_folder

PROGRESS = ("step-000003", "step-000006", "best-000002", "best-000010", "damaged-step-000004")


def ended_run(root: Path, name: str = "lora-r4", state: str = "finished") -> Run:
    """A run whose process was killed before it cleaned up."""
    writer = open_run(root, news_recipe(name), 0)
    for folder in (*PROGRESS, ".step-000009.77.tmp"):
        (writer.path / "checkpoints" / folder).mkdir(parents=True)
        (writer.path / "checkpoints" / folder / "state.json").write_text("{}")
    (writer.path / ".adapter.x1y2").mkdir()
    (writer.path / ".status.json.7.8.tmp").touch()
    if state == "finished":
        writer.finish({})
    else:
        writer.close("failed", "it was killed")
    return read_run(writer.path)


def inside(run: Run) -> set[str]:
    return {p.relative_to(run.path).as_posix() for p in run.path.rglob("*") if p.is_dir()} | {
        p.name for p in run.path.glob(".*")
    }


@pytest.mark.parametrize("command", [["runs"], ["show", "lora-r4"]])
def test_the_next_look_at_a_finished_run_leaves_its_best_state_alone(
    command: list[str], tmp_path: Path
) -> None:
    run = ended_run(tmp_path)
    (run.path / ".reserve").touch()
    assert cli.main([*command, "--runs", str(tmp_path)]) == 0
    assert inside(run) == {"checkpoints", "checkpoints/best-000010"}


def test_of_a_failed_run_only_what_is_half_written_goes(tmp_path: Path) -> None:
    run = ended_run(tmp_path, state="failed")
    tidy([run])
    assert inside(run) == {"checkpoints", *(f"checkpoints/{name}" for name in PROGRESS)}


def test_nothing_goes_from_a_run_that_is_held_active_or_another_machine_s(tmp_path: Path) -> None:
    held, away = ended_run(tmp_path, "held"), ended_run(tmp_path, "away", "failed")
    write_json(away.path / "status.json", {**away.status, "host": "elsewhere"})
    writer = open_run(tmp_path, news_recipe("active"), 0)
    (writer.path / ".adapter.x1y2").mkdir()
    everything = [held, read_run(away.path), read_run(writer.path)]
    before = [inside(run) for run in everything]
    lock = lock_folder(held.path)
    assert lock is not None
    with lock:
        tidy(everything)
        assert [inside(run) for run in everything] == before
    writer.close("stopped")


def test_what_a_deletion_and_a_start_left_beside_the_runs_goes(tmp_path: Path) -> None:
    run = ended_run(tmp_path)
    study = run.path.parent
    left = [study / ".deleted-gone-s0-12345678-ab12cd34", study / ".new-s0-12345678.77.tmp"]
    for folder in left:
        folder.mkdir()
    lock = lock_folder(study / "gone-s0-12345678")
    assert lock is not None
    with lock:
        tidy([run])
        assert left[0].exists() and not left[1].exists()
    tidy([run])
    assert not left[0].exists()


def test_no_link_is_followed(tmp_path: Path) -> None:
    run, elsewhere = ended_run(tmp_path), tmp_path / "elsewhere"
    (run.path / "checkpoints").rename(elsewhere)
    (run.path / "checkpoints").symlink_to(elsewhere)
    (run.path / ".adapter.link").symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    tidy([run])
    assert sorted(elsewhere.rglob("*")) == before and not (run.path / ".adapter.link").exists()


def test_what_cannot_be_removed_stays_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_run(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("workbench.store.leftovers.remove", refuse)
    assert cli.main(["runs", "--runs", str(tmp_path)]) == 0
    assert run_path(tmp_path, news_recipe(), 0).is_dir()
