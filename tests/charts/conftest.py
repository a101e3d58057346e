"""A study to draw."""

from __future__ import annotations

import pytest
from reported_runs import add_study

from workbench.analysis.group import Analysis
from workbench.comparison import compare


@pytest.fixture(scope="session")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Three methods with three seeds each, on articles of three classes."""
    runs = tmp_path_factory.mktemp("runs")
    add_study(runs, retention={"measure": "linear CKA", "value": 0.8})
    (group,) = compare([runs]).groups()
    return Analysis(group)
