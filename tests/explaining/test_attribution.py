"""Attributions add up to what they explain, and are those of captum on a plain model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients

from tests.explaining.test_attention import CELLS, TEXT, decision_of, plain_load
from workbench.adapters.loaded import LoadedAdapter
from workbench.explaining import attribute, decide
from workbench.explaining.attribution import covered_text
from workbench.explaining.explanations import explain_attribution


@pytest.mark.parametrize(("task", "method", "family", "virtual"), CELLS)
def test_the_numbers_add_up(
    adapter: Any, task: str, method: str, family: str, virtual: tuple[int, int]
) -> None:
    asked: LoadedAdapter = adapter(task, method, family)
    decision = decision_of(asked)
    found = attribute(asked, decision, steps=200)
    change = found.value - found.empty
    assert abs(change) > 1e-3, "a decision that the text does not change explains nothing"
    assert sum(found.values) == pytest.approx(change, abs=5e-3 + 0.01 * abs(change))
    assert found.gap == pytest.approx(sum(found.values) - change)
    special = [v for v, t in zip(found.values, decision.reading.tokens, strict=True) if t.special]
    assert special == [0.0] * len(special)


def test_they_are_captums_own_on_a_plain_model(adapter: Any) -> None:
    """The plain model is given embeddings, and captum's other class integrates over them."""
    asked: LoadedAdapter = adapter("text-classification", "lora", "bert")
    decision = decision_of(asked)
    label = list(asked.task.label_names).index(decision.about)
    plain = plain_load(asked)
    words = plain.get_input_embeddings()
    ids = torch.tensor([decision.reading.ids])
    mask = asked.tokenizer.mask_token_id
    covered = [i if i in (2, 3) else mask for i in decision.reading.ids]
    assert covered_text(decision, asked.tokenizer) == covered

    def log_probability(embeddings: torch.Tensor) -> torch.Tensor:
        return plain(inputs_embeds=embeddings).logits.log_softmax(-1)[:, label]

    expected = IntegratedGradients(log_probability).attribute(
        words(ids).detach(), words(torch.tensor([covered])).detach(), n_steps=32
    )
    found = attribute(asked, decision, steps=32)
    assert np.allclose(found.values, expected.sum(-1)[0].detach(), atol=1e-5)
    assert found.value == pytest.approx(float(log_probability(words(ids))), abs=1e-5)


def test_the_value_is_the_probability_that_the_adapter_tells(adapter: Any) -> None:
    asked: LoadedAdapter = adapter("text-classification", "prefix", "bert")
    (answer,) = asked.predict([TEXT])
    decision = decision_of(asked)
    assert decision.about == answer["prediction"]
    assert np.exp(attribute(asked, decision).value) == pytest.approx(answer["score"], abs=1e-5)


def test_another_label_can_be_asked_about(adapter: Any) -> None:
    asked: LoadedAdapter = adapter("text-classification", "lora", "bert")
    values = [attribute(asked, decide(asked, TEXT, choice=c)).value for c in range(3)]
    assert sum(np.exp(values)) == pytest.approx(1.0, abs=1e-5)


def test_the_base_is_asked_about_the_same_answer(adapter: Any, zero_shot: Any) -> None:
    cell = ("masked-lm", "lora", "bert")
    asked, base = adapter(*cell), zero_shot(*cell)
    assert base.answers
    decision = decide(asked, "goal [MASK] the team")
    found = explain_attribution(asked, base, decision)
    ids = torch.tensor([decision.reading.ids])
    with torch.no_grad():
        logits = base.adapter.model(ids).logits[0, 2].log_softmax(-1)
    token = asked.tokenizer.convert_tokens_to_ids(decision.about)
    assert found["base"]["value"] == pytest.approx(float(logits[token]), abs=1e-4)
    assert found["base"]["value"] != pytest.approx(found["adapter"]["value"], abs=1e-3)


def test_a_base_without_a_head_has_nothing_to_compare(adapter: Any, zero_shot: Any) -> None:
    cell = ("text-classification", "lora", "bert")
    asked = adapter(*cell)
    found = explain_attribution(asked, zero_shot(*cell), decision_of(asked))
    assert found["base"] is None and "new head" in found["why_no_base"]


def test_it_can_be_interrupted(adapter: Any) -> None:
    asked: LoadedAdapter = adapter("text-classification", "lora", "bert")

    def enough() -> None:
        raise KeyboardInterrupt

    before = asked.predict([TEXT])
    with pytest.raises(KeyboardInterrupt):
        attribute(asked, decision_of(asked), on_progress=enough)
    assert asked.predict([TEXT]) == before
    assert not any(module._forward_hooks for module in asked.model.modules())
