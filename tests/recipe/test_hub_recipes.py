"""The recipes that need the Hub, checked without it: their columns, splits and positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest

from workbench.data import load_data
from workbench.recipe import find_recipes, load_recipe, load_recipes, recipes_dir

STUDIES = [
    "conll2003-bert-base",
    "e2e-gpt2",
    "e2e-gpt2-medium",
    "gnad10-mbert",
    "imdb-bert-base",
    "imdb-mlm-bert-base",
    "squad-bert-base",
    "wikitext-gpt2",
]
POSITIONS = {"google-bert": 512, "FacebookAI": 512, "openai-community": 1024}
"""Tokens that the models of each owner have positions for."""

TEXT, WORDS = datasets.Value("string"), datasets.List(datasets.Value("string"))
TAGS = datasets.ClassLabel(
    names=["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
)
ANSWERS = {"text": WORDS, "answer_start": datasets.List(datasets.Value("int32"))}
HUB_SETS: dict[str, tuple[set[str], dict[str, Any], dict[str, Any]]] = {
    "tuetschek/e2e_nlg": (
        {"train", "validation", "test"},
        {"meaning_representation": TEXT, "human_reference": TEXT},
        {"meaning_representation": "name[Inn {}]", "human_reference": "Inn {} is an inn."},
    ),
    "EleutherAI/wikitext_document_level": (
        {"train", "validation", "test"},
        {"page": TEXT},
        {"page": " \n = Title {} = \n \n Text . \n"},
    ),
    "lhoestq/conll2003": (
        {"train", "validation", "test"},
        {"id": TEXT, "tokens": WORDS, "ner_tags": datasets.List(TAGS)},
        {"id": "{}", "tokens": ["Ann", "lives", "in", "Rome", "{}"], "ner_tags": [1, 0, 0, 5, 0]},
    ),
    "rajpurkar/squad": (
        {"train", "validation"},
        {"id": TEXT, "context": TEXT, "question": TEXT, "answers": ANSWERS},
        {"id": "{}", "context": "It is in Rome.", "question": "Where is number {}?",
         "answers": {"text": ["Rome"], "answer_start": [9]}},
    ),
    "community-datasets/gnad10": (
        {"train", "test"},
        {"text": TEXT, "label": datasets.ClassLabel(names=["Web", "Sport"])},
        {"text": "Artikel {}", "label": 0},
    ),
    "stanfordnlp/imdb": (
        {"train", "test", "unsupervised"},
        {"text": TEXT, "label": datasets.ClassLabel(names=["neg", "pos"])},
        {"text": "A film, number {}.", "label": 0},
    ),
}  # fmt: skip
"""Splits, columns and a row of each data set, as its page on the Hub shows them."""


@pytest.mark.parametrize(
    "path", find_recipes(recipes_dir()), ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_texts_and_the_prompt_fit_the_models_positions(path: Path) -> None:
    recipe = load_recipe(path)
    owner = recipe.model.source.split("/")[0]
    if owner in POSITIONS:
        longest = recipe.model.max_length + recipe.method.prompt_length
        assert longest <= POSITIONS[owner]


@pytest.mark.parametrize("study", STUDIES)
def test_what_the_hub_offers_is_what_the_task_reads(
    study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipes(study)[0]
    splits, columns, row = HUB_SETS[recipe.data.source]

    def load_dataset(source: str, *, name: object, revision: object, split: str) -> object:
        assert split in splits
        rows = [_numbered(row, f"{split} {i}") for i in range(12)]
        for i, each in enumerate(rows):
            if "label" in each:
                each["label"] = i % 2
        return datasets.Dataset.from_list(rows, features=datasets.Features(columns))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    sizes = {"validation_size": 2, "test_size": 2, "train_size": None}
    data = load_data(recipe.data.model_copy(update=sizes), recipe.task)
    assert data.train.texts and data.validation.texts and data.test.texts
    if recipe.task.kind == "tags":
        assert data.label_names == tuple(TAGS.names)
    if recipe.task.kind == "spans":
        assert data.test.labels[0] == ((9, "Rome"),)


def _numbered(row: Any, number: str) -> Any:
    if isinstance(row, str):
        return row.replace("{}", number)
    if isinstance(row, list):
        return [_numbered(value, number) for value in row]
    if isinstance(row, dict):
        return {key: _numbered(value, number) for key, value in row.items()}
    return row
