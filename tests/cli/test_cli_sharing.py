"""What processes are to share and cannot is refused before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe

Make = Callable[..., Recipe]


@pytest.mark.parametrize(
    "options, words",
    [
        (["--shard"], "--shard with one process"),
        (["--shard", "--processes", "2", "--queue"], "--shard with --queue"),
        (["--zero", "2"], "--zero 2 with one process"),
        (["--zero", "1", "--processes", "2", "--queue"], "--zero 1 with --queue"),
        (["--zero", "1", "--shard", "--processes", "2"], "--shard with --zero"),
        (["--zero", "3", "--processes", "2"], "less than or equal to 2"),
    ],
)
def test_the_command_refuses_what_it_cannot_share(
    options: list[str],
    words: str,
    make_recipe: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(make_recipe("lora")))
    assert main(["run", str(file), "--runs", str(tmp_path / "runs"), *options]) == 2
    assert words in capsys.readouterr().err
