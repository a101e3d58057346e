"""What the command line and the run's page say of a record, complete or not."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.analysis.run_facts import (
    data_facts,
    parameter_facts,
    policy_facts,
    selected_checkpoint,
    time_facts,
)
from workbench.formatting import ABSENT


def test_data_facts_names_features_only_where_they_are_not_the_examples() -> None:
    data = {"sizes": {"train": 800}, "features": {"train": 800}, "labels": ["a", "b"]}
    assert dict(data_facts({"data": data}))["features"] == ""
    windows = dict(data_facts({"data": {**data, "features": {"train": 1312}}}))
    assert windows["features"] == "train 1312" and windows["labels"] == "a, b"


@pytest.mark.parametrize(
    ("selected", "text"),
    [
        ({"step": 50, "metric": "accuracy", "value": 0.95}, "step 50, validation accuracy 0.950"),
        ({"step": 50, "metric": None, "value": None}, "step 50, the last"),
        ({}, ABSENT),
    ],
)
def test_selected_checkpoint(selected: dict[str, Any], text: str) -> None:
    assert selected_checkpoint({"selected": selected}) == text


def test_policy_facts_says_how_processes_share() -> None:
    sharded = {"policy": {"device": "cuda", "processes": 2}}
    for change, words in (({"zero": 2}, "ZeRO 2"), ({"sharded": True}, "FSDP: weights"), ({}, "")):
        facts = dict(policy_facts({"policy": sharded["policy"] | change}))
        assert facts["sharded"].startswith(words) and facts["processes"] == "2"


@pytest.mark.parametrize("wrong", [{}, {"parameters": 3, "time": [], "data": "x", "policy": None}])
def test_facts_of_a_broken_record_are_empty(wrong: dict[str, Any]) -> None:
    for facts in (parameter_facts, time_facts, data_facts, policy_facts):
        assert {text for _, text in facts(wrong)} <= {"", ABSENT}
