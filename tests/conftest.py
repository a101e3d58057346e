"""Tiny models, a tiny tokenizer and a tiny data set, made in memory; nothing is fetched."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from workbench.recipe.schema import Recipe
from workbench.store import Run

# The models here are too small to share out; threads that wait for each other only cost time.
os.environ["OMP_NUM_THREADS"] = "1"

WORDS = (
    "the a of in on and to was is goal match team player league bank profit shares market firm "
    "film music star award song minister vote party law election phone software net game chip"
).split()
TOPICS = {"business": range(14, 19), "sport": range(9, 14), "tech": range(29, 34)}


# What a test asks for says whether it trains.
TRAINING = {"train", "vanilla"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that trains is an integration test."""
    for item in items:
        if TRAINING.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("integration")


@pytest.fixture(autouse=True)
def _private_cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests write into a cache of their own and reach no Hub; slow ones use the real assets."""
    if request.node.get_closest_marker("slow") is None:
        folder = request.getfixturevalue("tmp_path_factory").getbasetemp() / "cache"
        monkeypatch.setenv("WORKBENCH_CACHE", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def _save_tokenizer(folder: Path, *, pairs_are_marked: bool, decoder: bool = False) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS, "[MASK]"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    names |= {"eos_token": "[SEP]"} if decoder else {"mask_token": "[MASK]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if pairs_are_marked else None
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **names, **({"model_input_names": inputs} if inputs else {})
    ).save_pretrained(folder)


def make_tiny(family: str, folder: Path, *, spread: float = 0.02) -> Path:
    """Writes a tiny model with random weights of standard deviation ``spread``."""
    import torch
    import transformers

    size: dict[str, Any] = {"vocab_size": len(WORDS) + 5, "max_position_embeddings": 64}
    shape: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape["initializer_range"] = spread
    torch.manual_seed(0)
    if family == "bert":
        config = transformers.BertConfig(**size, **shape, intermediate_size=64)
        model = transformers.BertForPreTraining(config)
    elif family == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=size["vocab_size"],
            n_positions=64,
            n_embd=32,
            n_layer=2,
            n_head=2,
            initializer_range=spread,
        )
        model = transformers.GPT2LMHeadModel(config)
    elif family == "llama":
        config = transformers.LlamaConfig(
            **size, **shape, intermediate_size=64, num_key_value_heads=1
        )
        model = transformers.LlamaForCausalLM(config)
    else:
        config = transformers.DistilBertConfig(
            vocab_size=size["vocab_size"],
            max_position_embeddings=64,
            dim=32,
            n_layers=2,
            n_heads=2,
            hidden_dim=64,
        )
        model = transformers.DistilBertModel(config)
    model.save_pretrained(folder)
    decoder = family in ("gpt2", "llama")
    _save_tokenizer(folder, pairs_are_marked=family == "bert", decoder=decoder)
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a 2-layer BERT with random weights and a 36-word vocabulary."""
    return make_tiny("bert", tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a 2-layer GPT-2 (learned positions, tied head) with random weights."""
    return make_tiny("gpt2", tmp_path_factory.mktemp("tiny-gpt2"))


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a 2-layer Llama (rotary positions, shared key heads) with random weights."""
    return make_tiny("llama", tmp_path_factory.mktemp("tiny-llama"))


@pytest.fixture(scope="session")
def tiny_distilbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a 2-layer DistilBERT, whose head has a part that PEFT does not know."""
    return make_tiny("distilbert", tmp_path_factory.mktemp("tiny-distilbert"))


def topic_rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Distinct texts whose words give their topic away."""
    rng = random.Random(seed)
    rows, seen = [], set()
    while len(rows) < count:
        label = rng.choice(list(TOPICS))
        own = [WORDS[i] for i in TOPICS[label]]
        words = [
            rng.choice(own if rng.random() < 0.6 else WORDS[:9]) for _ in range(rng.randint(4, 14))
        ]
        text = " ".join(words)
        if text not in seen:
            seen.add(text)
            rows.append({"text": text, "label": label})
    return rows


@pytest.fixture(scope="session")
def topics_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A jsonl file of 96 short texts with one of three topics each."""
    path = tmp_path_factory.mktemp("topics") / "topics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in topic_rows(96)))
    return path


@pytest.fixture
def make_recipe(tiny_bert: Path, topics_file: Path) -> Callable[..., Recipe]:
    """Builds a recipe on the tiny model; sections are merged into the defaults."""

    def build(method: dict[str, Any] | str = "lora", **sections: Any) -> Recipe:
        values: dict[str, Any] = {
            "study": "tiny",
            "name": method if isinstance(method, str) else method["name"],
            "task": {"name": "text-classification"},
            "model": {"source": str(tiny_bert), "max_length": 16},
            "data": {"source": str(topics_file), "validation_size": 16, "test_size": 24},
            "method": {"name": method} if isinstance(method, str) else method,
            "training": {"epochs": 2, "batch_size": 8, "precision": "fp32"},
        }
        for name, section in sections.items():
            values[name] = {**values[name], **section} if isinstance(section, dict) else section
        return Recipe.model_validate(values)

    return build


@pytest.fixture
def train(vanilla: Any) -> Callable[..., Run]:
    """``run_recipe`` that shares one checking process between the tests."""
    from workbench.runner import run_recipe

    return partial(run_recipe, loader=vanilla)


@pytest.fixture(scope="session")
def vanilla() -> Iterator[Any]:
    """One process for the whole session that loads exports with plain transformers + PEFT."""
    from workbench.export import VanillaLoader

    with VanillaLoader() as loader:
        yield loader
