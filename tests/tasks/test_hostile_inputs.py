"""Inputs that make no sense end in a right result, a note or a refusal before the training.

What is refused is refused by ``workbench data`` too, which reads the data as a run does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tiny_language_models import CHATML, byte_tokenizer, language_model

from tests.small_recipes import small_recipe
from tests.trained_runs import SharedFolder
from workbench.errors import WorkbenchError
from workbench.pipeline.inspect_data import inspect_data
from workbench.recipe.schema import Recipe
from workbench.store import Run

Rows = list[dict[str, Any]]
COUNT = 24
END = "<|end|>"
WORDS = [["the", "goal"], ["a", "player", "team"], ["bank"], ["film", "music"]]
TEXTS, TAGS, SPANS, WRITES = (
    "text-classification",
    "token-classification",
    "question-answering",
    "instruction",
)
REGRESSION = {"task": {"problem_type": "regression"}}
MULTI = {"task": {"problem_type": "multi_label_classification"}}
SELECTS: dict[str, Any] = {"data": {"validation_size": 4}, "training": {"keep": "best"}}


class Case(NamedTuple):
    """Rows for a task, and what is said of them."""

    said: str
    task: str
    rows: Rows
    model: str = "bert"
    sections: dict[str, Any] = {}  # noqa: RUF012  # read only


def labelled(labels: list[Any], text: Callable[[int], str] = lambda i: f"the goal {i}") -> Rows:
    return [{"text": text(i), "label": label} for i, label in enumerate(labels)]


def each(
    label: Any, text: Callable[[int], Any] = lambda i: f"the goal of {i}", **more: Any
) -> Rows:
    return [
        {"text": text(i), "label": label(i) if callable(label) else label, **more}
        for i in range(COUNT)
    ]


def tagged(tag: Callable[[int, int], Any]) -> Rows:
    words = [[*WORDS[i % 4], f"w{i}"] for i in range(COUNT)]
    return [
        {"text": row, "label": [tag(i, j) for j in range(len(row))]} for i, row in enumerate(words)
    ]


def chats(*messages: tuple[str, Any]) -> Rows:
    chat = [{"role": role, "content": content} for role, content in messages]
    start = {"role": "user", "content": "hello"}
    return [{"text": [start | {"content": f"hello {i}"}, *chat]} for i in range(COUNT)]


REFUSED = {
    "one class": Case("have the same label", TEXTS, labelled(["a"] * 24)),
    "a missing label": Case("missing label", TEXTS, labelled(["a", "b", None] * 8)),
    "equal numbers": Case("have the same label", TEXTS, labelled([1.5] * 24), sections=REGRESSION),
    "nan": Case("missing label", TEXTS, labelled([1.5, float("nan")] * 12), sections=REGRESSION),
    "infinity": Case(
        "not a finite number", TEXTS, labelled([1.5, float("inf")] * 12), sections=REGRESSION
    ),
    "numbers too large": Case(
        "beyond 1e+15", TEXTS, labelled([1e30, -1e30] * 12), sections=REGRESSION
    ),
    "no label at all": Case("only one label", TEXTS, labelled([[]] * 24), sections=MULTI),
    "all labels always": Case(
        "have the same label", TEXTS, labelled([["a", "b"]] * 24), sections=MULTI
    ),
    "f1 of three classes": Case(
        "do not fit the labels",
        TEXTS,
        labelled(["a", "b", "c"] * 8),
        sections={"task": {"metrics": ["f1"]}},
    ),
    "special tokens alone": Case(
        "a text of special tokens alone",
        TEXTS,
        labelled(["a", "b"] * 12, lambda i: "[SEP] " * (i + 1)),
    ),
    "end tokens alone": Case(
        "a text of special tokens alone",
        TEXTS,
        labelled(["a", "b"] * 12, lambda i: END * (i + 1)),
        model="gpt2-byte",
    ),
    "a lone surrogate": Case(
        "a lone surrogate", TEXTS, labelled(["a", "b"] * 12, lambda i: f"\ud800 {i}")
    ),
    "weights of a label that is not there": Case(
        "no label called 'c'",
        TEXTS,
        labelled(["a", "b"] * 12),
        sections={"training": {"class_weights": {"c": 2.0}}},
    ),
    "one tag": Case("have the same tag", TAGS, tagged(lambda i, j: "O")),
    "tags that are fractions": Case("not a word or whole number", TAGS, tagged(lambda i, j: 0.5)),
    "entity metrics of parts of speech": Case(
        "entity_recall cannot be computed",
        TAGS,
        tagged(lambda i, j: "NV"[j % 2]),
        sections={"task": {"metrics": ["entity_recall"]}},
    ),
    "an answer that is not there": Case(
        "does not occur in its context", SPANS, each("missing", question="what?")
    ),
    "no answers": Case("none of the", SPANS, each({"text": [], "answer_start": []}, question="?")),
    "an answer that is a number": Case("not an answer", SPANS, each(5, question="what?")),
    "a negative start": Case(
        "not an answer", SPANS, each({"text": ["goal"], "answer_start": [-1]}, question="what?")
    ),
    "a blank question": Case("missing or empty text", SPANS, each("goal", question=" ")),
    "an empty completion": Case(
        "an empty completion", WRITES, each(lambda i: "yes" if i else ""), model="gpt2-byte"
    ),
    "a completion of end tokens": Case(
        "a completion of end tokens alone", WRITES, each(f" {END}\n"), model="gpt2-byte"
    ),
    "an answer that only ends its turn": Case(
        "a completion of end tokens alone",
        WRITES,
        chats(("assistant", "<|im_end|>")),
        model="llama-chat",
    ),
    "completions that are numbers": Case("not text", WRITES, each(lambda i: i), model="gpt2-byte"),
    "a message without content": Case(
        "not a list of chat messages",
        WRITES,
        chats(("user", None), ("assistant", "a")),
        model="llama-chat",
    ),
    "a prompt of end tokens": Case(
        "a text of special tokens alone",
        WRITES,
        each("yes", lambda i: END * (i + 1)),
        model="gpt2-byte",
    ),
    "texts of end tokens": Case(
        "a text of special tokens alone",
        "causal-lm",
        each("", lambda i: END * (i + 1)),
        model="gpt2-byte",
    ),
    "texts of masks": Case(
        "a text of special tokens alone", "masked-lm", each("", lambda i: "[MASK] " * (i + 1))
    ),
}
FINISHED = {
    "labels that are negative numbers": Case("", TEXTS, labelled([-1, 1] * 12)),
    "labels that are signs": Case("", TEXTS, labelled(["-", "+"] * 12)),
    "labels of two kinds": Case("", TEXTS, labelled([1, "one", True] * 8)),
    "label names with bars and breaks": Case(
        "", TEXTS, labelled(["a, c|d\n#", "\u200b", "<x>"] * 8)
    ),
    "second texts that are all empty": Case(
        "have an empty 'two'",
        TEXTS,
        [row | {"two": ""} for row in labelled(["a", "b"] * 12)],
        sections={"data": {"text_pair": "two"}},
    ),
    "control characters": Case(
        "", TEXTS, labelled(["a", "b"] * 12, lambda i: "\x00\x01" * (i + 1)), model="gpt2-byte"
    ),
    "one number to select by": Case(
        "pearson, spearman cannot be computed on validation",
        TEXTS,
        labelled([float(i) for i in range(24)]),
        sections=REGRESSION | SELECTS | {"data": {"validation_size": 1}},
    ),
    "no positive row to select by": Case(
        "f1 is 0 on validation",
        TEXTS,
        labelled(["a"] * 22 + ["b"] * 2),
        sections=SELECTS | {"task": {"metrics": ["f1"]}},
    ),
    "parts of speech": Case(
        "is scored by accuracy", TAGS, tagged(lambda i, j: "NV"[j % 2]), sections=SELECTS
    ),
    "words of nothing": Case(
        "",
        TAGS,
        [
            {"text": ["\u200b", "the", "goal", "the", f"{i}"], "label": ["B-X", *"OOOO"]}
            for i in range(COUNT)
        ],
    ),
    "words that are special tokens": Case(
        "[SEP] in 24",
        TAGS,
        [{"text": ["[SEP]", "goal", f"{i}"], "label": ["B-X", "O", "O"]} for i in range(24)],
    ),
    "an answer that is a special token": Case(
        "[SEP] in 24", SPANS, each("[SEP]", lambda i: f"a {i} [SEP] goal", question="[SEP]")
    ),
    "completions that end themselves": Case(
        "24 completions end in an end token",
        WRITES,
        each(lambda i: f"yes {i}{END}"),
        model="gpt2-byte",
    ),
    "an invisible completion": Case("", WRITES, each("\u200b"), model="gpt2-byte"),
    "turns that are empty": Case(
        "",
        WRITES,
        chats(("assistant", ""), ("user", "b"), ("assistant", "c")),
        model="llama-chat",
        sections={"task": {"learn": "all"}},
    ),
    "texts of one character": Case(
        "", "causal-lm", each("", lambda i: chr(97 + i)), model="gpt2-byte"
    ),
}


@pytest.fixture
def recipe_of(shared: SharedFolder, tmp_path: Path) -> Callable[[Case], Recipe]:
    """A recipe of a few steps on the rows of a case."""

    def build(case: Case) -> Recipe:
        data = tmp_path / "rows.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in case.rows))
        given = {"source": str(data), "test_size": 6, **case.sections.get("data", {})}
        training = {"max_steps": 2, **case.sections.get("training", {})}
        sections = case.sections | {"data": given, "training": training}
        return small_recipe(case.task, "lora", _model(shared, case.model), tmp_path, **sections)

    return build


def _model(shared: SharedFolder, name: str) -> Path:
    family, _, kind = name.partition("-")
    if not kind:
        return shared.model(family, 0.3)

    def make(folder: Path) -> None:
        tokenizer = byte_tokenizer(template=CHATML if kind == "chat" else None)
        language_model(family, len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    return shared.once(f"hostile-{name}", make)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_on_is_refused_before_anything_is_trained(
    name: str, recipe_of: Callable[[Case], Recipe]
) -> None:
    case = REFUSED[name]
    with pytest.raises(WorkbenchError) as caught:
        inspect_data(recipe_of(case))
    assert case.said in str(caught.value) and caught.value.fix and caught.value.where


@pytest.mark.parametrize("name", FINISHED)
def test_what_can_be_trained_on_is_trained_tested_and_loaded_again(
    name: str, recipe_of: Callable[[Case], Recipe], train: Callable[..., Run], tmp_path: Path
) -> None:
    case = FINISHED[name]
    recipe = recipe_of(case)
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    assert case.said in " ".join(run.result["warnings"])
    assert case.said in " ".join(inspect_data(recipe)["notes"])
    first = next(iter(run.result["metrics"]["test"].values()))
    assert first is not None


def test_a_run_refuses_what_the_data_command_refuses(
    recipe_of: Callable[[Case], Recipe], train: Callable[..., Run], tmp_path: Path
) -> None:
    case = REFUSED["a completion of end tokens"]
    run = train(recipe_of(case), 0, tmp_path / "runs")
    assert run.state == "failed" and run.status["failure"] == "bad data"
    assert case.said in run.reason
    assert not [row for row in run.events()[0] if row["kind"] == "step"]
