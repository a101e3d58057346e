"""Answers as spans of a text: windows, places, losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_adapted import (
    METHOD_CASES,
    adapt,
    assert_padding_changes_nothing,
    byte_level,
    losses_of,
    whole_batch,
)
from transformers import AutoTokenizer

from workbench.data.encode import Encoded, encode
from workbench.data.examples import Examples
from workbench.errors import UsageError
from workbench.recipe.tasks import QuestionAnswering
from workbench.tasks.answer_spans import NO_CONTEXT
from workbench.tasks.base import Predicted
from workbench.tasks.question_answering import QuestionAnsweringTask

MATCH = "the team won the match in may and the player of the league is a film star of note"
ROWS = (
    ("player award", MATCH, "film star"),
    ("goal", "a goal in the net", "net"),
    ("vote of the party", "law and election of the minister", None),
    ("bank", "shares of the bank firm in profit", "the bank firm"),
)


def task(**fields: Any) -> QuestionAnsweringTask:
    values = {"stride": 4, **fields, "name": "question-answering"}
    return QuestionAnsweringTask(QuestionAnswering.model_validate(values), ())


def examples(rows: Any = ROWS) -> Examples:
    def answers(context: str, answer: str | None) -> tuple[tuple[int, str], ...]:
        return () if answer is None else ((context.index(answer), answer),)

    return Examples(
        ids=tuple(map(str, range(len(rows)))),
        texts=tuple(context for _, context, _ in rows),
        pairs=tuple(question for question, _, _ in rows),
        labels=tuple(answers(context, answer) for _, context, answer in rows),
    )


def encoded_for(folder: Path, max_length: int = 16) -> Encoded:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return encode(examples(), task().encoder(tokenizer, max_length), tokenizer)


def pointing(encoded: Encoded, height: float = 5.0) -> Predicted:
    """Logits that point to the start and end labels of each window."""
    values = []
    for length, row in zip(encoded.lengths, encoded.rows([*range(len(encoded))]), strict=True):
        logits = np.zeros((2, length), dtype=np.float32)
        logits[0, row["start"]] = logits[1, row["end"]] = height
        values.append(logits)
    zeros = np.zeros(len(values))
    return Predicted(zeros, zeros, values)


# --- windows and places ---------------------------------------------------------------------


def test_windows_overlap_and_cover_the_context(tiny_bert: Path) -> None:
    encoded = encoded_for(tiny_bert)
    assert encoded.owners.tolist() == [0, 0, 0, 1, 2, 3]
    assert encoded.truncated == 0
    assert max(encoded.lengths) == 16
    rows = encoded.rows([0, 1, 2])
    covered = [
        [(s, e) for s, e in zip(r["char_starts"], r["char_ends"], strict=True) if s != NO_CONTEXT]
        for r in rows
    ]
    assert covered[0][-4:] == covered[1][:4] and covered[1][-4:] == covered[2][:4]
    words = sorted({place for window in covered for place in window})
    assert [MATCH[s:e] for s, e in words] == MATCH.split()
    assert "token_type_ids" not in rows[0]  # PEFT does not pass them on

    # Words 15 and 16 of windows of 11 words, 7 further each: in the last two, behind 4 tokens.
    assert [(row["start"], row["end"]) for row in rows] == [(0, 0), (12, 13), (5, 6)]
    assert encoded.rows([4])[0]["start"] == 0  # a question without an answer


def test_a_window_needs_the_whole_answer(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    text = "the team is in the league of the law and party vote"
    row = (("goal", text, "league of the law"),)  # tokens 5 to 8 of 12
    this = task(stride=1)
    encoded = encode(examples(row), this.encoder(tokenizer, 10), tokenizer)
    rows = encoded.rows([*range(len(encoded))])  # windows of 6: 0-5, 5-10, 10-11
    assert [(row["start"], row["end"]) for row in rows] == [(0, 0), (3, 6), (0, 0)]
    assert this.answers(encoded, pointing(encoded)) == ["league of the law"]


def test_the_first_right_answer_in_the_window_counts(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    text = "goal " * 12 + "net and net"
    second = text.index("net and")
    labels = (((second, "net"), (text.rindex("net"), "net")),)
    given = Examples(ids=("0",), texts=(text,), pairs=("match",), labels=labels)
    encoded = encode(given, task().encoder(tokenizer, 20), tokenizer)
    row = encoded.rows([len(encoded) - 1])[0]
    assert row["char_starts"][row["start"]] == second
    assert task().references(encoded) == [["net", "net"]]


UNICODE = (
    ("Where?", "They met in São Tomé 🏝️, not in 北京市, in May.", "São Tomé 🏝️"),
    ("Which city?", "They met in São Tomé 🏝️, not in 北京市, in May.", "北京"),
    ("When?", "  They met\nin São Tomé 🏝️, not in 北京市, in May.", "May"),
    ("Who?", "  They met\nin São Tomé 🏝️, not in 北京市, in May.", "They"),
)


@pytest.mark.parametrize("max_length", [40, 400])
def test_answers_are_the_characters_of_the_text(max_length: int) -> None:
    """Byte-level pieces of one character, spaces inside tokens, several windows."""
    tokenizer = byte_level(" met", " in", " May", "They")
    this = task(stride=20, max_answer_tokens=30)
    encoded = encode(examples(UNICODE), this.encoder(tokenizer, max_length), tokenizer)
    assert (len(encoded) > len(UNICODE)) == (max_length == 40)
    assert this.answers(encoded, pointing(encoded)) == [answer for *_, answer in UNICODE]


def test_a_decoder_gets_a_new_line_after_the_question() -> None:
    tokenizer = byte_level()
    encoded = encode(examples(ROWS[1:2]), task().encoder(tokenizer, 64), tokenizer)
    assert tokenizer.decode(encoded.rows([0])[0]["input_ids"]) == "goal\na goal in the net"


def test_long_questions_are_cut_and_counted(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    rows = (("vote of the party in the election", MATCH, "film star"), ROWS[1])
    encoded = encode(examples(rows), task().encoder(tokenizer, 16), tokenizer)
    assert encoded.truncated == 1
    text = tokenizer.decode(encoded.rows([0])[0]["input_ids"])
    assert text.startswith("[CLS] vote of the party [SEP] the team")
    assert max(encoded.lengths) == 16


def test_a_stride_without_progress_is_refused(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    with pytest.raises(UsageError, match="windows of 16 tokens cannot share 9") as caught:
        task(stride=9).encoder(tokenizer, 16)
    assert "set task.stride to 4" in caught.value.fix
    encode(examples(), task(stride=8).encoder(tokenizer, 16), tokenizer)  # the largest that goes
    with pytest.raises(UsageError, match="cannot share") as caught:
        task(stride=0).encoder(tokenizer, 4)
    assert caught.value.fix == "raise model.max_length"


# --- losses and values ----------------------------------------------------------------------


@pytest.mark.parametrize("family", ["tiny_bert", "tiny_gpt2"])
def test_loss_is_transformers_own(family: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(family)
    this = task()
    adapted = adapt(this, folder, "full")
    encoded = encoded_for(folder)
    for index in range(len(encoded)):  # alone, as transformers' loss counts padding as tokens
        row = this.rows(encoded, [index], ())[0]
        ids = torch.tensor([row["input_ids"]])
        theirs = adapted.model(
            input_ids=ids,
            start_positions=torch.tensor([row["start"]]),
            end_positions=torch.tensor([row["end"]]),
        ).loss
        ours = losses_of(adapted, this, whole_batch(adapted, this, encoded))[index]
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


@pytest.mark.parametrize("family", ["tiny_bert", "tiny_gpt2"])
def test_soft_prompt_loss_is_the_hand_shifted_one(
    family: str, request: pytest.FixtureRequest
) -> None:
    """Positions moved behind the virtual tokens, which are themselves no answer."""
    folder = request.getfixturevalue(family)
    this = task()
    adapted, encoded = adapt(this, folder, "prompt"), encoded_for(folder)
    virtual = adapted.virtual_tokens
    assert virtual == 4
    losses = losses_of(adapted, this, whole_batch(adapted, this, encoded))
    for index, row in enumerate(this.rows(encoded, range(len(encoded)), ())):
        plain = adapted.model(input_ids=torch.tensor([row["input_ids"]]))
        assert plain.start_logits.shape[1] == virtual + len(row["input_ids"])
        start, end = plain.start_logits.clone(), plain.end_logits.clone()
        start[:, :virtual] = end[:, :virtual] = float("-inf")
        shifted = torch.tensor([row["start"] + virtual]), torch.tensor([row["end"] + virtual])
        theirs = (F.cross_entropy(start, shifted[0]) + F.cross_entropy(end, shifted[1])) / 2
        assert losses[index].item() == pytest.approx(theirs.item(), rel=1e-5)
    losses.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapted.trainable().values())


@pytest.mark.parametrize("family", ["tiny_bert", "tiny_gpt2"])
@pytest.mark.parametrize("case", METHOD_CASES)
def test_padding_changes_nothing(case: str, family: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(family)
    this = task()
    adapted = adapt(this, folder, case)
    assert_padding_changes_nothing(adapted, this, encoded_for(folder))
    names = {name.split(".")[-2] for name in adapted.trainable() if adapted.is_head(name)}
    if case != "full":
        assert set(adapted.model.peft_config["default"].modules_to_save) == {"qa_outputs"}
        assert names == {"default"}  # PEFT's trained copy of the head
    else:
        assert names == {"qa_outputs"}


def test_the_plain_request_repeats_the_feature(tiny_bert: Path) -> None:
    encoded, this = encoded_for(tiny_bert), task()
    adapted = adapt(this, tiny_bert, "prompt")
    with torch.inference_mode():
        ids = torch.tensor([this.plain_request(encoded, 3)["input_ids"]])
        plain = adapted.model(input_ids=ids, attention_mask=torch.ones_like(ids))
        batch = whole_batch(adapted, this, encoded)
        values = this.values(this.outputs(adapted.model, batch, adapted.virtual_tokens), batch)
    spans = np.concatenate([plain.start_logits[0, 4:], plain.end_logits[0, 4:]])
    assert np.allclose(values[3].ravel(), spans, atol=1e-5)


# --- answers --------------------------------------------------------------------------------


def test_the_best_span_of_all_windows_wins(tiny_bert: Path) -> None:
    encoded, this = encoded_for(tiny_bert), task()
    predicted = pointing(encoded)
    answers = this.answers(encoded, predicted)
    # Without task.allow_no_answer a span is always given, though the third row has none.
    assert answers[0] == "film star" and answers[1] == "net" and answers[3] == "the bank firm"
    assert answers[2]
    table = this.table(encoded, predicted, answers)
    assert table["text_pair"][1] == "goal" and table["label"][2] == ""
    length = int(encoded.lengths[3])
    sure = float(np.exp(5) / (np.exp(5) + length - 1)) ** 2
    assert table["score"][1] == pytest.approx(sure, rel=1e-6)


def one_window(folder: Path, **fields: Any) -> tuple[QuestionAnsweringTask, Encoded, np.ndarray]:
    """[CLS] goal [SEP] a goal in the net [SEP], and logits of zero for it."""
    this, tokenizer = task(**fields), AutoTokenizer.from_pretrained(folder)
    encoded = encode(examples(ROWS[1:2]), this.encoder(tokenizer, 16), tokenizer)
    return this, encoded, np.zeros((2, 9), dtype=np.float32)


def answer(this: QuestionAnsweringTask, encoded: Encoded, logits: np.ndarray) -> str:
    return this.answers(encoded, Predicted(np.zeros(1), np.ones(1), [logits]))[0]


def test_answers_start_before_they_end_in_the_context_and_are_not_long(tiny_bert: Path) -> None:
    this, encoded, logits = one_window(tiny_bert, max_answer_tokens=2)
    logits[0, [1, 6]] = 9, 4  # the question's own word, and "the"
    logits[1, [3, 4, 8]] = 3, 1, 9  # "a" and "goal" before it, and [SEP]
    assert answer(this, encoded, logits) == "the"
    logits[1, 7] = 2
    assert answer(this, encoded, logits) == "the net"
    logits[0, 3], logits[1, 7] = 5, 5  # "a ... net" is five tokens long
    assert answer(this, encoded, logits) == "the net"
    this, encoded, _ = one_window(tiny_bert, max_answer_tokens=30)
    assert answer(this, encoded, logits) == "a goal in the net"


def test_no_answer_competes_only_when_allowed(tiny_bert: Path) -> None:
    this, encoded, logits = one_window(tiny_bert, allow_no_answer=True)
    logits[0, 7] = logits[1, 7] = 2  # "net"
    logits[:, 0] = 3
    assert answer(this, encoded, logits) == ""
    assert answer(task(), encoded, logits) == "net"
    logits[:, 0] = 1.9
    assert answer(this, encoded, logits) == "net"


def test_every_window_must_find_nothing(tiny_bert: Path) -> None:
    encoded, this = encoded_for(tiny_bert), task(allow_no_answer=True)
    predicted = pointing(encoded, height=3)
    for window in (0, 1, 2):
        predicted.values[window][:, 0] = 6
    assert this.answers(encoded, predicted)[0] == ""
    predicted.values[1][:, 0] = 2  # one window that is less sure than of the span
    assert this.answers(encoded, predicted)[0] == "film star"


def test_a_text_without_tokens_has_no_answer(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    this = task()
    asked = this.question(" ", "goal")
    encoded = encode(asked, this.encoder(tokenizer, 16), tokenizer, cached=False)
    assert answer(this, encoded, np.zeros((2, 4), dtype=np.float32)) == ""
    assert this.references(encoded) == [[]]


def test_a_question_is_needed() -> None:
    with pytest.raises(UsageError, match="no question"):
        task().question("the goal in the net", None)
    assert task().question("the net", "goal").pairs == ("goal",)
