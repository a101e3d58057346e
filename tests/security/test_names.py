"""Names never lead out of a folder, and no shell ever sees them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.errors import RecipeError
from workbench.jobs import start
from workbench.recipe import load_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, open_run

Make, Train = Callable[..., Recipe], Callable[..., Run]

NAMES = [
    *("../x", "/etc/passwd", "..\\x", "%2e%2e%2f", "a\0b", "CON", "nul.txt", "a.", "..", ".", ""),
    *("x" * 300, "a; touch CANARY", "$(touch CANARY)", "`touch CANARY`", "--config", "-rf", "~/x"),
    *("a\nb", "a b", "é", "a/b", ".hidden", "a|b", "COM1"),
]
"""None of these can name anything that is written."""

RECIPE = """\
task: {name: text-classification}
model: {source: google-bert/bert-base-uncased}
data: {source: nyu-mll/glue}
method: {name: lora}
"""


@pytest.mark.parametrize("key", ["name", "study"])
@pytest.mark.parametrize("name", NAMES)
def test_no_recipe_has_such_a_name(name: str, key: str, canary: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    quoted = "".join(f"\\x{ord(c):02x}" if ord(c) < 32 else c for c in name.replace("\\", "\\\\"))
    path.write_text(f'{RECIPE}{key}: "{quoted}"\n')
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    (problem,) = caught.value.problems
    assert problem.key == key and problem.line == 5


@pytest.mark.parametrize("name", NAMES)
def test_no_run_or_adapter_of_such_a_name_is_found_or_touched(
    name: str, canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A run may be named by its path, so what is outside is only ever read, and is not a run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for command in (
        ["show"],
        ["log"],
        ["stop"],
        ["export", "--output", "out"],
        ["predict", "--text=a"],
    ):
        code = main([*command, "--runs", "runs", "--", name])
        err = capsys.readouterr().err
        assert code in (1, 2, 3) and "Traceback" not in err, (command, err)
        assert "unexpected error" not in err, (command, err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("name", ["a; touch CANARY", "$(touch CANARY)", "--config"])
def test_a_path_reaches_a_job_as_one_argument(
    name: str, canary: Path, make_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Study and recipe cannot be called so, but the folder that the runs go to can."""
    seen: list[list[str]] = []

    def spawn(command: list[str], *_: object, **__: object) -> object:
        seen.append([str(part) for part in command])
        raise KeyboardInterrupt

    monkeypatch.setattr("subprocess.Popen", spawn)
    with pytest.raises(KeyboardInterrupt):
        start([make_recipe()], tmp_path / name)
    (command,) = seen
    assert str(tmp_path / name) in command
    assert not any(shell in command for shell in ("sh", "/bin/sh", "bash", "-c"))


def test_a_linked_run_is_set_aside_as_a_link(make_recipe: Make, tmp_path: Path) -> None:
    """What replaces a run renames the link; the folder that it leads to is left as it was."""
    recipe, runs = make_recipe(), tmp_path / "runs"
    writer = open_run(runs, recipe, 0)
    writer.close("failed", "for the test")
    elsewhere = tmp_path / "elsewhere"
    writer.path.rename(elsewhere)
    (elsewhere / "precious").write_text("mine")
    os.symlink(elsewhere, writer.path)
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir() if path.is_file()}
    again = open_run(runs, recipe, 0, force=True)
    again.close("failed", "for the test")
    assert not again.path.is_symlink() and not (again.path / "precious").exists()
    after = {path.name: path.read_bytes() for path in elsewhere.iterdir() if path.is_file()}
    assert after == before
    (link,) = (path for path in (again.path.parent / ".replaced").iterdir())
    assert link.is_symlink() and link.resolve() == elsewhere.resolve()


def test_a_linked_run_is_listed_and_never_written_through(
    make_recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A link out of runs/ to a folder that is not a run is not a run."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (tmp_path / "runs" / "s").mkdir(parents=True)
    os.symlink(outside, tmp_path / "runs" / "s" / "lora-s0-12345678")
    assert main(["runs", "--runs", str(tmp_path / "runs")]) == 0
    assert "secret" not in capsys.readouterr().out
    assert [path.name for path in outside.iterdir()] == ["secret"]
