"""How the command's process ends: at once, and with nothing lost that Python would have kept."""

from __future__ import annotations

import subprocess
import sys

import pytest

PREPARED = """
import atexit, sys, threading, time
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


def test_threads_and_exit_handlers_come_first() -> None:
    done = ended(
        "atexit.register(print, 'handler')\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()\n"
        "print('command')\n"
        "return 0"
    )
    assert done.stdout.split() == ["command", "thread", "handler"] and done.returncode == 0


def test_nothing_is_taken_apart() -> None:
    taken_apart = "class Large:\n    def __del__(self): print('apart')\n"
    assert "apart" in ended(f"{taken_apart}Large()\nreturn 0").stdout
    kept = ended(f"{taken_apart}sys.modules['kept'] = Large()\nreturn 0")
    assert kept.stdout == "" and kept.returncode == 0


def test_a_command_that_breaks_ends_as_any_program() -> None:
    done = ended("raise KeyboardInterrupt")
    assert "KeyboardInterrupt" in done.stderr and done.returncode != 0
