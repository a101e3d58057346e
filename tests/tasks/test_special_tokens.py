"""Texts in which the tokenizer's own special tokens are written out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from tiny_language_models import (
    CHATML,
    byte_tokenizer,
    encoded_by,
    language_model,
    predicted_by,
    whole_batch,
)

from tests.small_data import data_of
from tests.small_recipes import small_recipe
from tests.tiny_models import topic_rows
from workbench.data.examples import Data, Examples
from workbench.errors import DataError
from workbench.inference.generate import generate
from workbench.metrics.scores import score
from workbench.recipe.tasks import Decoding, Instruction, TextClassification
from workbench.store import Run
from workbench.tasks.instruction import InstructionTask
from workbench.tasks.special_tokens import without_ends
from workbench.tasks.text_classification import TextClassificationTask

END = "<|end|>"
TEXTS = ("a text", f"a text{END}", f"{END}{END}", f"a longer text {END} of two{END}{END}", "x")


def examples(texts: tuple[str, ...], labels: tuple[Any, ...], parts: Any = None) -> Examples:
    ids = tuple(f"r{i}" for i in range(len(texts)))
    return Examples(ids=ids, texts=texts, labels=labels, parts=parts)


def trained_on(train: Examples) -> Data:
    empty = train.select(())
    return data_of(train, empty, empty)


# --- classification by a decoder that pads with its end token -----------------------------------


@pytest.mark.parametrize("virtual_tokens", [0, 3])
def test_a_text_is_scored_where_plain_transformers_scores_it(virtual_tokens: int) -> None:
    spec = TextClassification(name="text-classification")
    task, tokenizer = TextClassificationTask(spec, ("a", "b", "c")), byte_tokenizer()
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=2,
        n_head=2,
        num_labels=3,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.3,
    )
    model: Any = transformers.GPT2ForSequenceClassification(config).eval()
    if virtual_tokens:
        prompt = peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=virtual_tokens)
        model = peft.get_peft_model(model, prompt).eval()
    encoded = encoded_by(task, tokenizer, examples(TEXTS, (0,) * len(TEXTS)), 64)
    ours = predicted_by(task, model, tokenizer, encoded, virtual_tokens=virtual_tokens).values
    for text, given in zip(TEXTS, ours, strict=True):
        with torch.inference_mode():
            theirs = model(**tokenizer(text, return_tensors="pt")).logits[0]
        assert np.allclose(given, theirs, atol=1e-4), text


@pytest.mark.parametrize("method", ["lora", "prompt", "prefix"])
def test_a_run_on_texts_that_end_in_the_padding_token_passes_its_plain_load(
    method: str, tiny_gpt2: Path, train: Callable[..., Run], tmp_path: Path
) -> None:
    """GPT-2 has no token to pad with, so the workbench takes the one that ends a text."""
    base = tmp_path / "base"
    transformers.AutoModelForCausalLM.from_pretrained(tiny_gpt2).save_pretrained(base)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_gpt2)
    tokenizer.pad_token = None
    tokenizer.backend_tokenizer.post_processor = None
    tokenizer.save_pretrained(base)
    rows = [row | {"text": f"{row['text']} [SEP]"} for row in topic_rows(40)]
    data = tmp_path / "ended.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = small_recipe("text-classification", method, base, tmp_path, data={"source": str(data)})
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    assert run.result["export"]["max_logit_difference"] < 1e-4
    assert any("[SEP] in 40" in note for note in run.result["warnings"])


# --- completions that end themselves ------------------------------------------------------------


def instruction(**spec: Any) -> InstructionTask:
    return InstructionTask(Instruction(name="instruction", **spec), ())


@pytest.mark.parametrize("template", [None, CHATML])
def test_an_end_token_behind_a_completion_is_learned_once_and_no_part_of_the_answer(
    template: str | None,
) -> None:
    task, tokenizer = instruction(learn="all"), byte_tokenizer(template=template)
    own = "<|im_end|>" if template else END
    chat = (("user", "Hi"), ("assistant", f"Fly{own}\n"), ("user", "Bye"))
    parts = (chat, (("user", "Hi"),))
    ended = examples(("Bye", "Hi"), (f"Sky{own}", f"Fly{END}\n"), parts)
    clean = examples(
        ("Bye", "Hi"), ("Sky", "Fly"), ((*chat[:1], ("assistant", "Fly"), chat[2]), parts[1])
    )
    encoded = encoded_by(task, tokenizer, ended, 300)
    assert encoded.rows([0, 1]) == encoded_by(task, tokenizer, clean, 300).rows([0, 1])
    assert task.references(encoded) == ["Sky", "Fly"]


def test_a_model_that_has_learned_such_completions_matches_them_exactly() -> None:
    torch.manual_seed(0)
    task, tokenizer = instruction(), byte_tokenizer()
    rows = examples(("Hi", "Bye"), (f"Fly{END}", f"<|im_start|>Sky {END}{END}"))
    encoded = encoded_by(task, tokenizer, rows, 64)
    model = language_model("llama", len(tokenizer)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    batch = whole_batch(task, tokenizer, encoded)
    for _ in range(60):
        task.losses(task.outputs(model, batch, 0), batch).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    ends = task.stop_ids(tokenizer)
    ids = generate(model, task.prompts(encoded), Decoding(), eos_token_ids=ends, batch_size=2)
    written = [task.decode(tokenizer, new) for new in ids]
    assert written == task.references(encoded) == ["Fly", "Sky"]
    assert score(["exact_match"], "text", written, task.references(encoded)) == {"exact_match": 1}
    predicted = predicted_by(task, model, tokenizer, encoded)
    assert task.table(encoded, predicted, written)["label"] == ["Fly", "Sky"]


def test_completions_of_end_tokens_alone_are_refused_by_row() -> None:
    rows = examples(("Hi", "Bye"), ("Fly", f"{END} {END}"))
    with pytest.raises(DataError, match="a completion of end tokens alone") as caught:
        list(instruction().notes(trained_on(rows), byte_tokenizer()))
    assert "r1" in str(caught.value) and "r0" not in str(caught.value)


def test_what_the_tokenizer_makes_of_the_texts_is_said() -> None:
    chat = (("system", "Rhyme."), ("user", f"Hi{END}"))
    rows = examples(("Hi", "Bye"), (f"Sky{END}", f"a{END}b"), (chat, (("user", "Bye"),)))
    notes = list(instruction().notes(trained_on(rows), byte_tokenizer()))
    assert [note[:1] for note in notes] == ["2", "1", "1", "1"]
    written, ended, stopped, chats = notes
    assert f"({END} in 2)" in written and "not as text" in written
    assert "end in an end token" in ended and "generation stops there" in stopped
    assert "without a chat template" in chats
    clean = trained_on(examples(("Hi",), ("Sky",)))
    assert not list(instruction().notes(clean, byte_tokenizer(template=CHATML)))


def test_runs_of_versions_that_read_less_of_a_chat_are_told_apart() -> None:
    chat = (("system", "Rhyme."), ("user", "Hi"))
    plain, template = byte_tokenizer(), byte_tokenizer(template=CHATML)
    chats, task = trained_on(examples(("Hi",), ("Sky",), (chat,))), instruction()
    assert task.read_otherwise(chats, plain) == " all turns"
    assert task.read_otherwise(chats, template) == ""
    assert task.read_otherwise(trained_on(examples(("Hi",), ("Sky",), (chat[1:],))), plain) == ""
    assert (
        task.read_otherwise(trained_on(examples(("Hi",), (f"Sky{END}",))), plain) == " ends apart"
    )


def test_only_tokens_at_the_end_are_taken_off() -> None:
    assert without_ends(f"a{END}b {END}\n{END} ", [END]) == f"a{END}b "
    assert without_ends(" a ", [END]) == " a "
    assert without_ends(END * 5000, [END]) == ""
