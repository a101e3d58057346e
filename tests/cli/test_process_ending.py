"""How the command's process ends: with its exit code, and nothing that was printed lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

PREPARED = """
import sys
import workbench.cli
import workbench.__main__ as command

def run(arguments=None):
    {body}

workbench.cli.main = run
sys.exit(command.main())
"""


def ended(body: str) -> subprocess.CompletedProcess[str]:
    """A process whose command line is some Python."""
    program = PREPARED.format(body="\n    ".join(body.splitlines()))
    done = [sys.executable, "-c", program]
    return subprocess.run(done, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("code", [0, 3])
def test_all_that_was_printed_comes_out_with_the_exit_code(code: int) -> None:
    done = ended(f"print('x' * 3_000_000)\nprint('said', file=sys.stderr)\nreturn {code}")
    assert len(done.stdout) == 3_000_001 and done.stderr == "said\n" and done.returncode == code


def test_a_command_that_breaks_ends_as_any_program() -> None:
    done = ended("raise KeyboardInterrupt")
    assert "KeyboardInterrupt" in done.stderr and done.returncode != 0
