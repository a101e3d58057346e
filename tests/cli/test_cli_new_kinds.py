"""`workbench new --run` on each kind of own data, with the embedded models."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.own_data import KINDS

SHORT = ("--set", "training.max_steps=2", "--set", "data.train_size=16", "--set",
         "data.validation_size=8", "--set", "data.test_size=8")  # fmt: skip


@pytest.mark.assets
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_own_data_ends_in_a_comparison(workbench, kind):
    KINDS[kind][0](Path(kind))
    command = ("new", "mine", "--data", kind, "--methods", "lora", "--seeds", "1", *SHORT)
    first = workbench(*command)
    if first.code == 2:
        fix = first.err.rpartition("with all remedies: workbench ")[2].split()
        command = tuple(fix)
    done = workbench(*command, "--run", "--json")
    assert done.code == 0, done.err
    assert [run["state"] for run in done.json["runs"]] == ["finished"]
    (row,) = done.json["comparison"]["rows"]
    assert row["label"] == "lora"
    assert KINDS[kind][1]["name"] in str(done.json["taken_for"][0])
