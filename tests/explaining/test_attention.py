"""Attention maps are those of plain transformers + PEFT, and rollout is what the paper says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from peft import PeftModel
from transformers import AutoConfig

from tests.small_recipes import QUESTION
from workbench.adapters.loaded import LoadedAdapter
from workbench.errors import MethodError
from workbench.explaining import Attention, Decision, answer_text, attend, decide
from workbench.explaining.explanations import LARGEST_MAP, explain_attention
from workbench.store import read_json

TEXT = "goal match the team profit of shares"
VIRTUAL = 3
CELLS = [
    ("text-classification", "lora", "bert", (0, 0)),
    ("text-classification", "full", "bert", (0, 0)),
    ("text-classification", "prefix", "bert", (0, VIRTUAL)),
    ("text-classification", "prompt", "bert", (VIRTUAL, VIRTUAL)),
    ("text-classification", "prefix", "gpt2", (0, VIRTUAL)),
    ("text-classification", "prompt", "llama", (VIRTUAL, VIRTUAL)),
    ("token-classification", "prompt", "bert", (VIRTUAL, VIRTUAL)),
    ("question-answering", "prefix", "bert", (0, VIRTUAL)),
    ("masked-lm", "lora", "bert", (0, 0)),
    ("causal-lm", "prefix", "gpt2", (0, VIRTUAL)),
    ("instruction", "prompt", "llama", (VIRTUAL, VIRTUAL)),
]


def decision_of(adapter: LoadedAdapter, text: str = TEXT) -> Decision:
    pair = QUESTION if adapter.task.spec.name == "question-answering" else None
    answer = answer_text(adapter, text, pair)
    return decide(adapter, text, pair, answer=answer.get("ids", ()))


def plain_load(adapter: LoadedAdapter) -> Any:
    """The export as its model card says to load it, asked for its attention weights."""
    about: Any = read_json(adapter.folder / "workbench.json")
    auto = getattr(transformers, about["auto_class"])
    eager = {"attn_implementation": "eager"}
    if about["kind"] == "full":
        return auto.from_pretrained(adapter.folder, **eager).eval()
    config = AutoConfig.from_pretrained(adapter.folder)
    model = auto.from_pretrained(about["base"], config=config, **eager)
    return PeftModel.from_pretrained(model, adapter.folder).eval()


@pytest.mark.parametrize(("task", "method", "family", "virtual"), CELLS)
def test_maps_are_those_of_a_plain_load(
    adapter: Any, task: str, method: str, family: str, virtual: tuple[int, int]
) -> None:
    asked: LoadedAdapter = adapter(task, method, family)
    decision = decision_of(asked)
    found = attend(asked.model, decision.reading.batch)
    ids = torch.tensor([decision.reading.ids])
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "token_type_ids" in decision.reading.row:
        given["token_type_ids"] = torch.tensor([decision.reading.row["token_type_ids"]])
    with torch.no_grad():
        plain = plain_load(asked)(**given, output_attentions=True).attentions
    assert len(plain) == len(found.layers) == 2
    for mine, theirs in zip(found.layers, plain, strict=True):
        assert torch.allclose(mine, theirs[0], atol=1e-5)
    assert (found.virtual_rows, found.virtual_columns) == virtual
    assert found.layers.shape[2:] == (len(ids[0]) + virtual[0], len(ids[0]) + virtual[1])
    assert torch.allclose(found.layers.sum(dim=-1), torch.tensor(1.0), atol=1e-5)


def test_a_soft_prompt_stands_before_the_text(adapter: Any) -> None:
    """With the prompt's embeddings moved, what changes most is the columns said to be virtual."""
    asked: LoadedAdapter = adapter("text-classification", "prompt", "bert")
    decision = decision_of(asked)
    before = attend(asked.model, decision.reading.batch).layers[0]
    (embedding,) = [p for n, p in asked.model.named_parameters() if "prompt_encoder" in n]
    with torch.no_grad():
        embedding[1] = embedding[1].flip(0)
    after = attend(asked.model, decision.reading.batch).layers[0]
    # Only row and column 1 see another vector in the first layer; the rest of a row is scaled.
    ratio = (after / before)[:, VIRTUAL:]
    others = [c for c in range(ratio.shape[-1]) if c != 1]
    spread = ratio[:, :, others].amax(dim=-1) / ratio[:, :, others].amin(dim=-1)
    assert torch.allclose(spread, torch.tensor(1.0), atol=1e-3)
    assert not torch.allclose(ratio[:, :, 1], ratio[:, :, 0], atol=1e-2)


def test_looking_changes_neither_the_answers_nor_the_attention_in_use(adapter: Any) -> None:
    asked: LoadedAdapter = adapter("text-classification", "lora", "bert")
    before, implementation = asked.predict([TEXT]), asked.model.base_model.config
    used = implementation._attn_implementation
    attend(asked.model, decision_of(asked).reading.batch)
    assert used == implementation._attn_implementation != "eager"
    assert asked.predict([TEXT]) == before


def _by_hand(layers: np.ndarray, given: int) -> np.ndarray:
    """Rollout token by token: how much of every input each position is made of."""
    rows, columns = layers.shape[2:]
    made_of = np.zeros((columns, columns))
    for position in range(columns):
        made_of[position, position] = 1.0
    for heads in layers:
        new = made_of.copy()
        for row in range(rows):
            mixed = np.zeros(columns)
            for column in range(columns):
                mean = sum(head[row, column] for head in heads) / len(heads)
                mixed += 0.5 * mean * made_of[column]
            new[given + row] = mixed + 0.5 * made_of[given + row]
        made_of = new
    return made_of[given:]


@pytest.mark.parametrize("given", [0, 2])
def test_rollout_is_the_product_over_layers(given: int) -> None:
    rng = np.random.default_rng(0)
    weights = rng.random((3, 2, 4, 4 + given))
    weights /= weights.sum(axis=-1, keepdims=True)
    found = Attention(torch.from_numpy(weights), 0, given).rollout()
    assert np.allclose(found, _by_hand(weights, given), atol=1e-12)
    assert np.allclose(found.sum(dim=-1), 1.0)


def test_rollout_of_a_decoder_looks_back_only(adapter: Any) -> None:
    asked: LoadedAdapter = adapter("causal-lm", "prefix", "gpt2")
    found = attend(asked.model, decision_of(asked).reading.batch)
    text = found.rollout()[:, found.virtual_columns :]
    assert torch.equal(text, text.tril()) and (text.diagonal() > 0).all()


def test_the_share_on_virtual_tokens_is_that_of_the_text(adapter: Any) -> None:
    asked: LoadedAdapter = adapter("text-classification", "prompt", "bert")
    found = attend(asked.model, decision_of(asked).reading.batch)
    share = found.virtual_share()
    assert share.shape == (2, 2)
    rows = found.layers[1, 0][VIRTUAL:]
    assert share[1, 0] == pytest.approx(float(rows[:, :VIRTUAL].sum() / len(rows)))


# --- as the page gets it --------------------------------------------------------------------


def test_an_explanation_has_the_map_and_the_base(adapter: Any, zero_shot: Any) -> None:
    cell = ("text-classification", "prefix", "bert")
    asked, base = adapter(*cell), zero_shot(*cell)
    decision = decision_of(asked)
    found = explain_attention(asked, base, decision, layer=0, head=1)
    weights = attend(asked.model, decision.reading.batch).map(0, 1)
    assert np.allclose(found["map"], weights, atol=1e-5)
    assert np.allclose(found["rows"]["adapter"]["attention"], weights[0], atol=1e-5)
    assert (found["layers"], found["heads"], found["layer"], found["head"]) == (2, 2, 0, 1)
    tokens = [token["text"] for token in found["tokens"]]
    assert tokens == ["[CLS]", *TEXT.split(), "[SEP]"]
    assert len(found["rows"]["adapter"]["rollout"]) == len(tokens) + VIRTUAL
    assert len(found["rows"]["base"]["rollout"]) == len(tokens)
    with torch.no_grad():
        bare = transformers.BertModel.from_pretrained(
            read_json(asked.folder / "workbench.json")["base"], attn_implementation="eager"
        )(torch.tensor([decision.reading.ids]), output_attentions=True)
    assert np.allclose(found["rows"]["base"]["attention"], bare.attentions[0][0, 1, 0], atol=1e-5)


def test_there_is_no_layer_beyond_the_last(adapter: Any, zero_shot: Any) -> None:
    cell = ("text-classification", "lora", "bert")
    asked = adapter(*cell)
    for wrong in ({"layer": 2}, {"layer": 0, "head": 2}):
        with pytest.raises(MethodError, match="2 layers of 2 heads"):
            explain_attention(asked, zero_shot(*cell), decision_of(asked), **wrong)


def test_a_long_text_is_shown_around_the_token_that_matters(
    adapter: Any, zero_shot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.explaining.explanations.LARGEST_MAP", 4)
    assert LARGEST_MAP > 4
    cell = ("text-classification", "prefix", "gpt2")  # reads its answer from the last token
    asked = adapter(*cell)
    found = explain_attention(asked, zero_shot(*cell), decision_of(asked))
    assert found["position"] == len(found["tokens"]) - 1
    assert found["first"] == len(found["tokens"]) - 4
    assert [len(found["map"]), len(found["map"][0])] == [4, VIRTUAL + 4]


def test_what_did_not_fit_is_said(adapter: Any, tmp_path: Path) -> None:
    asked: LoadedAdapter = adapter("text-classification", "lora", "bert")
    long = decision_of(asked, " ".join(["goal"] * 60)).reading
    assert long.cut and len(long.ids) == asked.max_length == 24
    assert not decision_of(asked).reading.cut
