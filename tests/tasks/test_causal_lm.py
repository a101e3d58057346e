"""The next token of raw text: every token once, where transformers and PEFT score it too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from tiny_language_models import (
    byte_tokenizer,
    encoded_by,
    label_tensor,
    language_model,
    plain_log_probs,
    predicted_by,
    texts_only,
    whole_batch,
)
from torch import nn

from workbench.data.batches import IGNORED
from workbench.errors import UsageError
from workbench.metrics.scores import score
from workbench.recipe.tasks import CausalLM
from workbench.tasks.causal_lm import CausalLMTask

TEXTS = ("The bank.", "Profits of the firm rose", "Goal", "a", "Its café had 3 players ")
VIRTUAL = 3
METHODS: dict[str, Callable[[str], Any]] = {
    "lora": lambda family: peft.LoraConfig(
        task_type="CAUSAL_LM",
        init_lora_weights=False,
        target_modules="all-linear",
        fan_in_fan_out=family == "gpt2",
    ),
    "prefix": lambda _: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL),
    "prompt": lambda _: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL),
    "p-tuning": lambda _: peft.PromptEncoderConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL, encoder_hidden_size=16
    ),
}


def make(*, packed: bool = False) -> CausalLMTask:
    return CausalLMTask(CausalLM(name="causal-lm", packing=packed), ())


def build(family: str, method: str | None) -> tuple[nn.Module, int]:
    """A model with a method on it, and the virtual tokens before its text."""
    model = language_model(family, len(byte_tokenizer()))
    if method is None:
        return model.eval(), 0
    wrapped = peft.get_peft_model(model, METHODS[method](family)).eval()
    return wrapped, VIRTUAL if method in ("prompt", "p-tuning") else 0


# --- losses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, *METHODS])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_loss_is_that_of_transformers_and_peft(family: str, method: str | None) -> None:
    task, tokenizer, (model, virtual) = make(), byte_tokenizer(), build(family, method)
    batch = whole_batch(task, tokenizer, encoded_by(task, tokenizer, texts_only(*TEXTS), 16))
    losses = task.losses(task.outputs(model, batch, virtual), batch)
    assert losses.shape == (len(TEXTS),)
    mean = losses.sum() / sum(task.weight(row) for row in batch.rows)
    assert mean.item() == pytest.approx(
        model(**batch.inputs, labels=label_tensor(batch)).loss.item(), rel=1e-5
    )


def test_with_a_soft_prompt_peft_scores_the_first_token_too_and_we_do_not() -> None:
    task, tokenizer, (model, virtual) = make(), byte_tokenizer(), build("gpt2", "prompt")
    batch = whole_batch(task, tokenizer, encoded_by(task, tokenizer, texts_only(TEXTS[0]), 16))
    labels = label_tensor(batch)
    labels[0, 0] = batch.inputs["input_ids"][0, 0]
    tokens = int((labels != IGNORED).sum())
    first = -model(**batch.inputs).logits[0, virtual - 1].log_softmax(-1)[labels[0, 0]]
    summed = model(**batch.inputs, labels=labels).loss * tokens
    ours = task.losses(task.outputs(model, batch, virtual), batch)
    assert ours.item() == pytest.approx((summed - first).item(), rel=1e-5)


@pytest.mark.parametrize("method", [None, "lora", "prompt", "prefix"])
def test_gradients_are_those_of_all_logits(method: str | None) -> None:
    task, tokenizer = make(), byte_tokenizer()
    (model, virtual), (twin, _) = build("llama", method), build("llama", method)
    twin.load_state_dict(model.state_dict())
    batch = whole_batch(task, tokenizer, encoded_by(task, tokenizer, texts_only(*TEXTS), 16))
    losses = task.losses(task.outputs(model, batch, virtual), batch)
    (losses.sum() / sum(task.weight(row) for row in batch.rows)).backward()
    twin(**batch.inputs, labels=label_tensor(batch)).loss.backward()
    trained = dict(model.named_parameters())
    compared = 0
    for name, parameter in twin.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(trained[name].grad, parameter.grad, atol=1e-6, rtol=1e-4)
            compared += 1
    assert compared >= 1


@pytest.mark.parametrize("method", ["lora", "prompt", "prefix"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_padding_changes_nothing_and_a_plain_load_says_the_same(family: str, method: str) -> None:
    task, tokenizer, (model, virtual) = make(), byte_tokenizer(), build(family, method)
    encoded = encoded_by(task, tokenizer, texts_only(*TEXTS), 16)
    alone, together = (
        predicted_by(task, model, tokenizer, encoded, size=size, virtual_tokens=virtual)
        for size in (1, 8)
    )
    assert np.allclose(alone.losses, together.losses, atol=1e-4)
    for index, values in enumerate(together.values):
        assert values.dtype == np.float32
        assert values.sum() == pytest.approx(-together.losses[index], rel=1e-5)
        plain = plain_log_probs(model, task.plain_request(encoded, index), skip=virtual)
        assert plain == pytest.approx(values.tolist(), abs=1e-4)


def test_the_output_layer_sees_labelled_positions_only_also_in_bf16() -> None:
    task, tokenizer = make(), byte_tokenizer()
    model = language_model("llama", len(tokenizer))
    model = peft.get_peft_model(
        model, peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "lm_head"])
    )
    for parameter in model.parameters():
        if not parameter.requires_grad and parameter.ndim == 2:
            parameter.data = parameter.data.to(torch.bfloat16)
    batch = whole_batch(task, tokenizer, encoded_by(task, tokenizer, texts_only(*TEXTS), 16))
    seen: list[tuple[int, ...]] = []
    inner = model.get_base_model().lm_head.base_layer
    inner.register_forward_hook(lambda _module, args, _output: seen.append(tuple(args[0].shape)))
    with torch.autocast("cpu", torch.bfloat16):
        outputs = task.outputs(model, batch, 0)
        again = model(**batch.inputs).logits  # all positions, as ever, when others ask
    tokens = int(sum(task.weight(row) for row in batch.rows))
    assert seen == [(tokens, 32), (*batch.inputs["input_ids"].shape, 32)]
    assert again.shape[:2] == batch.inputs["input_ids"].shape
    assert outputs.dtype == torch.float32 and outputs.shape == (tokens, len(tokenizer))
    task.losses(outputs, batch).sum().backward()
    trained = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert trained and all(grad is not None and grad.isfinite().all() for grad in trained.values())


def test_a_model_without_an_output_layer_is_refused() -> None:
    task, tokenizer = make(), byte_tokenizer()
    batch = whole_batch(task, tokenizer, encoded_by(task, tokenizer, texts_only("a"), 16))
    model = transformers.GPT2Model(transformers.GPT2Config(n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(UsageError, match="GPT2Model has no output layer over its vocabulary"):
        task.outputs(model, batch, 0)


# --- features ---------------------------------------------------------------------------------


def test_texts_end_with_the_end_token_and_are_cut_to_the_maximal_length() -> None:
    task, tokenizer = make(), byte_tokenizer()
    encoded = encoded_by(task, tokenizer, texts_only("goal", "a bank"), 5)
    short, cut = encoded.rows([0, 1])
    assert tokenizer.decode(short["input_ids"]) == "goal<|end|>"
    assert short["labels"] == [IGNORED, *short["input_ids"][1:]]
    assert tokenizer.decode(cut["input_ids"]) == "a ban"
    assert encoded.truncated == 1


@pytest.mark.parametrize("end", ["<|end|>", None])
def test_tokens_that_the_tokenizer_adds_in_front_are_read_and_not_scored(end: str | None) -> None:
    task, tokenizer = make(), byte_tokenizer(begins=True, end=end)
    if end is None:
        with pytest.raises(UsageError, match="no token that ends a text"):
            task.encoder(tokenizer, 16)
        return
    (row,) = encoded_by(task, tokenizer, texts_only("goal"), 16).rows([0])
    assert tokenizer.decode(row["input_ids"]) == "<|begin|>goal<|end|>"
    assert row["labels"] == [IGNORED, *row["input_ids"][1:]]
    assert row["words"] == 1 and row["bytes"] == 4


@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_words_and_bytes_are_those_of_the_predicted_text(begins: bool, packed: bool) -> None:
    task, tokenizer = make(packed=packed), byte_tokenizer(begins=begins)
    encoded = encoded_by(task, tokenizer, texts_only(*TEXTS), 128)
    words = sum(len(text.split()) for text in TEXTS)
    size = sum(len(text.encode()) for text in TEXTS)
    # Without a token in front the first letter of a text, or of the window, is not predicted.
    unscored = 0 if begins else len(encoded)
    assert sum(encoded.column("words")) == words - unscored
    assert sum(encoded.column("bytes")) == size - unscored
    tokens = sum(sum(label != IGNORED for label in row) for row in encoded.column("labels"))
    assert tokens == size + len(TEXTS) - unscored  # a token per byte, an end per text


def test_of_a_cut_text_only_what_is_kept_is_counted() -> None:
    task, tokenizer = make(), byte_tokenizer()
    (row,) = encoded_by(task, tokenizer, texts_only("the café of the bank"), 10).rows([0])
    assert tokenizer.decode(row["input_ids"]) == "the café "
    assert (row["words"], row["bytes"]) == (1, 9)  # "he café ", é being two bytes


def test_packed_windows_hold_every_text_once_in_order() -> None:
    task, tokenizer = make(packed=True), byte_tokenizer()
    encoded = encoded_by(task, tokenizer, texts_only("abcd", "ef", "ghijkl"), 6)
    windows = [tokenizer.decode(row["input_ids"]) for row in encoded.rows([0, 1, 2])]
    assert windows == ["abcd<|end|>e", "f<|end|>ghij", "kl<|end|>"]
    assert encoded.owners.tolist() == [0, 1, 2] and encoded.truncated == 0
    second = encoded.rows([1])[0]
    assert second["labels"] == [IGNORED, *second["input_ids"][1:]]
    model = language_model("gpt2", len(tokenizer))
    table = task.table(encoded, predicted_by(task, model, tokenizer, encoded), [])
    assert table["id"] == ["t0", "t1", "t2"] and table["text"] == windows
    assert all(len(column) == 3 for column in table.values())


def test_a_last_window_of_one_token_has_nothing_to_predict_and_is_left_out() -> None:
    task, tokenizer = make(packed=True), byte_tokenizer()
    encoded = encoded_by(task, tokenizer, texts_only("abc", "def"), 7)
    assert [tokenizer.decode(row["input_ids"]) for row in encoded.rows([0])] == ["abc<|end|>def"]
    assert len(encoded) == 1


def test_begin_tokens_inside_a_packed_window_are_not_scored() -> None:
    task, tokenizer = make(packed=True), byte_tokenizer(begins=True)
    (row,) = encoded_by(task, tokenizer, texts_only("ab", "cd"), 16).rows([0])
    assert tokenizer.decode(row["input_ids"]) == "<|begin|>ab<|end|><|begin|>cd<|end|>"
    assert [label == IGNORED for label in row["labels"]] == [1, 0, 0, 0, 1, 0, 0, 0]


# --- scores -----------------------------------------------------------------------------------


def test_perplexity_is_that_of_the_whole_split() -> None:
    task, tokenizer = make(), byte_tokenizer(begins=True)
    encoded = encoded_by(task, tokenizer, texts_only(*TEXTS), 64)
    model = language_model("llama", len(tokenizer)).eval()
    predicted = predicted_by(task, model, tokenizer, encoded, size=2)
    likelihood = task.likelihood(encoded, predicted)
    names = ("perplexity", "word_perplexity", "bits_per_byte")
    scores = score(names, "tokens", [], task.references(encoded), likelihood)
    nll = 0.0
    for text in TEXTS:
        ids = torch.tensor([[*tokenizer(text)["input_ids"], 0]])
        nll += model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
    size = sum(len(text.encode()) for text in TEXTS)
    words = sum(len(text.split()) for text in TEXTS)
    assert scores["perplexity"] == pytest.approx(math.exp(nll / (size + len(TEXTS))), rel=1e-4)
    assert scores["word_perplexity"] == pytest.approx(math.exp(nll / words), rel=1e-4)
    assert scores["bits_per_byte"] == pytest.approx(nll / size / math.log(2), rel=1e-4)
    table = task.table(encoded, predicted, task.answers(encoded, predicted))
    assert table["text"] == list(TEXTS)
    assert table["score"][2] == pytest.approx(-predicted.losses[2] / 5, rel=1e-5)


def test_a_text_of_nothing_but_the_end_token_has_no_score() -> None:
    task, tokenizer = make(), byte_tokenizer()
    encoded = encoded_by(task, tokenizer, texts_only("", "bank"), 16)
    assert encoded.owners.tolist() == [1]
    model = language_model("gpt2", len(tokenizer))
    table = task.table(encoded, predicted_by(task, model, tokenizer, encoded), [])
    assert table["score"][0] is None and table["score"][1] < 0
