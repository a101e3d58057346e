"""Methods x tasks x families: each allowed cell learns, is exported, and reloads to the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_models import TOPICS, WORDS, make_tiny
from workbench.adapters.loaded import load_adapter
from workbench.comparison.items import item_scores
from workbench.comparison.records import read_record
from workbench.comparison.rows import Sample
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.schema import Recipe
from workbench.recipe.tasks import TASK_SPECS
from workbench.store import Run

FAMILIES = {"encoder": ["bert"], "decoder": ["gpt2", "llama"]}
FIELDS: dict[str, dict[str, Any]] = {
    "lora": {"r": 8, "target_modules": "all-linear"},
    "prefix": {"num_virtual_tokens": 4},
    "p-tuning": {"num_virtual_tokens": 4, "encoder_size": 32},
    "prompt": {"num_virtual_tokens": 4},
}
"""Smaller than by default."""
METHODS = {
    name: {"name": name, **FIELDS.get(name, {})}
    for name in METHOD_SPECS
    # They have nothing to train where there is no new head, or no bias; peft is any of many.
    if name not in ("head", "bitfit", "peft")
}
RATES = {"full": 5e-3, "lora": 2e-2, "p-tuning": 2e-2, "prompt": 5e-2}
RATES = {name: 5 * METHOD_SPECS[name].default_learning_rate for name in METHODS} | RATES
LEARNED = {
    "text-classification": (0.05, 0.1),
    "token-classification": (0.05, 0.3),
    "question-answering": (0.05, 0.05),
    "causal-lm": (0.3, 0.85),
    "instruction": (0.1, 0.6),
    "masked-lm": (0.85, 0.92),
}
"""Largest loss at the end, as a share of that at the start: of methods that change weights, and
of those that only steer frozen random ones. Two words of every sentence are drawn at random, so
language modelling cannot reach 0, and other words are hidden at every masked step."""
CELLS = [
    (task, method, model)
    for task, spec in TASK_SPECS.items()
    for family in spec.families
    for model in FAMILIES[family]
    for method in METHODS
    if (task, method) != ("masked-lm", "prefix")
    and (task, model) != ("question-answering", "llama")
]


def _covering(cells: list[tuple[str, str, str]], size: int) -> set[tuple[str, str, str]]:
    """Cells in which every ``size`` of a task, a method and a model that some cell has, occur."""
    parts = {cell: set(combinations(cell, size)) for cell in cells}
    left = set().union(*parts.values())
    chosen = set()
    while left:
        cell = max(cells, key=lambda cell: len(parts[cell] & left))
        chosen.add(cell)
        left -= parts[cell]
    return chosen


EACH, PAIRS = _covering(CELLS, 1), _covering(CELLS, 2)


def _tier(cell: tuple[str, str, str]) -> list[pytest.MarkDecorator]:
    """A cell takes 0.7 s: each task, method and model every time, their pairs in the slow tier."""
    if cell in EACH:
        return []
    return [pytest.mark.slow if cell in PAIRS else pytest.mark.nightly]


def _sentences(count: int) -> list[list[str]]:
    """Sentences of one topic each, whose words follow each other in a fixed order."""
    rng = random.Random(0)
    made: dict[tuple[str, ...], None] = {}
    while len(made) < count:
        own = [WORDS[i] for i in TOPICS[rng.choice(list(TOPICS))]]
        start, length = rng.randrange(len(own)), rng.randint(3, 6)
        words = [own[(start + k) % len(own)] for k in range(length)]
        made[(*words[:2], rng.choice(WORDS[:9]), rng.choice(WORDS[:9]), *words[2:])] = None
    return [list(words) for words in made]


def _topic(words: list[str]) -> str:
    return next(t for t, own in TOPICS.items() if words[0] in [WORDS[i] for i in own])


def _rows(task: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for words in _sentences(64):
        text = " ".join(words)
        if task == "text-classification":
            rows.append({"text": text, "label": _topic(words)})
        elif task == "token-classification":
            tags = ["O" if word in WORDS[:9] else f"B-{_topic([word])}" for word in words]
            rows.append({"text": words, "label": tags})
        elif task == "question-answering":
            answer = next(word for word in words if word in WORDS[:9])
            label = {"text": [answer], "answer_start": [text.index(f" {answer} ") + 1]}
            rows.append({"text": text, "question": "the goal", "label": label})
        elif task == "instruction":
            rows.append({"text": text, "label": f"{_topic_word(words)} goal"})
        else:
            rows.append({"text": text})
    return rows


def _topic_word(words: list[str]) -> str:
    return WORDS[TOPICS[_topic(words)][0]]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("matrix")
    for task in TASK_SPECS:
        lines = "".join(json.dumps(row) + "\n" for row in _rows(task))
        (folder / f"{task}.jsonl").write_text(lines)
    return {task: folder / f"{task}.jsonl" for task in TASK_SPECS}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights large enough that what is frozen still tells words apart."""
    names = [name for family in FAMILIES.values() for name in family]
    return {n: make_tiny(n, tmp_path_factory.mktemp(n), spread=0.3) for n in names}


def _recipe(task: str, method: str, model: Path, data: Path, **training: Any) -> Recipe:
    more: dict[str, Any] = {}
    if task == "instruction":
        more = {"decoding": {"max_new_tokens": 4}, "metrics": ["perplexity", "exact_match"]}
    if task == "question-answering":
        more = {"stride": 4}
    values = {
        "study": task,
        "name": method,
        "task": {"name": task, **more},
        "model": {"source": str(model), "max_length": 24},
        "data": {"source": str(data), "validation_size": None, "test_size": 12},
        "method": METHODS[method],
        "training": {
            "batch_size": 16,
            "epochs": 20,
            "learning_rate": RATES[method],
            "precision": "fp32",
            "keep": "last",
            **training,
        },
    }
    if task == "question-answering":
        values["data"] |= {"text_pair": "question"}
        values["training"]["epochs"] = 30  # after 20 a processor's rounding decides on the bound
    return Recipe.model_validate(values)


@pytest.mark.parametrize(
    "task, method, model",
    [pytest.param(*cell, id="-".join(cell), marks=_tier(cell)) for cell in CELLS],
)
def test_a_cell(
    task: str,
    method: str,
    model: str,
    files: dict[str, Path],
    train: Callable[..., Run],
    models: dict[str, Path],
    tmp_path: Path,
) -> None:
    recipe = _recipe(task, method, models[model], files[task])
    run = train(recipe, 0, tmp_path)
    assert run.state == "finished", run.reason
    assert run.result["warnings"] == []
    losses = [event["loss"] for event in run.events()[0] if event["kind"] == "step"]
    changes, steers = LEARNED[task]
    allowed = changes if method in ("full", "lora") else steers
    first, last = sum(losses[:3]) / 3, sum(losses[-3:]) / 3
    assert last < allowed * first, (first, last)
    assert run.result["export"]["checked"] is True
    assert run.result["export"]["max_logit_difference"] < 1e-4
    _assert_items_add_up(run)

    text, pair = " ".join(_sentences(64)[0]), None
    if task == "question-answering":
        pair = ["the goal"]
    if task != "masked-lm":
        (answer,) = load_adapter(run.path).predict([text], pair)
        assert answer["text"] == text


def _assert_items_add_up(run: Run) -> None:
    """The scores of single test items are kept, and their mean is the recorded score."""
    sample = Sample([run], [read_record(run)])
    scores = {name: value for name, value in run.result["metrics"]["test"].items() if value}
    assert scores
    for metric, value in scores.items():
        assert item_scores(sample, metric).scores == pytest.approx([value], rel=1e-6)
