"""What the pages say is so: commands exist and run, tables are complete, code works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import workbench
from workbench.cli import main
from workbench.recipe.methods import METHOD_SPECS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICK = {"recipes", "check", "runs", "compare"}


def _blocks(language: str) -> list[str]:
    """The README's code blocks in one language ("" for plain ones)."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    return [text for name, text in fenced if name == language]


def _commands() -> list[list[str]]:
    """The `workbench` command lines in the README's code blocks, without their comments."""
    lines = [line for block in _blocks("") for line in block.splitlines()]
    found = [shlex.split(line, comments=True) for line in lines if line.startswith("workbench ")]
    assert len(found) >= 10
    return [words[1:] for words in found]


def test_every_command_in_the_readme_exists_with_its_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command, *arguments in _commands():
        assert main([command, "--help"]) == 0, command
        page = capsys.readouterr().out
        for option in (a for a in arguments if a.startswith("--")):
            assert option in page, f"workbench {command} has no {option}"


@pytest.mark.parametrize("words", [w for w in _commands() if w[0] in QUICK], ids=" ".join)
def test_the_quick_commands_of_the_readme_run(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "bbc-news").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0


def test_the_readme_lists_every_method_and_existing_targets() -> None:
    table = README[README.index("## Methods") : README.index("## Extend")]
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", table, flags=re.MULTILINE)) == set(METHOD_SPECS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake ([a-z]+)\b", README))
    assert targets >= {"demo", "test", "check", "ui", "bench"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), f"no target {target}"


def test_links_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")]
    count = 0
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                count += 1
                assert (page.parent / target).exists(), f"{page.name}: {target}"
    assert count >= 4


def test_the_architecture_page_knows_every_room() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    package = ROOT / "workbench"
    rooms = {p.name for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    small = {"__init__.py", "__main__.py", "py.typed"}
    missing = {room for room in rooms - small if f"`{room}" not in page}
    assert not missing, f"ARCHITECTURE.md does not name {sorted(missing)}"


def test_the_changelog_has_this_version() -> None:
    assert f"## {workbench.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f'version = "{workbench.__version__}"' in (ROOT / "pyproject.toml").read_text("utf-8")


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    (code,) = _blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code.replace('"recipes/', f'"{ROOT}/recipes/')],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "lora" in done.stdout and "'prediction': 'business'" in done.stdout
