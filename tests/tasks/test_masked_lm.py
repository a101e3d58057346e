"""Hidden words: which, how, and that losses and answers are those of the hidden tokens alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from tiny_language_models import (
    byte_tokenizer,
    encoded_by,
    label_tensor,
    language_model,
    plain_log_probs,
    predicted_by,
    texts_only,
    whole_batch,
    word_piece_tokenizer,
)
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from tests.small_recipes import small_recipe
from workbench.data.batches import IGNORED
from workbench.errors import UsageError
from workbench.metrics.scores import score
from workbench.recipe.tasks import MaskedLM
from workbench.store import Run
from workbench.tasks.masked_lm import MaskedLMTask

TEXTS = (
    "the goals of the player.",
    "profit of the banks",
    "match",
    "the player matched the goal of the bank. unmatched profits of the players.",
)
VIRTUAL = 3
METHODS: dict[str, Callable[[], Any]] = {
    "lora": lambda: peft.LoraConfig(task_type="FEATURE_EXTRACTION", target_modules="all-linear"),
    "ia3": lambda: peft.IA3Config(task_type="FEATURE_EXTRACTION"),
    "prefix": lambda: peft.PrefixTuningConfig(
        task_type="FEATURE_EXTRACTION", num_virtual_tokens=VIRTUAL
    ),
    "prompt": lambda: peft.PromptTuningConfig(
        task_type="FEATURE_EXTRACTION", num_virtual_tokens=VIRTUAL
    ),
    "p-tuning": lambda: peft.PromptEncoderConfig(
        task_type="FEATURE_EXTRACTION", num_virtual_tokens=VIRTUAL, encoder_hidden_size=16
    ),
}
METRICS = ("masked_accuracy", "masked_perplexity")


def make(**spec: Any) -> MaskedLMTask:
    return MaskedLMTask(MaskedLM(name="masked-lm", **spec), ())


# --- what is hidden ---------------------------------------------------------------------------


def test_whole_words_are_hidden_and_never_a_special_token() -> None:
    task, tokenizer = make(mask_fraction=0.3), word_piece_tokenizer()
    encoded = encoded_by(task, tokenizer, texts_only("the goals of zzz players. un"), 32)
    tokens = tokenizer.convert_ids_to_tokens(encoded.rows([0])[0]["input_ids"])
    assert tokens[2:6] == ["goal", "##s", "of", "[UNK]"]
    seen = set()
    for epoch in range(60):
        (row,) = task.rows(encoded, [0], (0, epoch))
        hidden = {t for t, label in enumerate(row["labels"]) if label != IGNORED}
        words = {row["word_ids"][t] for t in hidden}
        assert len(words) == 2  # round(0.3 x 6): the unknown word cannot be learned
        assert hidden == {t for t, word in enumerate(row["word_ids"]) if word in words}
        assert not hidden & {0, 5, len(tokens) - 1}
        seen |= hidden
    assert seen == set(range(1, len(tokens) - 1)) - {5}


def test_pieces_are_hidden_alone_where_the_recipe_says_so() -> None:
    task, tokenizer = make(whole_words=False), word_piece_tokenizer()
    encoded = encoded_by(task, tokenizer, texts_only("goals"), 32)
    hidden = [task.rows(encoded, [0], (0, epoch))[0]["labels"] for epoch in range(20)]
    assert all(sum(label != IGNORED for label in labels) == 1 for labels in hidden)
    assert {tuple(labels) for labels in hidden} == {(-100, 5, -100, -100), (-100, -100, 12, -100)}


def test_hidden_tokens_are_shown_as_in_bert() -> None:
    task, tokenizer = make(mask_fraction=0.5), word_piece_tokenizer()
    text = " ".join(["goal"] * 200)
    encoded = encoded_by(task, tokenizer, texts_only(text), 256)
    rows = [task.rows(encoded, [0], (0, epoch))[0] for epoch in range(50)]
    ids = np.array([row["input_ids"] for row in rows])
    hidden = np.array([row["labels"] for row in rows]) != IGNORED
    assert hidden.sum(axis=1).tolist() == [100] * 50
    goal = tokenizer.convert_tokens_to_ids("goal")
    masked = (ids[hidden] == tokenizer.mask_token_id).mean()
    # 5,000 draws: a standard deviation of 0.006; one random token in eleven is the same word.
    assert masked == pytest.approx(0.8, abs=0.02)
    assert (ids[hidden] == goal).mean() == pytest.approx(0.1 + 0.1 / 11, abs=0.02)
    random = set(ids[hidden].tolist()) - {tokenizer.mask_token_id}
    assert random == set(range(5, len(tokenizer)))  # every ordinary token, no special one
    assert (ids[~hidden][1:-1] != tokenizer.mask_token_id).all()


def test_seed_and_position_alone_decide() -> None:
    task, tokenizer = make(), word_piece_tokenizer()
    encoded = encoded_by(task, tokenizer, texts_only(*TEXTS), 32)
    together = task.rows(encoded, [0, 1, 2, 3], (7, 1))
    assert task.rows(encoded, [3, 1], (7, 1)) == [together[3], together[1]]
    others = [task.rows(encoded, [3], seed)[0] for seed in ((7, 2), (8, 1))]
    assert all(other["labels"] != together[3]["labels"] for other in others)


def test_texts_are_cut_and_counted_and_those_without_a_word_left_out() -> None:
    task, tokenizer = make(), word_piece_tokenizer()
    encoded = encoded_by(task, tokenizer, texts_only("zzz", "the goals of the bank"), 5)
    assert encoded.owners.tolist() == [1] and encoded.truncated == 1
    assert encoded.lengths.tolist() == [5]


def test_a_tokenizer_without_a_mask_token_is_refused() -> None:
    with pytest.raises(UsageError, match="has no mask token"):
        make().encoder(byte_tokenizer(), 32)


# --- losses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_the_loss_is_that_of_transformers_with_its_gradients(family: str) -> None:
    task, tokenizer = make(), word_piece_tokenizer()
    encoded = encoded_by(task, tokenizer, texts_only(*TEXTS), 32)
    model, twin = (language_model(family, len(tokenizer)) for _ in range(2))
    batch = whole_batch(task, tokenizer, encoded)
    outputs = task.outputs(model, batch, 0)
    tokens = sum(task.weight(row) for row in batch.rows)
    assert outputs.shape == (tokens, len(tokenizer))
    mean = task.losses(outputs, batch).sum() / tokens
    right = twin(**batch.inputs, labels=label_tensor(batch)).loss
    assert mean.item() == pytest.approx(right.item(), rel=1e-5)
    mean.backward()
    right.backward()
    for (name, a), b in zip(model.named_parameters(), twin.parameters(), strict=True):
        if b.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_learns_and_its_export_says_the_same(method: str, tmp_path: Path) -> None:
    """PEFT's feature extraction passes a masked language model's output on, and trains it."""
    task, tokenizer = make(mask_fraction=0.3), word_piece_tokenizer()
    encoded = encoded_by(task, tokenizer, texts_only(*TEXTS), 32)
    language_model("bert", len(tokenizer)).save_pretrained(tmp_path / "base")
    base = AutoModelForMaskedLM.from_pretrained(tmp_path / "base")
    model = peft.get_peft_model(base, METHODS[method]()).train()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    start = {name: p.detach().clone() for name, p in trained.items()}
    virtual = VIRTUAL if method in ("prompt", "p-tuning") else 0
    batch = whole_batch(task, tokenizer, encoded)
    optimizer = torch.optim.AdamW(trained.values(), lr=3e-2)
    losses = []
    for _ in range(40):
        loss = task.losses(task.outputs(model, batch, virtual), batch).sum()
        loss.backward()
        assert all(p.grad is not None for p in trained.values())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert not any(torch.equal(start[name], p) for name, p in trained.items())

    model.eval().save_pretrained(tmp_path / "adapter")
    plain = peft.PeftModel.from_pretrained(
        AutoModelForMaskedLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter"
    ).eval()
    together, alone = (
        predicted_by(task, model, tokenizer, encoded, size=size, virtual_tokens=virtual)
        for size in (8, 1)
    )
    assert np.allclose(together.losses, alone.losses, atol=1e-4)
    for index, values in enumerate(together.values):
        answer = plain_log_probs(plain, task.plain_request(encoded, index), skip=virtual)
        assert answer == pytest.approx(task.checked(values).tolist(), abs=1e-4)


def test_an_encoder_that_came_without_its_output_layer_gets_a_new_one(
    tiny_bert: Path, train: Callable[..., Run], tmp_path: Path
) -> None:
    """Encoders made for sentence embeddings, such as the embedded MiniLM, have none."""
    base = tmp_path / "base"
    AutoModel.from_pretrained(tiny_bert).save_pretrained(base)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(base)
    run = train(small_recipe("masked-lm", "lora", base, tmp_path), 0, tmp_path / "runs")
    assert run.state == "finished", run.reason
    assert run.result["parameters"]["head"] > 0
    assert run.result["export"]["max_logit_difference"] < 1e-4


# --- answers ----------------------------------------------------------------------------------


def test_answers_references_and_scores_are_of_the_hidden_tokens() -> None:
    task, tokenizer = make(mask_fraction=0.4), word_piece_tokenizer()
    encoded = encoded_by(task, tokenizer, texts_only("zzz", *TEXTS), 32)
    model = language_model("bert", len(tokenizer)).eval()
    predicted = predicted_by(task, model, tokenizer, encoded)
    answers, references = task.answers(encoded, predicted), task.references(encoded)
    assert [len(row) for row in references] == predicted.weights.tolist()
    hits = total = 0
    nll = 0.0
    for index, (given, right) in enumerate(zip(answers, references, strict=True)):
        request = task.plain_request(encoded, index)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([request["input_ids"]])).logits[0]
        assert request["tokens"] == right
        assert given == logits[request["positions"]].argmax(-1).tolist()
        hits += sum(a == b for a, b in zip(given, right, strict=True))
        total += len(right)
        nll -= sum(plain_log_probs(model, request))
    likelihood = task.likelihood(encoded, predicted)
    scores = score(METRICS, "masked-tokens", answers, references, likelihood)
    assert scores["masked_accuracy"] == pytest.approx(hits / total)
    assert scores["masked_perplexity"] == pytest.approx(np.exp(nll / total), rel=1e-4)
    assert likelihood is not None and 0 < likelihood.words <= likelihood.tokens == total
    table = task.table(encoded, predicted, answers)
    assert table["label"][0] == "" and table["score"][0] is None  # not a word that is known
    assert table["label"][3] == "match" and 0 < table["score"][3] <= 1
    assert all(len(column) == 5 for column in table.values())


def test_a_text_from_outside_is_asked_about_its_own_masks() -> None:
    task, tokenizer = make(), word_piece_tokenizer()
    encoded = encoded_by(task, tokenizer, task.question("the [MASK] of the [MASK]", None), 32)
    (row,) = task.rows(encoded, [0], (3,))
    assert row["input_ids"] == encoded.rows([0])[0]["input_ids"]
    model = language_model("bert", len(tokenizer)).eval()
    predicted = predicted_by(task, model, tokenizer, encoded)
    ((first, second),) = task.answers(encoded, predicted)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0]
    assert [first, second] == logits[[2, 5]].argmax(-1).tolist()
    table = task.table(encoded, predicted, [[first, second]])
    assert table["prediction"] == [" ".join(tokenizer.decode([i]) for i in (first, second))]
    confidence = logits[[2, 5]].softmax(-1).amax(-1).mean().item()
    assert table["score"] == pytest.approx([confidence], rel=1e-4)
