"""The longest text that is let through is the longest that the model reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from tests.architectures import save_architecture
from workbench.errors import MethodError
from workbench.models import Base, check_positions

# Those whose positions are learned, so that there is a last one.
LEARNED = ["BERT", "RoBERTa", "CamemBERT", "DistilBERT", "ALBERT", "DeBERTa", "MPNet", "MobileBERT",
           "Longformer", "BigBird", "GPT-2", "GPT-Neo", "OPT"]  # fmt: skip


@pytest.mark.parametrize("name", LEARNED)
def test_one_token_more_than_fits_is_refused(name: str, tmp_path: Path) -> None:
    save_architecture(name, tmp_path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    base = Base(
        model=model,
        tokenizer=None,  # type: ignore[arg-type]
        config=model.config,
        location="",
        public_name=name,
        revision=None,
    )

    def reads(length: int) -> bool:
        ids = torch.full((1, length), 5)
        try:
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
        except (RuntimeError, IndexError):
            return False
        return True

    longest = max(length for length in range(60, 68) if reads(length))
    check_positions(base, longest - 4, 4)
    with pytest.raises(MethodError) as said:
        check_positions(base, longest - 3, 4)
    assert said.value.where == "model.max_length"
    assert f"set model.max_length to {longest - 4} or less" in said.value.fix
