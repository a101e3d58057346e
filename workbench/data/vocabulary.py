"""How many tokens of the texts a tokenizer knows."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from workbench.data.encode import Encoded
from workbench.errors import DataError

REFUSED, NOTED = 0.5, 0.05
"""Shares of unknown tokens: above the first nothing can be learned, from the second on a run says
so. Texts in the language of the model have below 0.01 on BERT's tokenizers."""


def unknown_words(encoded: Encoded, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """A note where many tokens of a split are unknown to the tokenizer.

    Raises:
        DataError: when more than half of them are.
    """
    share = _unknown_share(encoded, tokenizer)
    if share < NOTED:
        return []
    what = (
        f"{share:.0%} of the training tokens are unknown to the tokenizer ({tokenizer.unk_token})"
    )
    if share <= REFUSED:
        return [what]
    raise DataError(
        what,
        where="model.source",
        why="the model reads the same token for all of them, and learns nothing from it",
        fix="check that data.text names the texts, that the folder of the model has its own "
        "tokenizer files, and that the model knows the language of the texts",
    )


def _unknown_share(encoded: Encoded, tokenizer: PreTrainedTokenizerBase) -> float:
    """Of the tokens that are words; 0 where the tokenizer has no token for what it does not know,
    or uses another one for it, as GPT-2's names its end token."""
    unknown = tokenizer.unk_token_id
    others = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id}
    if unknown is None or unknown in others:
        return 0.0
    marks = np.array(sorted(set(tokenizer.all_special_ids) - {unknown}))
    words = missing = 0
    for chunk in encoded.table["input_ids"].chunks:
        ids = _flat(chunk)
        words += int((~np.isin(ids, marks)).sum())
        missing += int((ids == unknown).sum())
    return missing / words if words else 0.0


def refuse_tokens_without_rows(
    splits: Iterable[Encoded], tokenizer: PreTrainedTokenizerBase, rows: int | None
) -> None:
    """Refuses token ids of texts that the word embedding has no row for.

    Tokens of the tokenizer that no text has do no harm, as Gemma 3's token for images.

    Args:
        rows: of the word embedding; None where it grows with the tokenizer.

    Raises:
        DataError: with both sizes and the first such token.
    """
    for encoded in splits if rows is not None else ():
        for chunk in encoded.table["input_ids"].chunks:
            ids = _flat(chunk)
            beyond = ids[ids >= rows]
            if len(beyond):
                token = tokenizer.convert_ids_to_tokens(int(beyond[0]))
                raise DataError(
                    f"the tokenizer has {len(tokenizer)} tokens, the model's word embedding {rows} "
                    f"rows: {token!r}, which stands in the texts, has none",
                    where="model.source",
                    why="tokens were added to the tokenizer and not to the model",
                    fix="set model.resize_embeddings: true, which adds rows and trains them (with "
                    "full or lora), or use the tokenizer that the model was trained with",
                )


def _flat(chunk: Any) -> np.ndarray:
    flat = chunk.flatten()
    # Not to_numpy, which imports pandas.
    return np.frombuffer(flat.buffers()[1], np.int32, len(flat), 4 * flat.offset)
