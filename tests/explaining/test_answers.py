"""What a person is shown is what the adapter predicts, and nothing that the base made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.explaining.test_attention import TEXT, plain_load
from tests.small_recipes import QUESTION
from workbench.adapters.loaded import LoadedAdapter, load_adapter, resident_bytes
from workbench.errors import UsageError
from workbench.explaining import Resident, answer_text, decide, encode_text
from workbench.store import read_json, write_json

LONG = " ".join(["goal match the team"] * 15)


def test_labels_have_the_probabilities_of_the_logits(adapter: Any) -> None:
    asked: LoadedAdapter = adapter("text-classification", "prefix", "bert")
    (expected,) = asked.predict([TEXT])
    found = answer_text(asked, TEXT)
    assert (found["prediction"], found["score"]) == (expected["prediction"], expected["score"])
    shares = torch.tensor(expected["logits"]).softmax(0).tolist()
    assert [row["probability"] for row in found["labels"]] == pytest.approx(shares, abs=1e-6)
    assert [row["label"] for row in found["labels"]] == ["business", "sport", "tech"]
    assert found["tokens"] == len(TEXT.split()) + 2 and not found["cut"]
    assert answer_text(asked, LONG)["cut"]


def test_tags_stand_at_their_words(adapter: Any) -> None:
    asked: LoadedAdapter = adapter("token-classification", "prompt", "bert")
    (expected,) = asked.predict([TEXT])
    found = answer_text(asked, TEXT)
    assert [row["word"] for row in found["words"]] == TEXT.split()
    assert " ".join(row["tag"] for row in found["words"]) == expected["prediction"]
    assert found["score"] == pytest.approx(expected["score"])
    cut = answer_text(asked, LONG)
    assert cut["cut"] and cut["words"][-1]["probability"] is None
    assert decide(asked, TEXT, choice=2).about.endswith("“the”")
    with pytest.raises(UsageError, match="cut off"):
        decide(asked, LONG, choice=55)


def test_a_span_is_marked_where_it_stands(adapter: Any) -> None:
    asked: LoadedAdapter = adapter("question-answering", "prefix", "bert")
    (expected,) = asked.predict([LONG], [QUESTION])
    found = answer_text(asked, LONG, QUESTION)
    assert LONG[found["start"] : found["end"]].strip() == found["prediction"]
    assert (found["prediction"], found["score"]) == (expected["prediction"], expected["score"])
    assert found["windows"] > 1
    decision = decide(asked, LONG, QUESTION)
    assert decision.about == found["prediction"]
    spelled = " ".join(t.text for t in decision.reading.tokens[decision.position :])
    assert spelled.startswith(found["prediction"].split()[0])
    with pytest.raises(UsageError, match="no question"):
        answer_text(asked, TEXT)


def test_masks_have_candidates(adapter: Any) -> None:
    asked: LoadedAdapter = adapter("masked-lm", "lora", "bert")
    text = "goal [MASK] the team [MASK] shares"
    found = answer_text(asked, text)
    (expected,) = asked.predict([text])
    assert found["prediction"] == expected["prediction"] and not found["drawn"]
    assert len(found["masks"]) == 2
    with torch.no_grad():
        ids = asked.tokenizer(text, return_tensors="pt")
        shares = plain_load(asked)(**ids).logits[0, 2].softmax(-1)
    best = shares.topk(5)
    words = asked.tokenizer.convert_ids_to_tokens(best.indices.tolist())
    candidates = found["masks"][0]["candidates"]
    assert [c["word"] for c in candidates] == words
    assert [c["probability"] for c in candidates] == pytest.approx(best.values.tolist(), abs=1e-5)
    assert answer_text(asked, TEXT)["drawn"]


@pytest.mark.parametrize("method", ["lora", "prompt"])
def test_a_text_is_told_while_it_is_written(adapter: Any, method: str) -> None:
    asked: LoadedAdapter = adapter("instruction", method, "llama")
    told: list[str] = []
    found = answer_text(asked, TEXT, on_token=lambda piece, _: told.append(piece))
    (expected,) = asked.predict([TEXT])
    assert found["prediction"] == expected["prediction"] == "".join(told).strip()
    assert len(told) == len(found["ids"]) == len(found["pieces"]) > 0
    decision = decide(asked, TEXT, answer=found["ids"])
    with torch.no_grad():
        prompt = torch.tensor([decision.reading.ids])
        logits = plain_load(asked)(input_ids=prompt, attention_mask=torch.ones_like(prompt)).logits
    shares = logits[0, -1].softmax(-1)
    assert int(shares.argmax()) == found["ids"][0]
    assert found["pieces"][0]["probability"] == pytest.approx(float(shares.max()), abs=1e-5)


def test_what_hears_of_a_token_can_end_the_writing(adapter: Any) -> None:
    asked: LoadedAdapter = adapter("instruction", "lora", "llama")

    def enough(piece: str, probability: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer_text(asked, TEXT, on_token=enough)


def test_a_text_is_gone_on_with(adapter: Any) -> None:
    asked: LoadedAdapter = adapter("causal-lm", "prefix", "gpt2")
    found = answer_text(asked, "goal match")
    assert found["kind"] == "text" and 0 < len(found["ids"]) <= 40


def test_nothing_is_answered_to_nothing(adapter: Any) -> None:
    with pytest.raises(UsageError, match="nothing to read"):
        encode_text(adapter("masked-lm", "lora", "bert"), "")


# --- the base model (zero-shot) -------------------------------------------------------------


def test_the_base_answers_zero_shot_as_it_does_plainly(adapter: Any, zero_shot: Any) -> None:
    cell = ("instruction", "prompt", "llama")
    base = zero_shot(*cell)
    assert base.answers and base.adapter.virtual_tokens == 0
    about: Any = read_json(base.adapter.folder / "workbench.json")
    plain = transformers.AutoModelForCausalLM.from_pretrained(about["base"])
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert torch.allclose(base.adapter.model(ids).logits, plain(ids).logits, atol=1e-6)


def test_a_base_with_a_new_head_is_told_apart(zero_shot: Any) -> None:
    base = zero_shot("text-classification", "lora", "bert")
    assert not base.answers
    assert any("classifier" in name for name in base.at_random)


# --- resident -------------------------------------------------------------------------------


def test_resident_adapters_share_their_base(trained: Any) -> None:
    cells = [("text-classification", method, "bert") for method in ("lora", "prefix", "prompt")]
    resident = Resident()
    together = [resident.adapter(trained(*cell)) for cell in cells]
    zero_shot = [resident.zero_shot(trained(*cell)) for cell in cells]
    assert zero_shot[0] is zero_shot[1] is zero_shot[2]
    alone = resident_bytes([load_adapter(trained(*cells[0]))])
    assert resident.bytes < 1.5 * alone
    for cell, adapter in zip(cells, together, strict=True):
        assert adapter.predict([TEXT]) == load_adapter(trained(*cell)).predict([TEXT])
        assert resident.adapter(trained(*cell)) is adapter


def test_the_one_not_asked_for_longest_makes_room(trained: Any) -> None:
    first, second, third = (
        trained("text-classification", method, "bert") for method in ("lora", "prefix", "prompt")
    )
    resident = Resident(limit=2)
    kept = resident.adapter(first)
    resident.zero_shot(second)
    resident.adapter(second)
    resident.adapter(first)
    resident.adapter(third)
    assert resident.adapter(first) is kept
    assert [Path(folder).parent.name for folder in resident.folders] == [third.name, first.name]


def test_what_was_exported_anew_is_loaded_anew(trained: Any, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "adapter"
    shutil.copytree(trained("text-classification", "lora", "bert") / "adapter", folder)
    resident = Resident()
    before = resident.adapter(folder)
    write_json(folder / "workbench.json", read_json(folder / "workbench.json"))
    assert resident.adapter(folder) is not before
