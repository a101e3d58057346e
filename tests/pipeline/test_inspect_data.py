"""Looking at data: counts against the file itself, lengths against a plain tokenizer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from workbench.data import load_data
from workbench.data.encode import Encoded
from workbench.pipeline import inspect_data as module
from workbench.pipeline.inspect_data import inspect_data
from workbench.recipe import Recipe


def test_the_data_is_what_a_run_would_see(
    make_recipe: Callable[..., Recipe], tiny_bert: Path
) -> None:
    recipe = make_recipe("lora", model={"max_length": 8})
    found = inspect_data(recipe)
    assert found["splits"] == {"train": 56, "validation": 16, "test": 24}
    lines = Path(recipe.data.source).read_text(encoding="utf-8").splitlines()
    in_file = Counter(json.loads(line)["label"] for line in lines)
    counted = {
        row["label"]: row["train"] + row["validation"] + row["test"] for row in found["labels"]
    }
    assert counted == dict(in_file)
    train = load_data(recipe.data, recipe.task).train
    plain = AutoTokenizer.from_pretrained(tiny_bert)
    lengths = [len(plain(text).input_ids) for text in train.texts]
    assert found["lengths"]["longest"] == max(lengths)
    assert found["lengths"]["longer"] == sum(length > 8 for length in lengths) > 0
    assert sum(bin["texts"] for bin in found["lengths"]["histogram"]) == len(train)
    assert [row["text"] for row in found["rows"]] == list(train.texts[:20])


def test_duplicates_are_counted_and_shown(
    make_recipe: Callable[..., Recipe], topics_file: Path, tmp_path: Path
) -> None:
    lines = topics_file.read_text(encoding="utf-8").splitlines()
    file = tmp_path / "doubled.jsonl"
    file.write_text("\n".join([*lines, *lines[:5]]), encoding="utf-8")
    found = inspect_data(make_recipe("lora", data={"source": str(file)}))
    assert found["duplicates_removed"] == 5
    assert any("5 of 101 rows were left out" in sentence for sentence in found["notes"])


TASKS = {
    "regression": (
        {"name": "text-classification", "problem_type": "regression"},
        [{"text": f"the team {n}", "label": n / 2} for n in range(40)],
        None,
    ),
    "several labels": (
        {"name": "text-classification", "problem_type": "multi_label_classification"},
        [{"text": f"film {n}", "label": [["a"], ["b"], ["a", "b"]][n % 3]} for n in range(40)],
        {"a", "b"},
    ),
}


@pytest.mark.parametrize("name", ["regression", "several labels"])
def test_every_form_of_label_can_be_read(
    name: str, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    task, rows, labels = TASKS[name]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    sizes = {"validation_size": 4, "test_size": 4}
    found = inspect_data(make_recipe("lora", task=task, data={"source": str(file), **sizes}))
    assert all(isinstance(row["label"], str) and row["label"] for row in found["rows"])
    if labels is None:
        assert found["labels"] is None
    else:
        assert {row["label"] for row in found["labels"]} == labels
        assert sum(row["train"] for row in found["labels"]) > found["splits"]["train"]
    json.dumps(found, allow_nan=False)


def test_tags_are_counted_by_word(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    file = tmp_path / "tags.jsonl"
    words = ["goal", "bank", "film", "team", "net"]
    rows = [
        {"text": [words[n % 5], words[n // 5 % 5], words[n // 25]], "label": ["B-A", "O", "O"]}
        for n in range(60)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = inspect_data(
        make_recipe("lora", task={"name": "token-classification"}, data={"source": str(file)})
    )
    train = found["splits"]["train"]
    assert {row["label"]: row["train"] for row in found["labels"]} == {"B-A": train, "O": 2 * train}
    assert found["rows"][0]["label"] == "B-A O O"
    assert found["lengths"]["longest"] == 5  # three words between [CLS] and [SEP]


@pytest.mark.parametrize("packing", [False, True])
def test_a_metric_with_nothing_to_count_is_noted_where_texts_stand_alone(
    packing: bool,
    make_recipe: Callable[..., Recipe],
    tiny_gpt2: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(_task: Any, splits: dict[str, Encoded]) -> Iterator[str]:
        assert all(sum(splits[role].column("words")) for role in ("validation", "test"))
        yield "nothing to count"

    monkeypatch.setattr(module, "check_units", found)
    rows = [{"text": f"the goal of team {i}"} for i in range(16)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = make_recipe(
        "lora",
        task={"name": "causal-lm", "packing": packing},
        model={"source": str(tiny_gpt2)},
        data={"source": str(tmp_path / "t.jsonl"), "validation_size": 2, "test_size": 4},
    )
    assert ("nothing to count" in inspect_data(recipe)["notes"]) is not packing


def test_long_contexts_are_read_in_windows_and_only_long_questions_are_cut(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    context = " ".join(["the goal of team net bank film"] * 6)
    rows = [
        {
            "question": "the goal of team net bank film" if n % 3 == 0 else "film",
            "text": f"{context} {n}",
            "label": "bank",
        }
        for n in range(36)
    ]
    file = tmp_path / "qa.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = {"name": "question-answering", "stride": 4}
    data = {"source": str(file), "text_pair": "question", "validation_size": 6, "test_size": 6}
    recipe = make_recipe("lora", task=task, data=data, model={"max_length": 24})
    found = inspect_data(recipe)
    questions = load_data(recipe.data, recipe.task).train.pairs or ()
    lengths = found["lengths"]
    assert lengths["longer"] == lengths["measured"] == found["splits"]["train"]
    # A quarter of 24 tokens holds one word and not seven.
    assert lengths["truncated"] == sum(len(each.split()) == 7 for each in questions) > 0
    assert lengths["windows"] and not lengths["packed"]
