"""Completions are learned, prompts only read, and both are written as the template writes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import peft
import pytest
import torch
from tiny_language_models import (
    CHATML,
    byte_tokenizer,
    encoded_by,
    label_tensor,
    language_model,
    plain_log_probs,
    predicted_by,
    whole_batch,
)

from workbench.data.batches import IGNORED
from workbench.data.encode import Row
from workbench.data.examples import Examples
from workbench.errors import DataError, UsageError
from workbench.inference.generate import generate
from workbench.metrics.scores import score
from workbench.recipe.tasks import Decoding, Instruction
from workbench.tasks.instruction import InstructionTask

LLAMA_2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<|begin|>[INST] {{ m['content'] }} [/INST]"
    "{% elif m['role'] == 'assistant' %} {{ m['content'] }} <|end|>"
    "{% else %}{{ raise_exception('no role ' + m['role']) }}{% endif %}{% endfor %}"
)
WITHOUT_END = (
    "{% for m in messages %}### {{ m['role'] }}\n{{ m['content'] }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}### assistant\n{% endif %}"
)
UNSTABLE = (
    "{{ messages | length }}: {% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}"
)
FORGETFUL = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}<|im_end|>{% endif %}"
    "{% endfor %}"
)


def make(**spec: Any) -> InstructionTask:
    return InstructionTask(Instruction(name="instruction", **spec), ())


def pairs(*rows: tuple[str, str], parts: Any = None) -> Examples:
    ids = tuple(f"r{i}" for i in range(len(rows)))
    prompts, completions = zip(*rows, strict=True)
    return Examples(ids=ids, texts=prompts, pairs=None, labels=completions, parts=parts)


def features(task: InstructionTask, tokenizer: Any, *rows: Any, length: int = 200) -> list[Row]:
    encoded = encoded_by(task, tokenizer, pairs(*rows), length)
    return encoded.rows(list(range(len(rows))))


def shown(tokenizer: Any, row: Row) -> tuple[str, str]:
    """What of a feature is read only, and what is learned."""
    read = [i for i, y in zip(row["input_ids"], row["labels"], strict=True) if y == IGNORED]
    learned = [y for y in row["labels"] if y != IGNORED]
    assert row["input_ids"] == read + learned  # the prompt first, without gaps
    return tokenizer.decode(read), tokenizer.decode(learned)


# --- prompts and completions ------------------------------------------------------------------


@pytest.mark.parametrize("begins", [True, False])
def test_without_a_template_each_stands_on_its_line(begins: bool) -> None:
    task, tokenizer = make(instruction="Shorten:"), byte_tokenizer(begins=begins)
    (row,) = features(task, tokenizer, ("A long text", "short"))
    first = "<|begin|>" if begins else ""
    assert shown(tokenizer, row) == (f"{first}Shorten:\nA long text\n", "short<|end|>")
    assert tokenizer.decode(row["prompt"]) == f"{first}Shorten:\nA long text\n"
    assert task.stop_ids(tokenizer) == [tokenizer.eos_token_id]
    assert (row["words"], row["bytes"]) == (1, 5)


def test_a_chat_is_written_by_the_template_and_ends_with_its_own_token() -> None:
    task, tokenizer = make(instruction="Shorten:"), byte_tokenizer(template=CHATML)
    (row,) = features(task, tokenizer, ("A long text", "a café "))
    prompt = (
        "<|im_start|>system\nBe kind.<|im_end|>\n"
        "<|im_start|>user\nShorten:\nA long text<|im_end|>\n<|im_start|>assistant\n"
    )
    assert shown(tokenizer, row) == (prompt, "a café<|im_end|>")
    assert tokenizer.decode(row["prompt"]) == prompt
    assert (row["words"], row["bytes"]) == (2, 7)
    whole = [("user", "Shorten:\nA long text"), ("assistant", "a café ")]
    messages = [{"role": role, "content": content} for role, content in whole]
    ids = tokenizer.apply_chat_template(messages)["input_ids"]
    assert row["input_ids"] == ids[:-1]  # all but the line break behind the turn
    ends = task.stop_ids(tokenizer)
    assert tokenizer.decode(ends) == "<|im_end|><|end|>"
    assert task.decode(tokenizer, row["labels"][-8:]) == "a café"


def test_chat_may_be_refused() -> None:
    tokenizer = byte_tokenizer(template=CHATML)
    (row,) = features(make(chat=False), tokenizer, ("text", "short"))
    assert shown(tokenizer, row) == ("text\n", "short<|end|>")


def test_conversations_of_several_turns() -> None:
    task, tokenizer = make(instruction="Obey."), byte_tokenizer(template=CHATML)
    messages = (("system", "You rhyme."), ("user", "Hi"), ("assistant", "Fly"), ("user", "Bye"))
    examples = pairs(("Bye", "Sky"), parts=(messages,))
    (row,) = encoded_by(task, tokenizer, examples, 300).rows([0])
    read, learned = shown(tokenizer, row)
    assert read == (
        "<|im_start|>system\nYou rhyme.<|im_end|>\n<|im_start|>user\nObey.\nHi<|im_end|>\n"
        "<|im_start|>assistant\nFly<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert learned == "Sky<|im_end|>"


def test_a_template_without_a_generation_prompt_of_its_own() -> None:
    task, tokenizer = make(), byte_tokenizer(template=LLAMA_2)
    (row,) = features(task, tokenizer, ("Hi", "Fly"))
    assert shown(tokenizer, row) == ("<|begin|>[INST] Hi [/INST]", " Fly <|end|>")
    assert (row["words"], row["bytes"]) == (1, 4)
    assert task.stop_ids(tokenizer) == [tokenizer.eos_token_id]


def test_a_template_that_ends_no_turn_gets_the_end_token() -> None:
    task, tokenizer = make(), byte_tokenizer(template=WITHOUT_END)
    (row,) = features(task, tokenizer, ("Hi", "Fly"))
    assert shown(tokenizer, row) == ("### user\nHi\n\n### assistant\n", "Fly<|end|>")


def test_where_prompt_and_answer_would_share_a_token_the_answer_keeps_its_own() -> None:
    tokenizer = byte_tokenizer(template=WITHOUT_END, merges=[("Ċ", "Ċ")])
    prompt, completion = "### user\nHi\n\n### assistant\n", "\n\nFly"
    (row,) = features(make(), tokenizer, ("Hi", completion))
    together = tokenizer(prompt + completion)["input_ids"]
    assert together[: len(row["prompt"])] != row["prompt"] == tokenizer(prompt)["input_ids"]
    assert shown(tokenizer, row) == (prompt, "\n\nFly<|end|>")
    assert row["prompt"] == row["input_ids"][: len(row["prompt"])]


@pytest.mark.parametrize(
    ("template", "why"),
    [(UNSTABLE, "in another way than with it"), (FORGETFUL, "leaves the answer out")],
)
def test_templates_that_cannot_be_trained_on_are_refused(template: str, why: str) -> None:
    with pytest.raises(UsageError, match="chat template cannot be used for training") as caught:
        make().encoder(byte_tokenizer(template=template), 64)
    assert why in str(caught.value) and "chat: false" in str(caught.value)


def test_messages_that_the_template_refuses_are_named() -> None:
    task, tokenizer = make(), byte_tokenizer(template=LLAMA_2)
    examples = pairs(("Hi", "Fly"), parts=((("system", "Rhyme."), ("user", "Hi")),))
    with pytest.raises(DataError, match="no role system") as caught:
        encoded_by(task, tokenizer, examples, 64)
    assert "messages by system, user" in str(caught.value)


# --- long inputs ------------------------------------------------------------------------------


@pytest.mark.parametrize("template", [None, CHATML])
def test_a_long_prompt_loses_the_end_of_the_users_own_text(template: str | None) -> None:
    task, tokenizer = make(instruction="Shorten:"), byte_tokenizer(template=template)
    text = "one two three four five six"
    fixed = len(features(task, tokenizer, ("x", "123"))[0]["input_ids"]) - 1
    (row,) = features(task, tokenizer, (text, "123"), length=fixed + 8)
    read, learned = shown(tokenizer, row)
    assert "Shorten:\none two " in read and learned.startswith("123<|")
    assert read.endswith("assistant\n" if template else "two \n")
    assert len(row["input_ids"]) == fixed + 8
    encoded = encoded_by(task, tokenizer, pairs((text, "123"), ("a", "b")), fixed + 8)
    assert encoded.truncated == 1


def test_prompts_for_generation_know_nothing_of_the_completions() -> None:
    task, tokenizer = make(), byte_tokenizer(template=CHATML)
    rows = [("one two three " * 9, "x"), ("one two three " * 9, "a longer one" * 3)]
    encoded = encoded_by(task, tokenizer, pairs(*rows), 90)
    first, second = task.prompts(encoded)
    assert first == second and len(first) == 90
    assert encoded.lengths.tolist() == [90, 90]


@pytest.mark.parametrize("template", [None, CHATML])
@pytest.mark.parametrize("length", [4, 9, 40])
def test_a_completion_that_is_too_long_loses_its_end(template: str | None, length: int) -> None:
    task, tokenizer = make(), byte_tokenizer(template=template)
    encoded = encoded_by(task, tokenizer, pairs(("a prompt", "0123456789" * 9)), length)
    (row,) = encoded.rows([0])
    assert len(row["input_ids"]) == length and encoded.truncated == 1
    assert shown(tokenizer, row)[1] == ("0123456789" * 9)[: length - 1]
    assert row["bytes"] == length - 1


def test_a_question_from_outside_has_a_prompt_and_an_empty_answer() -> None:
    task, tokenizer = make(), byte_tokenizer(template=CHATML)
    encoded = encoded_by(task, tokenizer, task.question("Hi", None), 200)
    assert tokenizer.decode(task.prompts(encoded)[0]).endswith(
        "Hi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert shown(tokenizer, encoded.rows([0])[0])[1] == "<|im_end|>"


# --- losses and answers -----------------------------------------------------------------------

ROWS = (("Hi", "Fly"), ("A longer prompt", "a"), ("x", "several words of it"))


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("method", ["lora", "prefix", "prompt"])
def test_losses_are_pefts_own_and_padding_changes_nothing(family: str, method: str) -> None:
    task, tokenizer = make(), byte_tokenizer(template=CHATML)
    config: dict[str, Any] = {
        "lora": lambda: peft.LoraConfig(
            task_type="CAUSAL_LM", init_lora_weights=False, fan_in_fan_out=family == "gpt2"
        ),
        "prefix": lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        "prompt": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    }
    model = language_model(family, len(tokenizer))
    model = peft.get_peft_model(model, config[method]()).eval()
    virtual = 3 if method == "prompt" else 0
    encoded = encoded_by(task, tokenizer, pairs(*ROWS), 120)
    batch = whole_batch(task, tokenizer, encoded)
    together, alone = (
        predicted_by(task, model, tokenizer, encoded, size=size, virtual_tokens=virtual)
        for size in (4, 1)
    )
    with torch.inference_mode():
        right = model(**batch.inputs, labels=label_tensor(batch)).loss.item()
    assert together.loss == pytest.approx(right, rel=1e-5)
    assert np.allclose(together.losses, alone.losses, atol=1e-4)
    assert together.weights.tolist() == [4, 2, 20]
    plain = plain_log_probs(model, task.plain_request(encoded, 2), skip=virtual)
    assert plain == pytest.approx(together.values[2].tolist(), abs=1e-4)


def test_what_is_learned_is_generated_and_scored() -> None:
    torch.manual_seed(0)
    task, tokenizer = make(), byte_tokenizer(template=CHATML)
    encoded = encoded_by(task, tokenizer, pairs(*ROWS), 120)
    model = language_model("llama", len(tokenizer)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    batch = whole_batch(task, tokenizer, encoded)
    for _ in range(60):
        loss = task.losses(task.outputs(model, batch, 0), batch).sum() / 26
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.05
    ids = generate(
        model,
        task.prompts(encoded),
        Decoding(max_new_tokens=24),
        eos_token_ids=task.stop_ids(tokenizer),
        batch_size=2,
    )
    written = [task.decode(tokenizer, new) for new in ids]
    predicted = predicted_by(task, model, tokenizer, encoded)
    likelihood = task.likelihood(encoded, predicted)
    assert likelihood is not None and (likelihood.tokens, likelihood.words) == (26, 6)
    names = ("exact_match", "rouge_l", "perplexity")
    scores = score(names, "text", written, task.references(encoded), likelihood)
    assert scores["exact_match"] == scores["rouge_l"] == 1.0
    assert scores["perplexity"] == pytest.approx(np.exp(predicted.loss), rel=1e-6)
    table = task.table(encoded, predicted, written)
    assert table["prediction"] == table["label"] == [completion for _, completion in ROWS]
    assert table["text"] == [prompt for prompt, _ in ROWS]
    assert table["score"] == pytest.approx(list(-predicted.losses / predicted.weights), rel=1e-5)
    assert (
        task.table(encoded, predicted, task.answers(encoded, predicted))["prediction"] == [""] * 3
    )
