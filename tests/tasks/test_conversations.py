"""Conversations of several turns: without a chat template, and with every answer learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_language_models import (
    byte_tokenizer,
    encoded_by,
    language_model,
    plain_log_probs,
    predicted_by,
    whole_batch,
)

from workbench.data.batches import IGNORED
from workbench.data.encode import Encoded, Row
from workbench.data.examples import Examples
from workbench.errors import UsageError
from workbench.recipe.tasks import Instruction
from workbench.tasks.base import EVALUATION_SEED
from workbench.tasks.instruction import InstructionTask

CHAT = (
    ("system", "You rhyme."),
    ("user", "Hi"),
    ("assistant", "Fly"),
    ("user", "Low"),
    ("assistant", "Snow"),
    ("user", "Bye"),
)
# As transformers documents it for training on assistant tokens only.
WITH_GENERATION = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] }}<|im_end|>{% endgeneration %}\n"
    "{% else %}{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITHOUT_END = (
    "{% for m in messages %}### {{ m['role'] }}\n{{ m['content'] }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}### assistant\n{% endif %}"
)
# Earlier answers lose what stands in brackets, as thoughts do in Qwen3's template.
FORGETS_THOUGHTS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if loop.last %}{{ m['content'] }}{% else %}{{ m['content'].split(')')[-1] }}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make(**spec: Any) -> InstructionTask:
    return InstructionTask(Instruction(name="instruction", **spec), ())


def conversation(*chats: tuple[tuple[str, str], ...], last: str = "Sky") -> Examples:
    return Examples(
        ids=tuple(f"r{i}" for i in range(len(chats))),
        texts=tuple(chat[-1][1] for chat in chats),
        labels=(last,) * len(chats),
        parts=chats,
    )


def first_row(task: InstructionTask, encoded: Encoded, *, seed: Any = (0, 0)) -> Row:
    (row,) = task.rows(encoded, [0], seed)
    return row


def learned(tokenizer: Any, row: Row) -> list[str]:
    """The stretches of text that carry labels."""
    runs: list[list[int]] = []
    goes_on = False
    for token, label in zip(row["input_ids"], row["labels"], strict=True):
        assert label in (IGNORED, token)
        if label != IGNORED and not goes_on:
            runs.append([])
        if label != IGNORED:
            runs[-1].append(token)
        goes_on = label != IGNORED
    return [tokenizer.decode(run) for run in runs]


@pytest.mark.parametrize("begins", [True, False])
def test_without_a_template_every_message_stands_on_its_line(begins: bool) -> None:
    task, tokenizer = make(instruction="Be brief."), byte_tokenizer(begins=begins)
    encoded = encoded_by(task, tokenizer, conversation(CHAT), 200)
    row = first_row(task, encoded)
    first = "<|begin|>" if begins else ""
    read = f"{first}You rhyme.\nBe brief.\nHi\nFly<|end|>Low\nSnow<|end|>Bye\n"  # one exchange each
    assert tokenizer.decode(row["input_ids"]) == f"{read}Sky<|end|>"
    assert tokenizer.decode(row["prompt"]) == read
    assert learned(tokenizer, row) == ["Sky<|end|>"]


def test_one_exchange_is_written_as_a_prompt_with_its_completion() -> None:
    task, tokenizer = make(instruction="Be brief."), byte_tokenizer(begins=True)
    chat = encoded_by(task, tokenizer, conversation((("user", "Hi"),)), 200)
    plain = Examples(ids=("r0",), texts=("Hi",), labels=("Sky",))
    assert chat.rows([0]) == encoded_by(task, tokenizer, plain, 200).rows([0])


def test_chat_false_keeps_all_turns_of_a_model_with_a_template() -> None:
    tokenizer = byte_tokenizer(template=WITH_GENERATION)
    row = first_row(task := make(chat=False), encoded_by(task, tokenizer, conversation(CHAT), 200))
    assert tokenizer.decode(row["prompt"]) == "You rhyme.\nHi\nFly<|end|>Low\nSnow<|end|>Bye\n"


def test_a_long_conversation_keeps_its_system_message_and_end() -> None:
    task, tokenizer = make(), byte_tokenizer()
    chat = (("system", "S"), ("user", "one two three"), ("assistant", "Fly"), ("user", "four five"))
    row = first_row(task, encoded_by(task, tokenizer, conversation(chat), 30))
    text = tokenizer.decode(row["input_ids"])
    assert len(row["input_ids"]) == 30
    assert text.startswith("S\none two three\nFly<|end|>four") and text.endswith("\nSky<|end|>")


@pytest.mark.parametrize("template", [None, WITH_GENERATION, WITHOUT_END])
def test_all_answers_of_a_conversation_are_learned_and_the_last_is_tested(
    template: str | None,
) -> None:
    task, tokenizer = make(learn="all"), byte_tokenizer(template=template)
    encoded = encoded_by(task, tokenizer, conversation(CHAT), 400)
    end = "<|im_end|>" if template == WITH_GENERATION else "<|end|>"
    ends = "" if template == WITHOUT_END else end  # that template ends only the last turn
    expected = [f"Fly{ends}", f"Snow{ends}", f"Sky{end}"]
    assert learned(tokenizer, first_row(task, encoded)) == expected
    assert learned(tokenizer, first_row(task, encoded, seed=EVALUATION_SEED)) == expected[-1:]
    alone = encoded_by(make(), tokenizer, conversation(CHAT), 400)
    assert first_row(task, encoded, seed=EVALUATION_SEED)["labels"] == alone.rows([0])[0]["labels"]


def test_what_is_learned_is_transformers_own_mask_of_assistant_tokens() -> None:
    task, tokenizer = make(learn="all"), byte_tokenizer(template=WITH_GENERATION)
    row = first_row(task, encoded_by(task, tokenizer, conversation(CHAT), 400))
    messages = [{"role": role, "content": text} for role, text in (*CHAT, ("assistant", "Sky"))]
    theirs = tokenizer.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    count = len(row["input_ids"])  # theirs has the line break behind the last turn
    assert row["input_ids"] == theirs["input_ids"][:count]
    mask = [int(label != IGNORED) for label in row["labels"]]
    assert mask == theirs["assistant_masks"][:count] and sum(mask) == 4 + 5 + 4


def test_the_loss_is_that_of_every_answer() -> None:
    """Computed here from the logits of plain transformers."""
    task, tokenizer = make(learn="all"), byte_tokenizer(template=WITH_GENERATION)
    short = (("user", "Hi"),)
    encoded = encoded_by(task, tokenizer, conversation(CHAT, short), 400)
    model = language_model("llama", len(tokenizer)).eval()
    batch = whole_batch(task, tokenizer, encoded)
    with torch.inference_mode():
        losses = task.losses(task.outputs(model, batch, 0), batch)
        logits = model(**batch.inputs).logits
    for index, row in enumerate(batch.rows):
        ids = torch.tensor(row["input_ids"])
        wanted = [t for t, label in enumerate(row["labels"]) if label != IGNORED]
        each = F.cross_entropy(
            logits[index, [t - 1 for t in wanted]], ids[wanted], reduction="none"
        )
        assert losses[index].item() == pytest.approx(each.sum().item(), rel=1e-5)
        assert task.weight(row) == len(wanted) == (13, 4)[index]
    predicted = predicted_by(task, model, tokenizer, encoded)
    assert predicted.weights.tolist() == [4, 4]
    plain = plain_log_probs(model, task.plain_request(encoded, 0))
    assert np.allclose(plain, predicted.values[0], atol=1e-4)


def test_messages_before_any_question_and_empty_ones_are_not_learned() -> None:
    task, tokenizer = make(learn="all"), byte_tokenizer(template=WITH_GENERATION)
    chat = (("assistant", "Hello"), ("user", "Hi"), ("assistant", ""), ("user", "Bye"))
    row = first_row(task, encoded_by(task, tokenizer, conversation(chat), 400))
    assert learned(tokenizer, row) == ["Sky<|im_end|>"]


def test_a_template_that_rewrites_earlier_answers_is_refused() -> None:
    task, tokenizer = make(learn="all"), byte_tokenizer(template=FORGETS_THOUGHTS)
    chat = (("user", "Hi"), ("assistant", "(rhyme) Fly"), ("user", "Bye"))
    with pytest.raises(UsageError, match="does not let every answer be learned") as caught:
        encoded_by(task, tokenizer, conversation(chat), 400)
    assert "learn: last" in str(caught.value)
    row = first_row(make(), encoded_by(make(), tokenizer, conversation(chat), 400))
    assert learned(tokenizer, row) == ["Sky<|im_end|>"]
