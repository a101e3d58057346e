"""What has to stand before a word and after a question, for a tokenizer to read them apart."""

from __future__ import annotations

import json
from itertools import takewhile

from transformers import PreTrainedTokenizerBase


def before_word(tokenizer: PreTrainedTokenizerBase) -> str:
    """What makes a word of a list one of a sentence: nothing, or a space.

    The byte-level BPE of GPT-2, RoBERTa and most later decoders: without the space they read
    words as if these were written together. transformers asks for ``add_prefix_space=True`` when
    the tokenizer is loaded (and since version 5 does not complain without); a space put before
    each word gives the same tokens and leaves the tokenizer alone.
    """
    definition = json.loads(tokenizer.backend_tokenizer.to_str())["pre_tokenizer"] or {}
    steps = definition.get("pretokenizers", [definition])
    byte_level = [step for step in steps if step.get("type") == "ByteLevel"]
    return " " if any(not step["add_prefix_space"] for step in byte_level) else ""


def after_question(tokenizer: PreTrainedTokenizerBase) -> str:
    """What stands between question and context: nothing, or a new line.

    Tokenizers of encoders put a special token there ([SEP]); those of GPT-2 and most decoders
    would write the context on to the question's last word.
    """
    pieces = tokenizer("a", "b").encodings[0].sequence_ids
    before_context = list(takewhile(lambda text: text != 1, pieces))
    return "" if before_context and before_context[-1] is None else "\n"
