"""The Python on a model card, run by somebody who has transformers and PEFT and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small_recipes import QUESTION, small_recipe
from tests.tasks.tiny_language_models import CHATML, byte_tokenizer, language_model
from tests.trained_runs import SharedFolder, TrainedRuns
from workbench.adapters.export import export_run
from workbench.adapters.loaded import load_adapter
from workbench.store import Run

Train = Callable[..., Run]
Card = Callable[..., str]

ASKED = {
    "text-classification": ('"a text"', "goal match player"),
    "token-classification": ('"a text as words"', "goal match player league"),
    "question-answering": ('"a text that answers it"', "the bank profit of market"),
    "masked-lm": ('f"a {tokenizer.mask_token} of words"', "goal [MASK] player"),
    "causal-lm": ('"a text to continue"', "goal match"),
    "instruction": ('"what to do"', "goal match player"),
}
"""For each task, the text on its card and one of the tiny model's words in its place."""
ON = {"causal-lm": "llama", "instruction": "llama"}
CELLS = [
    (task, method)
    for task in ASKED
    for method in ("full", "lora", "prompt", "prefix")
    if (task, method) != ("masked-lm", "prefix")  # refused
]


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], str]]:
    """Runs a script far away from the workbench; returns what it prints."""
    program = Path(__file__).with_name("card_runner.py")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    process = subprocess.Popen(
        [sys.executable, "-P", str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path_factory.mktemp("far-away"),
        env={**environment, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    assert process.stdin is not None and process.stdout is not None

    def run(script: Path) -> str:
        process.stdin.write(f"{script}\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return str(answer["printed"])

    yield run
    process.kill()
    process.communicate()


@pytest.fixture
def card(stranger: Callable[[Path], str], tmp_path: Path) -> Card:
    """What the Python of a folder's card prints when it is asked about a text."""

    def run(folder: Path, *changes: tuple[str, str]) -> str:
        text = (folder / "README.md").read_text()
        (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
        for old, new in (('"PATH/TO/THIS/FOLDER"', repr(str(folder))), *changes):
            assert old in code, (old, code)
            code = code.replace(old, new)
        script = tmp_path / "as_the_card_says.py"
        script.write_text(code)
        return stranger(script)

    return run


def _asked(task: str) -> tuple[tuple[str, str], ...]:
    old, text = ASKED[task]
    question = (('"a question"', repr(QUESTION)),) if task == "question-answering" else ()
    return ((old, repr(text)), *question)


def _greedy(folder: Path, text: str, count: int) -> str:
    """A text and how the model goes on, one token at a time, from the whole text each time."""
    adapter = load_adapter(folder)
    ids = adapter.tokenizer(text)["input_ids"][:-1]  # without the end token
    with torch.inference_mode():
        for _ in range(count):
            logits = adapter.model(input_ids=torch.tensor([ids])).logits
            ids.append(int(logits[0, -1].argmax()))
            if ids[-1] == adapter.model.config.eos_token_id:
                break
    return adapter.tokenizer.decode(ids, skip_special_tokens=True)


def _own_answer(folder: Path, task: str) -> str:
    text = ASKED[task][1]
    if task == "causal-lm":
        return _greedy(folder, text, 8)
    pairs = [QUESTION] if task == "question-answering" else None
    return str(load_adapter(folder).predict([text], pairs)[0]["prediction"])


@pytest.mark.parametrize(("task", "method"), CELLS)
def test_a_card_answers_as_the_workbench_does(
    task: str,
    method: str,
    trained_runs: TrainedRuns,
    card: Card,
) -> None:
    run = trained_runs.read(trained_runs.recipe(task, method, ON.get(task, "bert")))
    assert card(run.adapter, *_asked(task)) == _own_answer(run.adapter, task)


def test_the_card_of_a_copy_loads_it_and_says_what_was_measured(
    trained_runs: TrainedRuns, card: Card, tmp_path: Path
) -> None:
    task = "text-classification"
    run = trained_runs.read(trained_runs.recipe(task, "head"))
    folder = export_run(run, tmp_path / "out")
    assert card(folder, *_asked(task)) == _own_answer(run.adapter, task)
    text = (folder / "README.md").read_text()
    assert f"{run.result['metrics']['test']['accuracy']:.4f}" in text


def test_the_card_of_a_merged_model_loads_it_alone(
    trained_runs: TrainedRuns, card: Card, tmp_path: Path
) -> None:
    task = "token-classification"
    run = trained_runs.read(trained_runs.recipe(task, "lora"))
    merged = export_run(run, tmp_path / "merged", merge=True)
    text = (merged / "README.md").read_text()
    assert "peft import" not in text and "library_name: transformers" in text
    assert "this folder holds a whole model" in text
    assert card(merged, *_asked(task)) == _own_answer(run.adapter, task)


@pytest.mark.parametrize("kind", ["regression", "multi_label_classification"])
def test_the_card_of_another_kind_of_labels(
    kind: str, shared: SharedFolder, train: Train, card: Card, tmp_path: Path
) -> None:
    rows = [
        {
            "text": f"goal {'match ' * (i % 6)}{'bank ' * (i % 5)}",
            "label": float(i % 6),
            "other": i % 2,
        }
        for i in range(30)
    ]
    data = {"source": str(tmp_path / "rows.jsonl")}
    if kind != "regression":
        rows = [{**row, "label": int(i % 6 > 2)} for i, row in enumerate(rows)]
        data["label"] = ["label", "other"]
    recipe = small_recipe(
        *("text-classification", "lora", shared.model("bert", 0.3), tmp_path),
        task={"problem_type": kind},
        data=data,
    )
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    printed = card(run.adapter, *_asked("text-classification"))
    (own,) = load_adapter(run.adapter).predict([ASKED["text-classification"][1]])
    if kind == "regression":
        assert float(printed) == pytest.approx(own["logits"][0], abs=1e-4)
    else:
        names = zip(("label", "other"), own["logits"], strict=True)
        assert printed == str([name for name, logit in names if logit > 0])


def test_the_card_of_pairs_asks_about_two_texts(
    shared: SharedFolder, train: Train, card: Card, tmp_path: Path
) -> None:
    words = ("goal", "bank", "film", "team", "vote")
    rows = [{"text": f"{a} {b}", "pair": a, "label": a < b} for a in words for b in words]
    recipe = small_recipe(
        *("text-classification", "lora", shared.model("bert", 0.3), tmp_path),
        data={"source": str(tmp_path / "pairs.jsonl"), "text_pair": "pair", "duplicates": "keep"},
    )
    lines = "".join(json.dumps({**row, "label": str(row["label"])}) + "\n" for row in rows)
    (tmp_path / "pairs.jsonl").write_text(lines)
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    printed = card(run.adapter, ('"a text"', '"goal bank"'), ('"its second text"', '"vote"'))
    assert printed == load_adapter(run.adapter).predict(["goal bank"], ["vote"])[0]["prediction"]


@pytest.fixture(scope="module")
def byte_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str | None], Path]:
    """A GPT-2 that reads bytes, spaces before words included, with or without a chat template."""

    def make(template: str | None) -> Path:
        folder = tmp_path_factory.mktemp("byte-model")
        tokenizer = byte_tokenizer(template=template, merges=[("Ġ", "t"), ("Ġ", "m")])
        language_model("gpt2", len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.mark.parametrize("task", ["token-classification", "question-answering"])
def test_a_card_puts_the_space_before_words_and_the_line_after_questions(
    task: str,
    byte_model: Callable[[str | None], Path],
    train: Train,
    card: Card,
    tmp_path: Path,
) -> None:
    recipe = small_recipe(task, "prompt", byte_model(None), tmp_path, model={"max_length": 100})
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    changes = [(old, new.replace("goal", "team")) for old, new in _asked(task)]
    text, pair = ASKED[task][1].replace("goal", "team"), QUESTION.replace("goal", "team")
    (own,) = load_adapter(run.adapter).predict(
        [text], [pair] if task == "question-answering" else None
    )
    assert card(run.adapter, *changes) == own["prediction"]
    code = (run.adapter / "README.md").read_text()
    assert ("' ' + word" if task == "token-classification" else r"question + '\n'") in code


@pytest.mark.parametrize("chat", [True, False, None])
def test_a_card_writes_prompts_as_they_were_in_training(
    chat: bool | None,
    byte_model: Callable[[str | None], Path],
    train: Train,
    card: Card,
    tmp_path: Path,
) -> None:
    """With a chat template, with one that the recipe does not want, and without one."""
    task: dict[str, Any] = {"instruction": 'Say "what" it\'s about.', "chat": chat is not False}
    task["decoding"] = {"max_new_tokens": 6, "no_repeat_ngram_size": 2}
    recipe = small_recipe(
        *("instruction", "lora", byte_model(None if chat is None else CHATML), tmp_path),
        task=task,
        model={"max_length": 110},
    )
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    own = _own_answer(run.adapter, "instruction")
    assert card(run.adapter, *_asked("instruction")) == own
    if chat:
        merged = export_run(run, tmp_path / "merged", merge=True)
        assert card(merged, *_asked("instruction")) == own
