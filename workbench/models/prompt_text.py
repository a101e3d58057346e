"""A text as the start of virtual tokens."""

from __future__ import annotations

from workbench.models.base import Base


def prompt_token_ids(base: Base, text: str, count: int) -> list[int]:
    """Token ids to start ``count`` virtual tokens from: a text with its special tokens, repeated.

    The tokenizer's special tokens are kept because an encoder's classification head reads the
    first position: with a soft prompt that is virtual token 0, so it has to start as ``[CLS]``.
    (peft 0.21 pools it without saying so.)
    """
    ids = list(base.tokenizer(text, truncation=False)["input_ids"])
    special = base.tokenizer.cls_token_id
    first, rest = ([ids[0]], ids[1:]) if special is not None and ids[0] == special else ([], ids)
    rest = rest or ids
    repeated = rest * (count // len(rest) + 1)
    return [*first, *repeated][:count]
