"""What the form says means the same without the UI: same fingerprint, same numbers, same bits."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
from made_runs import RunsFolder
from opening import open_view, texts
from tiny_study import write_study

from workbench.cli import main
from workbench.store import ACTIVE, Run, list_runs

SECONDS = 240


@pytest.fixture
def study(tmp_path: Path, tiny_bert: Path, topics_file: Path) -> Path:
    """A folder with one recipe that trains for some seconds."""
    methods = {"lora": {"name": "lora", "r": 4, "target_modules": ["query", "value"]}}
    return write_study(tmp_path / "tiny", tiny_bert, topics_file, methods, max_steps=6)


def ended(folder: Path) -> Run:
    """The only run of a folder once it has ended."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = list_runs(folder)
        if found and found[0].state not in ACTIVE and found[0].path.exists():
            (run,) = found
            assert run.state == "finished", run.status
            return run
        time.sleep(0.3)
    raise AssertionError(f"it did not end: {list_runs(folder)}")


def weights(run: Run) -> str:
    return hashlib.sha256((run.adapter / "adapter_model.safetensors").read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_saved_recipe_run_by_the_command_line_is_the_run_that_the_page_started(
    runs: RunsFolder, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = open_view("recipes", path=str(study))
    next(w for w in app.number_input if w.label == "rank (r)").set_value(2).run()
    next(w for w in app.number_input if w.label == "learning rate").set_value(0.02).run()
    next(w for w in app.multiselect if w.label == "Seeds").set_value([1]).run()
    next(w for w in app.text_input if w.label == "Name").set_value("mine")
    app.button(key="save").click().run()
    saved = study / "tiny" / "mine.yaml"
    assert str(saved) in texts(app)
    app.button(key="start").click().run()
    assert not app.exception
    by_page = ended(runs.path)

    code = main(["run", str(saved), "--seeds", "1", "--runs", str(tmp_path / "headless")])
    assert code == 0, capsys.readouterr().err
    by_command = ended(tmp_path / "headless")
    assert by_command.status["recipe"] == "mine" and by_page.status["recipe"] == "lora"
    for key in ("fingerprint", "seed"):
        assert by_page.status[key] == by_command.status[key]
    for key in ("metrics", "parameters", "comparability", "selected"):
        assert by_page.result[key] == by_command.result[key], key
    assert weights(by_page) == weights(by_command)
    assert by_page.result["parameters"]["adapter"] == 2 * 2 * 2 * (32 + 32)
