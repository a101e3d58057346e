"""``make torture`` with few trials: the same code, events and checks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.torture import invariants
from tests.torture.cells import CELLS
from tests.torture.rows import ROWS

ROOT = Path(__file__).parents[1]
CHEAP = "K1 K2 K4 K6 K9 K11 K14 K16 K21 K22 K23 K24 K25 K26".split()


def torture(folder: Path, *options: str, before: str = "") -> tuple[int, str, list[Any]]:
    """Exit code, what was printed, and the single trials; ``before``: what is changed first."""
    out = folder / "trials.json"
    source = f"{before}\nimport runpy; runpy.run_module('tests.torture', run_name='__main__')"
    kept = ["--keep", str(folder / "failed"), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", source, *kept, *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=3000,
        check=False,
    )
    trials = json.loads(out.read_text())["trials"] if out.exists() else []
    return done.returncode, done.stdout + done.stderr, trials


@pytest.mark.slow
def test_once_of_each_cheap_row(tmp_path: Path) -> None:
    options = ("--times", "1", "--rows", ",".join(CHEAP), "--cells", "bert-lora")
    code, said, trials = torture(tmp_path, *options)
    assert code == 0, said
    assert [each["faults"] for each in trials] == [[]] * len(CHEAP)
    assert sum(each["kills"] for each in trials) >= 3 and "| K24 |" in said


@pytest.mark.nightly
def test_what_does_not_hold_is_reported_and_kept(tmp_path: Path) -> None:
    """A product that forgets the random numbers must not pass."""
    forgetful = "from workbench.training import state_dicts as s; s.restore_random_state = print"
    options = ("--times", "1", "--rows", "K3", "--cells", "bert-lora")
    code, said, trials = torture(tmp_path, *options, before=forgetful)
    assert code == 1 and "FAILED K3" in said
    assert "I5" in {claim for claim, _ in trials[0]["faults"]}
    assert list((tmp_path / "failed").iterdir())


@pytest.mark.nightly
def test_every_row_in_every_cell(tmp_path: Path) -> None:
    """As often as there are cells; `make torture` tries each row fifty times."""
    code, said, trials = torture(tmp_path, "--times", str(len(CELLS)))
    assert code == 0, said
    assert len({each["cell"] for each in trials}) == len(CELLS)


def test_the_rows_are_those_of_the_matrix() -> None:
    assert [row.name for row in ROWS] == [f"K{number}" for number in range(1, 28)]
    assert list(invariants.INVARIANTS) == [f"I{number}" for number in range(1, 9)]
    documented = (ROOT / "docs" / "reliability.md").read_text()
    assert all(f"| {row.name} |" in documented for row in ROWS)
