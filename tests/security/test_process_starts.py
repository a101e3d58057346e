"""No process of ours imports what lies in the folder that it was started in."""

from __future__ import annotations

import ast
import time
from pathlib import Path

import pytest

from workbench import jobs
from workbench.recipe import load_recipe, recipes_dir

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "workbench").rglob("*.py"), *(ROOT / "ui").rglob("*.py")])


def starts_of_python(source: Path) -> list[list[str]]:
    """The commands in a file that begin with the interpreter, as source text of each part."""
    lists = (n for n in ast.walk(ast.parse(source.read_text())) if isinstance(n, ast.List))
    commands = [[ast.unparse(part) for part in each.elts] for each in lists]
    return [command for command in commands if command[:1] == ["sys.executable"]]


def test_every_start_of_python_leaves_the_current_folder_out() -> None:
    starts = {str(file): starts for file in SOURCES if (starts := starts_of_python(file))}
    assert sum(map(len, starts.values())) >= 9
    mentions = sum(file.read_text().count("[sys.executable") for file in SOURCES)
    assert sum(map(len, starts.values())) == mentions, "a start that this test does not see"
    for file, commands in starts.items():
        for command in commands:
            assert command[1] == "'-P'", f"{file}: {command}"


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder whose modules, named as libraries, leave a file when they are imported."""
    for name in ("filelock", "torch", "yaml", "pydantic", "streamlit", "workbench"):
        (tmp_path / f"{name}.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'a').write('{name}')"
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ran"


@pytest.mark.integration
def test_a_job_runs_no_module_of_the_current_folder(planted: Path) -> None:
    recipe = load_recipe(recipes_dir() / "quickstart/lora.yaml", ["data.source=missing.csv"])
    job = jobs.start([recipe], planted.parent / "runs", seeds=[1])
    while job.alive:
        time.sleep(0.05)
    assert not planted.exists(), planted.read_text()
    assert "missing.csv" in job.log_tail()
