"""Output that is closed, full or gone: no file gets it, and the exit code is the command's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.killed_runs import exported_difference, the_recipe
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.store import read_run, run_path

CLOSED = (">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-")
ROOT = Path(__file__).parents[2]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs ``python COMMAND`` as a shell would, in a folder."""
    return subprocess.run(
        ["sh", "-c", f"{sys.executable} -P {command}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


WRITER = """
import os, subprocess, sys
import workbench.__main__
file = open("file", "wb", buffering=0)
print("to stdout", flush=True)
print("to stderr", file=sys.stderr, flush=True)
subprocess.run(["sh", "-c", "echo a child; echo a child >&2"], check=True)
file.write(b"own")
"""


@pytest.mark.parametrize("closed", CLOSED)
def test_no_print_reaches_a_file_that_is_open(closed: str, tmp_path: Path) -> None:
    (tmp_path / "writer.py").write_text(WRITER)
    assert shell(f"writer.py {closed}", tmp_path).returncode == 0
    assert (tmp_path / "file").read_bytes() == b"own"


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(("command", "code"), [("runs", 0), ("show nothing", 3), ("nonsense", 2)])
def test_a_command_ends_with_its_own_code(
    command: str, code: int, closed: str, tmp_path: Path
) -> None:
    assert shell(f"-m workbench {command} {closed}", tmp_path).returncode == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_to_a_full_disk_is_said_to_be_that(tmp_path: Path) -> None:
    done = shell("-m workbench recipes > /dev/full", tmp_path)
    assert done.returncode == 1 and "unexpected" not in done.stderr
    assert "disk: nothing more could be written: No space left on device" in done.stderr
    assert shell("-m workbench show nothing 2> /dev/full", tmp_path).returncode == 3
    assert shell("-m workbench show nothing --json > /dev/full", tmp_path).returncode == 3


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&- 2>&-", "2> /dev/full | head -c 1"])
def test_a_run_without_output_is_the_run_with_it(
    closed: str,
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
) -> None:
    recipe = the_recipe(make_recipe, "lora")
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe))
    for runs, output in (("whole", ""), ("without", closed)):
        done = shell(f"-m workbench run recipe.yaml --seeds 0 --runs {runs} {output}", tmp_path)
        assert done.returncode == 0
    whole, run = (read_run(run_path(tmp_path / runs, recipe, 0)) for runs in ("whole", "without"))
    assert run.state == "finished" and not exported_difference(whole, run)
    names = [sorted(p.relative_to(r.path) for p in r.path.rglob("*")) for r in (whole, run)]
    assert names[0] == names[1]
