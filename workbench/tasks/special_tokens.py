"""A tokenizer's special tokens, written out in texts: they are read as tokens, not as text."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerBase

from workbench.data.examples import ROLES, Data, Examples
from workbench.data.rows import Column


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """How special tokens are written, the longest first."""
    added = tokenizer.added_tokens_decoder.values()
    found = {*tokenizer.all_special_tokens, *(str(token) for token in added if token.special)}
    return sorted(filter(str.strip, found), key=lambda token: (-len(token), token))


def without_ends(text: str, ends: Sequence[str]) -> str:
    """A text without the end tokens that it ends with."""
    while True:
        stripped = text.rstrip()
        end = next((end for end in ends if stripped.endswith(end)), None)
        if end is None:
            return text
        text = stripped.removesuffix(end)


def special_token_note(data: Data, tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """A note on rows in which special tokens are written out.

    Raises:
        DataError: when there is nothing else in a text; rows are named.
    """
    names = special_tokens(tokenizer)
    _refuse_nothing_else(data, [name for name in names if not _is_a_word(name, tokenizer)])
    begins = {name[:2] for name in names}  # few, where some tokenizers have hundreds of names
    rows, counts = 0, Counter[str]()
    for role in ROLES:
        for texts in _texts(getattr(data, role)):
            texts = [text for text in texts if any(begin in text for begin in begins)]
            found = {name for name in names for text in texts if name in text}
            rows, counts = rows + bool(found), counts + Counter(found)
    if rows:
        shown = ", ".join(f"{name} in {count:,}" for name, count in counts.most_common(5))
        yield (
            f"{rows:,} rows have special tokens of the tokenizer in their text ({shown}): the "
            "model reads them as these tokens, not as text."
        )


def _is_a_word(name: str, tokenizer: PreTrainedTokenizerBase) -> bool:
    """True for the token of unknown words, as long as it is not (as in GPT-2) the end token."""
    return bool(name == tokenizer.unk_token and name != tokenizer.eos_token)


def _refuse_nothing_else(data: Data, names: Sequence[str]) -> None:
    each = "|".join([*map(re.escape, names), r"\s"])
    nothing = re.compile(f"(?:{each})*")
    for role in ROLES:
        examples: Examples = getattr(data, role)
        Column(where=role, ids=examples.ids, values=examples.texts).refuse(
            lambda text: nothing.fullmatch(text) is not None,
            "a text of special tokens alone",
            why="there is nothing to read in it, and its score means nothing",
            fix="remove these rows",
        )


def _texts(examples: Examples) -> Iterator[list[str]]:
    """All that is tokenised of each row."""
    for index, text in enumerate(examples.texts):
        texts = [text]
        if examples.pairs is not None:
            texts.append(examples.pairs[index])
        if isinstance(label := examples.labels[index], str):
            texts.append(label)
        for part in examples.parts[index] if examples.parts is not None else ():
            texts += [part] if isinstance(part, str) else list(part)
        yield texts
