"""What the environment holds in secret reaches no record, log, card or message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.jobs import start
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.redact import without_secrets

SECRETS = {
    "HF_TOKEN": "hf_canaryCANARYcanary1",
    "HUGGING_FACE_HUB_TOKEN": "hf_canaryCANARYcanary2",
    "WANDB_API_KEY": "canaryCANARYcanary3",
    "AWS_SECRET_ACCESS_KEY": "canaryCANARYcanary4",
    "DATABASE_PASSWORD": "canaryCANARYcanary5",
    "SOME_SECRET": "canaryCANARYcanary6",
}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def files_with_secrets(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(p) for p in files for v in SECRETS.values() if v.encode() in p.read_bytes()]


@pytest.mark.usefixtures("secrets")
def test_a_run_writes_none_of_them(
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A finished run and a failed one."""
    monkeypatch.chdir(tmp_path)
    good = make_recipe(training={"max_steps": 2})
    bad = make_recipe(model={"max_length": 65}, name="bad")
    for recipe in (good, bad):
        (tmp_path / f"{recipe.name}.yaml").write_text(dump_recipe(recipe))
    files = [str(tmp_path / "lora.yaml"), str(tmp_path / "bad.yaml")]
    code = main(["run", "--runs", str(tmp_path / "runs"), *files])
    out, err = capfd.readouterr()
    assert code == 2, err
    states = [json.loads(p.read_text())["state"] for p in tmp_path.rglob("status.json")]
    assert sorted(states) == ["failed", "finished"]
    names = {path.name for path in tmp_path.rglob("*")}
    assert {"environment.json", "log.txt", "events.jsonl", "README.md", "result.json"} <= names
    assert not files_with_secrets(tmp_path)
    assert not any(value in out + err for value in SECRETS.values())


@pytest.mark.usefixtures("secrets")
def test_a_job_is_recorded_without_its_environment(
    make_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child inherits them, for it may need a token; job.json does not."""
    seen: list[dict[str, str]] = []
    real = subprocess.Popen

    def spawn(command: list[str], **options: object) -> object:
        environment = options.get("env")
        seen.append(dict(environment if isinstance(environment, dict) else os.environ))
        return real([sys.executable, "-c", "pass"])

    monkeypatch.setattr("subprocess.Popen", spawn)
    job = start([make_recipe()], tmp_path / "runs")
    assert seen[0]["HF_TOKEN"] == SECRETS["HF_TOKEN"]
    assert (job.folder / "job.json").is_file()
    assert not files_with_secrets(tmp_path / "runs")


@pytest.mark.usefixtures("secrets")
def test_a_message_that_quotes_one_shows_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    for error in (ValueError, "usage"):

        def broken(*_: object, error: object = error, **__: object) -> None:
            from workbench.errors import UsageError

            message = f"GET https://user:{SECRETS['HF_TOKEN']}@hub/x"
            raise UsageError(message) if error == "usage" else ValueError(message)

        monkeypatch.setattr("workbench.store.list_runs", broken)
        monkeypatch.setattr("workbench.recipe.load_recipes", broken)
        assert main(["check", "x.yaml", "--json"]) in (1, 2)
        out, err = capsys.readouterr()
        assert "[HF_TOKEN]" in err and SECRETS["HF_TOKEN"] not in out + err
    assert not files_with_secrets(tmp_path / "cache")


@pytest.mark.usefixtures("secrets")
def test_settings_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    text = f"false {SECRETS['WANDB_API_KEY']} 1e-3"
    assert without_secrets(text) == "false [WANDB_API_KEY] 1e-3"
