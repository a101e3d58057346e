"""Classes that count differently in training, against scikit-learn and torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from tests.small_data import data_of, labelled
from tests.small_recipes import small_recipe
from tests.tiny_models import topic_rows
from workbench.data.batches import IGNORED, Batch
from workbench.errors import DataError, RecipeError
from workbench.recipe import Recipe, load_recipe
from workbench.recipe.tasks import TextClassification, TokenClassification
from workbench.store import Run
from workbench.tasks import AnyTask, make_task
from workbench.tasks.classes import set_class_weights

NAMES = ("ham", "spam", "unseen")
TAGS = ("O", "B-PER", "B-LOC")


def task_of(spec: Any, names: tuple[str, ...], wanted: Any, labels: list[Any]) -> AnyTask:
    train = labelled(labels)
    data = data_of(train, train, train, names)
    task = make_task(spec, names)
    set_class_weights(task, wanted, data)
    return task


def classifier(wanted: Any, labels: list[int]) -> AnyTask:
    return task_of(TextClassification(name="text-classification"), NAMES, wanted, labels)


def tagger(wanted: Any, labels: list[tuple[int, ...]]) -> AnyTask:
    return task_of(TokenClassification(name="token-classification"), TAGS, wanted, labels)


class Fixed(torch.nn.Module):
    """Gives the same logits whatever it is asked."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(logits)

    def forward(self, **_: Any) -> Any:
        return type("Output", (), {"logits": self.logits})()


def trained_loss(task: AnyTask, logits: torch.Tensor, rows: list[dict[str, Any]]) -> float:
    batch = Batch({}, tuple(rows))
    total = task.training_losses(Fixed(logits), batch, 0).total.sum().item()
    return total / sum(task.training_weight(row) for row in rows)


def test_balanced_weights_are_scikit_learns() -> None:
    labels = [0] * 17 + [1] * 3
    theirs = compute_class_weight("balanced", classes=np.array([0, 1]), y=np.array(labels))
    weights = classifier("balanced", labels).class_weights
    assert weights is not None
    assert weights[:2] == pytest.approx(theirs.tolist()) and weights[2] == 1.0


def test_balanced_tags_are_counted_by_word() -> None:
    rows = [(0, 0, 0, 1), (0, 0, 2), (0, 1)]
    words = [tag for row in rows for tag in row]
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=np.array(words))
    assert tagger("balanced", rows).class_weights == pytest.approx(theirs.tolist())


def test_a_label_left_out_counts_one_and_an_unknown_one_is_refused() -> None:
    assert classifier({"spam": 5}, [0, 1]).class_weights == (1.0, 5.0, 1.0)
    assert classifier(None, [0, 1]).class_weights is None
    with pytest.raises(DataError, match="no label called 'Spam'") as caught:
        classifier({"Spam": 5}, [0, 1])
    assert "did you mean 'spam'" in str(caught.value)


@pytest.mark.parametrize("wanted", ["balanced", {"spam": 4.0}, None])
def test_the_loss_of_a_classifier_is_torchs_weighted_mean(wanted: Any) -> None:
    labels = [0, 0, 1, 0]
    task, logits = classifier(wanted, labels), torch.randn(4, 3)
    weight = None if task.class_weights is None else torch.tensor(task.class_weights)
    theirs = torch.nn.CrossEntropyLoss(weight=weight)(logits, torch.tensor(labels))
    rows = [{"input_ids": [1], "label": label} for label in labels]
    assert trained_loss(task, logits, rows) == pytest.approx(theirs.item(), rel=1e-5)
    plain = torch.nn.CrossEntropyLoss(reduction="none")(logits, torch.tensor(labels))
    assert task.losses(logits, Batch({}, tuple(rows))).tolist() == pytest.approx(plain.tolist())


@pytest.mark.parametrize("wanted", ["balanced", {"B-PER": 4.0}, None])
def test_the_loss_of_tags_is_torchs_weighted_mean(wanted: Any) -> None:
    labels = [[IGNORED, 0, 1, IGNORED], [0, 0, 2]]
    tags = [tuple(tag for tag in row if tag != IGNORED) for row in labels]
    task, logits = tagger(wanted, tags), torch.randn(2, 4, 3)
    weight = None if task.class_weights is None else torch.tensor(task.class_weights)
    padded = torch.tensor([labels[0], [*labels[1], IGNORED]])
    theirs = torch.nn.CrossEntropyLoss(weight=weight)(logits.transpose(1, 2), padded)
    rows = [{"input_ids": [1] * len(row), "labels": row} for row in labels]
    assert trained_loss(task, logits, rows) == pytest.approx(theirs.item(), rel=1e-5)


@pytest.mark.parametrize("micro", [None, 2])
def test_a_run_with_weights_answers_the_rare_class_more_often(
    micro: int | None, tiny_bert: Path, train: Callable[..., Run], tmp_path: Path
) -> None:
    rows = topic_rows(96)
    shares = Counter(row["label"] for row in rows)
    rows = [row for row in rows if row["label"] != "tech"][:60] + [
        row for row in rows if row["label"] == "tech"
    ][:6]
    data = tmp_path / "rare.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert shares["tech"] >= 6
    found = {}
    for name, weights in (("same", None), ("heavy", {"tech": 1000.0}), ("balanced", "balanced")):
        training = {"class_weights": weights, "max_steps": 3, "micro_batch_size": micro}
        sections = {"data": {"source": str(data), "test_size": 11}, "training": training}
        recipe = small_recipe("text-classification", "full", tiny_bert, tmp_path, **sections)
        found[name] = train(recipe, 0, tmp_path / name)
        assert found[name].state == "finished", found[name].reason
    answers = {
        name: sum(row["prediction"] == "tech" for row in _predictions(run))
        for name, run in found.items()
    }
    assert answers["same"] < answers["heavy"] == 11
    assert found["same"].result["class_weights"] is None
    assert found["heavy"].result["class_weights"]["tech"] == 1000.0
    tests = [run.result["comparability"] for run in found.values()]
    assert tests[0] == tests[1] == tests[2]


def _predictions(run: Run) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(run.path / "predictions.parquet").to_pylist()
    return rows


# --- recipes ------------------------------------------------------------------------------------


def recipe_file(folder: Path, task: str, training: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(
        f"task: {task}\nmodel: {{source: asset:minilm-l6}}\ndata: {{source: asset:bbc-news}}\n"
        f"method: {{name: lora}}\ntraining: {training}\n"
    )
    return path


def test_labels_that_are_numbers_are_written_as_text(tmp_path: Path) -> None:
    task = "{name: text-classification}"
    recipe = load_recipe(recipe_file(tmp_path, task, "{class_weights: {'0': 1, '1': 2.5}}"))
    assert recipe.training.class_weights == {"0": 1.0, "1": 2.5}
    written = Recipe.model_validate(json.loads(recipe.model_dump_json()))
    assert written == recipe and written.fingerprint == recipe.fingerprint
    plain = load_recipe(recipe_file(tmp_path, task, "{class_weights: balanced}"))
    assert plain.fingerprint != recipe.fingerprint


@pytest.mark.parametrize(
    ("task", "training", "said"),
    [
        ("{name: masked-lm}", "{class_weights: balanced}", "masked-lm has no classes to weight"),
        (
            "{name: text-classification, problem_type: regression}",
            "{class_weights: balanced}",
            "problem_type regression has no classes",
        ),
        (
            "{name: text-classification, labels: [sport, tech]}",
            "{class_weights: {sprt: 2}}",
            'no label called "sprt" in task.labels',
        ),
        (
            "{name: text-classification}",
            "{class_weights: {sport: 0}}",
            "sport: found 0, must be a number above 0",
        ),
        ("{name: text-classification}", "{class_weights: {0: 2}}", "quote it"),
        ("{name: text-classification}", "{class_weights: heavy}", 'must be "balanced" or'),
    ],
)
def test_weights_that_cannot_be_meant_are_refused(
    task: str, training: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file(tmp_path, task, training))
    assert said in str(caught.value)
