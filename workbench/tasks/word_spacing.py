"""What has to stand before a word and after a question, for a tokenizer to read them apart."""

from itertools import takewhile

from transformers import PreTrainedTokenizerBase

PROBES = (("a", "b"), ("the", "of"), ("1", "2"))
"""Words that a tokenizer is asked about; some may be unknown to it, and then say nothing."""


def before_word(tokenizer: PreTrainedTokenizerBase) -> str:
    """What makes a word of a list one of a sentence: nothing, or a space.

    Some tokenizers mark the space before a word as a part of it (the byte-level BPE of GPT-2,
    RoBERTa and most later decoders, the ``▁`` of Gemma's normaliser): without the space they read
    words of a list as if these were written together. transformers asks for
    ``add_prefix_space=True`` when some of them are loaded (and since version 5 does not complain
    without); a space put before each word gives the same tokens and leaves the tokenizer alone.
    """
    for space in ("", " "):
        if all(_as_in_a_text(tokenizer, space, *words) for words in PROBES):
            return space
    return ""


def _as_in_a_text(tokenizer: PreTrainedTokenizerBase, space: str, first: str, second: str) -> bool:
    """Whether the second word of a list gets the tokens that it has in a text."""
    text = tokenizer(f"{first} {second}", add_special_tokens=False).tokens()
    alone = tokenizer(first, add_special_tokens=False).tokens()
    listed = tokenizer(
        [space + first, space + second], is_split_into_words=True, add_special_tokens=False
    )
    tokens = [t for t, word in zip(listed.tokens(), listed.word_ids(), strict=True) if word == 1]
    return bool(text[: len(alone)] == alone and text[len(alone) :] == tokens)


def after_question(tokenizer: PreTrainedTokenizerBase) -> str:
    """What stands between question and context: nothing, or a new line.

    Tokenizers of encoders put a special token there ([SEP]); those of GPT-2 and most decoders
    would write the context on to the question's last word.
    """
    pieces = tokenizer("a", "b").encodings[0].sequence_ids
    before_context = list(takewhile(lambda text: text != 1, pieces))
    return "" if before_context and before_context[-1] is None else "\n"
