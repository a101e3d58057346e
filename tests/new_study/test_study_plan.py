"""What the rows and the model decide: tokens that are read, passes, tokens that are written."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from tests.own_data import write_rows
from tests.tiny_models import WORDS
from workbench.new_study import Choices, inspect, plan_study


@pytest.fixture
def planned(tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.new_study.study.plans", lambda recipes: [{}] * len(recipes))

    def plan(rows, model, **more):
        path = write_rows(tmp_path / "x.jsonl", rows)
        choices = Choices(name="s", source=str(path), model=str(model), **more)
        return plan_study(inspect(choices, tmp_path))

    return plan


def said(number, words):
    """A text of so many words that the tiny models know, another one for each number."""
    digits = [WORDS[number // len(WORDS) ** place % len(WORDS)] for place in range(3)]
    return " ".join([*digits, *(WORDS * 99)][:words])


def long_rows(words, count=200):
    return [{"text": said(i, words), "label": "abc"[i % 3]} for i in range(count)]


@pytest.mark.parametrize(("words", "methods"), [(8, ("full",)), (20, ("full", "prompt"))])
def test_texts_are_read_whole_where_the_model_takes_them(planned, tiny_bert, words, methods):
    rows = long_rows(words)
    found = planned(rows, tiny_bert, methods=methods)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    longest = max(len(tokenizer(row["text"])["input_ids"]) for row in rows)
    limits = {recipe.model.max_length for recipe in found.recipes}
    prompt = max(recipe.method.prompt_length for recipe in found.recipes)
    (limit,) = limits
    positions = 64  # of the tiny BERT
    assert limit + prompt <= positions
    assert limit >= longest or limit + prompt == positions


def test_a_text_that_is_too_long_leaves_a_place_for_the_prompt(planned, tiny_bert):
    found = planned(long_rows(300), tiny_bert, methods=("full", "prompt"))
    assert {recipe.model.max_length for recipe in found.recipes} == {44}  # 64 less 20


def test_few_rows_are_passed_over_more_often(planned, tiny_bert):
    epochs = [
        planned(long_rows(8, count), tiny_bert, methods=("full",)).recipes[0].training.epochs
        for count in (100, 600, 2000)
    ]
    assert epochs == [10, 6, 3]


def test_what_is_said_stays(planned, tiny_bert):
    said = ("model.max_length=10", "training.epochs=2")
    found = planned(long_rows(20), tiny_bert, overrides=said)
    assert {(r.model.max_length, r.training.epochs) for r in found.recipes} == {(10, 2)}
    assert not {"max_length", "epochs"} & {each.key for each in found.draft.reasons}


def test_the_answers_that_are_written_may_be_as_long_as_the_completions(planned, tiny_gpt2):
    rows = [{"prompt": said(i, 6), "completion": said(99 + i, 20)}
            for i in range(60)]  # fmt: skip
    found = planned(rows, tiny_gpt2, methods=("lora",))
    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    longest = max(len(tokenizer(row["completion"])["input_ids"]) for row in rows)
    tokens = found.recipes[0].task.decoding.max_new_tokens
    assert longest < tokens <= max(longest + 8, 8) or tokens == 256
