"""What ``compare --config-diff`` shows."""

import json
from pathlib import Path

from fabricated_runs import WriteRun

from workbench.comparison import compare
from workbench.comparison.config_diff import config_differences, to_json, to_text


def test_only_what_differs_is_shown_by_value(run: WriteRun, runs: Path) -> None:
    rates = {"full": 2e-4, "prefix": 0.03, "prompt": 0.03}
    for name, rate in rates.items():
        run(name, 0, settings={"training": {"learning_rate": rate}})
    differences = config_differences(compare([runs]))
    lines = to_text(differences).splitlines()
    assert lines[0].endswith("differ in") and "  training.learning_rate" in lines
    assert "    0.0002  full" in lines and "    0.03    prefix, prompt" in lines
    place = lines.index("  method.num_virtual_tokens")
    assert sorted(lines[place + 1 : place + 3]) == ["    20  prefix, prompt", "    –   full"]
    assert not any("epochs" in line or "seeds" in line for line in lines)
    (group,) = json.loads(to_json(differences))["differences"]
    assert group["settings"]["method.num_virtual_tokens"] == {"prefix": 20, "prompt": 20}


def test_each_group_has_its_own(run: WriteRun, runs: Path) -> None:
    run("full", 0)
    run("lora", 0, comparability={"data": "other"})
    text = to_text(config_differences(compare([runs])))
    assert "Group 1: full" in text and "Group 2: lora" in text
    assert text.count("nothing: these recipes differ in name only") == 2


def test_no_name_or_value_reaches_the_terminal_as_it_is(run: WriteRun, runs: Path) -> None:
    for i, name in enumerate(("a\x1b[31m", "b")):
        settings = {"training": {"optimizer": f"\x1b{i}"}}
        run(name, 0, method="lora", folder=f"s/r{i}-s0-0", settings=settings)
    assert "\x1b" not in to_text(config_differences(compare([runs])))


def test_without_runs_there_is_nothing(runs: Path) -> None:
    assert to_text(config_differences(compare([runs]))) == "No finished runs."
