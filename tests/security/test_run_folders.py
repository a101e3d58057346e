"""A run folder may be a stranger's: only regular files inside it are read, and shown or copied."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.comparison.fabricated_runs import fabricate
from tests.trained_runs import TrainedRuns
from workbench.adapters.export import export_run
from workbench.cli import main
from workbench.errors import RunRefused
from workbench.jobs import tail
from workbench.store import list_runs, read_json, read_run
from workbench.store.files import MOST_BYTES

SECRET = "the secret of this machine"
FILES = ["status.json", "result.json", "recipe.yaml", "events.jsonl", "log.txt"]
FILES += ["environment.json", "predictions.parquet"]


def a_link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def a_link_to_a_device(path: Path, secret: Path) -> None:
    path.symlink_to("/dev/zero")


def a_pipe(path: Path, secret: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path, secret: Path) -> None:
    path.mkdir()


Plant = Callable[[Path, Path], None]
PLANTS = [a_link, a_link_to_a_device, a_pipe, a_folder]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f'{{"state": "finished", "reason": "{SECRET}"}}\n{SECRET}\n')
    return path


@pytest.mark.timeout(60)
@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_regular_file_is_neither_shown_nor_waited_for(
    name: str, plant: Plant, secret: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    planted = fabricate(runs, "lora", 0)
    fabricate(runs, "full", 0)
    (planted / name).unlink(missing_ok=True)
    plant(planted / name, secret)
    run = f"{planted.parent.name}/{planted.name}"
    study = ["--runs", str(runs)]
    commands = [["runs", *study], ["show", run, *study], ["log", run, *study]]
    commands += [["compare", planted.parent.name, *study, "--json"]]
    report = tmp_path / "report"
    if plant is a_link:
        commands += [["report", planted.parent.name, *study, "--output", str(report)]]
    for command in commands:
        assert main(command) in (0, 1, 2, 3)
        shown = "".join(capfd.readouterr())
        assert SECRET not in shown and "unexpected error" not in shown, (command, shown)
    written = [path.read_bytes() for path in report.rglob("*") if path.is_file()]
    assert bool(written) is (plant is a_link) and SECRET.encode() not in b"".join(written)
    (found,) = (each for each in list_runs(runs) if each.path == planted)
    assert SECRET not in found.recipe_text() + tail(planted / "log.txt") + found.reason
    assert found.events() == ([], 0) or name != "events.jsonl"


@pytest.mark.timeout(60)
def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "status.json", "wb") as file:
        file.write(b"{")
        file.truncate(MOST_BYTES + 2)
    assert read_json(tmp_path / "status.json") is None
    assert read_run(tmp_path).state == "unreadable"


@pytest.mark.integration
@pytest.mark.parametrize("name", ["README.md", "more", "."])
def test_an_export_holds_no_file_that_a_link_leads_to(
    name: str, trained_runs: TrainedRuns, secret: Path, tmp_path: Path
) -> None:
    run = trained_runs.copy(trained_runs.recipe("text-classification", "lora"), tmp_path / "runs")
    path = run.adapter / name
    if name == ".":
        run.adapter.rename(tmp_path / "elsewhere")
        run.adapter.symlink_to(tmp_path / "elsewhere")
    else:
        path.unlink(missing_ok=True)
        path.symlink_to(secret.parent if name == "more" else secret)
    with pytest.raises(RunRefused, match="a link"):
        export_run(run, tmp_path / "export")
    assert not (tmp_path / "export").exists()


ESCAPES = "\x1b]0;owned\x07\x1b[31m\x9b2Jred\r\b\u202eevil"


def test_no_command_sends_what_a_record_holds_to_the_terminal_as_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs, what = tmp_path / "runs", {"description": ESCAPES, "warnings": [ESCAPES]}
    what |= {"policy": {"device_name": ESCAPES}, "task": ESCAPES, "replace": {"method": ESCAPES}}
    folder = fabricate(runs, "lora", 0, settings={"description": ESCAPES}, **what)
    failed = fabricate(runs, "full", 0, state="failed")
    status = json.loads((failed / "status.json").read_text()) | {"reason": ESCAPES}
    (failed / "status.json").write_text(json.dumps(status))
    (folder / "log.txt").write_text(f"{ESCAPES}\nä\n", encoding="utf-8")
    study = ["--runs", str(runs)]
    of_runs = [
        [command, f"bbc-news/{path.name}", *study]
        for path in (folder, failed)
        for command in ("show", "log", "resume")
    ]
    for command in [
        ["runs", *study],
        ["compare", "bbc-news", *study],
        *of_runs,
        ["compare", ESCAPES, *study],
        ["check", ESCAPES],
        [ESCAPES],
    ]:
        for as_json in ([], ["--json"]):
            main([*command, *as_json])
            shown = "".join(capfd.readouterr())
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", shown), (command, shown)
    main(["log", f"bbc-news/{folder.name}", *study])
    assert "ä" in capfd.readouterr().out
    main(["show", f"bbc-news/{folder.name}", *study, "--json"])
    assert json.loads(capfd.readouterr().out)["result"]["warnings"] == [ESCAPES]
