"""``workbench report``: the command, the extra that it needs, and that nothing else pays for it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from reported_runs import add_study

from workbench.cli import main


@pytest.mark.usefixtures("undrawn")
def test_the_command_says_where_the_page_is(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_study(runs, seeds=2)
    to = tmp_path / "out"
    assert main(["report", "news", "--runs", str(runs), "--output", str(to)]) == 0
    assert capsys.readouterr().out.strip() == str(to / "report.html")
    assert main(["report", "news", "--runs", str(runs), "--output", str(to), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["page"] == str(to / "report.html")
    options = ["--runs", str(runs), "--output", str(to)]
    assert main(["report", "news", *options, "--baseline", "lroa"]) == 2
    assert "Did you mean lora?" in capsys.readouterr().err
    assert main(["report", "no-such-study", *options]) == 2
    assert main(["report", "news", "--runs", str(runs), "--output", str(runs)]) == 3


def test_without_the_extra_it_says_what_to_install(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_study(runs, seeds=1)
    real = importlib.util.find_spec

    def find(name: str, *more: Any) -> Any:
        return None if name == "vl_convert" else real(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    assert main(["report", "news", "--runs", str(runs), "--output", str(tmp_path / "r")]) == 2
    said = capsys.readouterr().err
    assert "vl-convert-python is not installed" in said and "peft-workbench[report]" in said


def test_no_other_command_loads_what_draws() -> None:
    source = (
        "import sys\nfrom workbench.cli import main\n"
        "for command in (['--help'], ['report', '--help'], ['recipes']):\n"
        "    assert main(command) == 0\n"
        "heavy = {'altair', 'pandas', 'vl_convert', 'jinja2', 'pyarrow', 'torch', "
        "'workbench.charts'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.stderr.strip().endswith("[]"), done.stderr
