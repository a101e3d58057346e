"""Windows of a long context, beside those that a tokenizer makes."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import tokenizers
from transformers import AutoTokenizer

from workbench.tasks.answer_spans import windows

WORDS = "the team won the match in may and the player of the league is a film star".split()


@pytest.mark.skipif(
    tokenizers.__version__ in ("0.23.1", "0.23.2"), reason="it loses the last window"
)
@pytest.mark.parametrize("words", [0, 1, 10, 11, 12, 14, 15, 18, 19, 40])
@pytest.mark.parametrize("stride", [0, 1, 4, 9])
def test_windows_are_those_that_the_tokenizer_makes(
    tiny_bert: Path, words: int, stride: int
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    context = " ".join(itertools.islice(itertools.cycle(WORDS), words))
    theirs = tokenizer(
        "goal match",
        context,
        truncation="only_second",
        max_length=16,
        stride=stride,
        return_overflowing_tokens=True,
    )["input_ids"]
    whole = tokenizer("goal match", context).encodings[0]
    ours = [[whole.ids[i] for i in w] for w in windows(whole.sequence_ids, 16, stride)]
    assert ours == theirs
