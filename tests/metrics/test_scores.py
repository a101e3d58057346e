"""Scores agree with scikit-learn and scipy, work without a connection, and know when not to be."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from workbench.errors import UsageError
from workbench.metrics import hub_metric
from workbench.metrics.scores import BY_EXAMPLE, OF_SPLIT, UNITS, score
from workbench.recipe.catalogue import (
    DEFAULT_METRICS,
    METRICS,
    MULTI,
    REGRESSION,
    SINGLE,
    AnswerKind,
)

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 200)
ANSWERS = np.where(RNG.random(200) < 0.7, LABELS, RNG.integers(0, 3, 200))


@pytest.fixture(autouse=True)
def _no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a metric tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("kind", DEFAULT_METRICS)
def test_every_metric_of_the_catalogue_is_computed(kind: AnswerKind) -> None:
    named = {name for name, metric in METRICS.items() if kind in metric.kinds}
    assert named, "no metric fits"
    assert named <= {*BY_EXAMPLE.get(kind, {}), *OF_SPLIT, *UNITS}
    assert BY_EXAMPLE.get(kind, {}).keys() <= named
    assert UNITS.keys() == {name for name in METRICS if METRICS[name].from_likelihood}


def test_single_label_scores_are_scikit_learns() -> None:
    names = [n for n, m in METRICS.items() if SINGLE in m.kinds and n != "f1"]
    ours = score(names, SINGLE, ANSWERS.tolist(), LABELS.tolist())
    assert ours == pytest.approx(
        {
            "accuracy": sk.accuracy_score(LABELS, ANSWERS),
            "f1_macro": sk.f1_score(LABELS, ANSWERS, average="macro"),
            "f1_micro": sk.f1_score(LABELS, ANSWERS, average="micro"),
            "precision_macro": sk.precision_score(LABELS, ANSWERS, average="macro"),
            "recall_macro": sk.recall_score(LABELS, ANSWERS, average="macro"),
            "matthews_correlation": sk.matthews_corrcoef(LABELS, ANSWERS),
        }
    )
    two, answers = LABELS > 0, ANSWERS > 0
    ours = score(["f1"], SINGLE, answers.astype(int).tolist(), two.astype(int).tolist())
    assert ours["f1"] == pytest.approx(sk.f1_score(two, answers))


def test_multi_label_scores_are_scikit_learns() -> None:
    labels, answers = RNG.integers(0, 2, (50, 4)), RNG.integers(0, 2, (50, 4))
    as_tuples = [tuple(row) for row in answers.tolist()], [tuple(row) for row in labels.tolist()]
    ours = score(["accuracy", "f1_micro", "f1_macro"], MULTI, *as_tuples)
    assert ours == pytest.approx(
        {
            "accuracy": float((labels == answers).all(axis=1).mean()),
            "f1_micro": sk.f1_score(labels, answers, average="micro"),
            "f1_macro": sk.f1_score(labels, answers, average="macro"),
        }
    )


def test_regression_scores_are_scipys() -> None:
    labels = RNG.normal(size=80)
    answers = labels + RNG.normal(size=80)
    names = [n for n, m in METRICS.items() if REGRESSION in m.kinds]
    ours = score(names, REGRESSION, answers.tolist(), labels.tolist())
    assert ours["pearson"] == pytest.approx(stats.pearsonr(labels, answers).statistic)
    assert ours["spearman"] == pytest.approx(stats.spearmanr(labels, answers).statistic)
    assert ours["mean_squared_error"] == pytest.approx(float(((labels - answers) ** 2).mean()))


def test_a_score_that_is_not_defined_is_none() -> None:
    assert score(["pearson"], REGRESSION, [1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == {"pearson": None}


def test_a_hub_metric_gives_its_numbers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer:
        def __init__(self, values: dict[str, object]) -> None:
            self.compute = lambda predictions, references: values

    table = {"PER": {"f1": 1.0}, "overall_f1": np.float64(0.5), "overall_recall": float("nan")}
    monkeypatch.setattr(hub_metric, "load", lambda name: Answer(table))
    assert score(["hub:seqeval"], SINGLE, [0], [0]) == {
        "hub:seqeval/overall_f1": 0.5,
        "hub:seqeval/overall_recall": None,
    }
    monkeypatch.setattr(hub_metric, "load", lambda name: Answer({"scores": [1.0]}))
    with pytest.raises(UsageError, match="'hub:bertscore' gives no number"):
        score(["hub:bertscore"], SINGLE, [0], [0])
