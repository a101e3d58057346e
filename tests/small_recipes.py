"""A recipe for every task: a few steps at high rates, so that what was trained is told apart."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.tiny_models import TOPICS, WORDS, topic_rows
from workbench.recipe.schema import Recipe

METHODS: dict[str, dict[str, Any]] = {
    "full": {"name": "full"},
    "bitfit": {"name": "bitfit"},
    "head": {"name": "head"},
    "lora": {"name": "lora", "r": 4},
    "prefix": {"name": "prefix", "num_virtual_tokens": 3},
    "p-tuning": {"name": "p-tuning", "num_virtual_tokens": 3},
    "prompt": {"name": "prompt", "num_virtual_tokens": 3},
}
QUESTION = "the goal"


def small_recipe(
    task: str, method: str | dict[str, Any], model: Path, folder: Path, /, **sections: Any
) -> Recipe:
    """A recipe whose data is written into a folder; sections are merged into the defaults."""
    data = folder / f"{task}.jsonl"
    if not data.exists():
        whole = folder / f".{task}-{os.getpid()}"
        whole.write_text("".join(json.dumps(row) + "\n" for row in _rows(task)))
        whole.rename(data)  # whole also for another worker
    method = METHODS[method] if isinstance(method, str) else method
    values: dict[str, Any] = {
        "study": task,
        "name": method["name"],
        "task": {"name": task, **_words(task)},
        "model": {"source": str(model), "max_length": 24},
        "data": {"source": str(data), "validation_size": None, "test_size": 8},
        "method": method,
        "training": {
            "batch_size": 8,
            "max_steps": 4,
            "learning_rate": 5e-3 if method["name"] == "full" else 5e-2,
            "precision": "fp32",
            "keep": "last",
        },
    }
    if task == "question-answering":
        values["data"]["text_pair"] = "question"
    for name, section in sections.items():
        values[name] = {**values[name], **section} if isinstance(section, dict) else section
    return Recipe.model_validate(values)


def _words(task: str) -> dict[str, Any]:
    if task == "instruction":
        return {"decoding": {"max_new_tokens": 4}, "metrics": ["perplexity", "exact_match"]}
    return {"stride": 4} if task == "question-answering" else {}


def _rows(task: str) -> list[dict[str, Any]]:
    return [_row(task, row["text"], row["label"]) for row in topic_rows(32)]


def _row(task: str, text: str, topic: str) -> dict[str, Any]:
    if task == "text-classification":
        return {"text": text, "label": topic}
    if task == "token-classification":
        words = text.split()
        return {"text": words, "label": ["O" if w in WORDS[:9] else f"B-{topic}" for w in words]}
    if task == "question-answering":
        word = text.split()[-1]
        answer = {"text": [word], "answer_start": [len(text) - len(word)]}
        return {"text": text, "question": QUESTION, "label": answer}
    if task == "instruction":
        return {"text": text, "label": f"{WORDS[TOPICS[topic][0]]} goal"}
    return {"text": text}
