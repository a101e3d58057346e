"""Who is in which batch: everyone once, in an order that depends on seed and epoch alone."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from workbench.data.batches import collate, epoch_order, evaluation_order, own_share
from workbench.data.encode import encode, tokenisation_fingerprint
from workbench.data.examples import Examples

LENGTHS = np.random.default_rng(3).integers(4, 120, 333)


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_every_example_exactly_once(epoch: int) -> None:
    batches = epoch_order(LENGTHS, 16, seed=1, epoch=epoch)
    assert sorted(itertools.chain(*batches)) == list(range(333))
    assert sorted(map(len, batches), reverse=True)[:20] == [16] * 20
    assert batches == epoch_order(LENGTHS, 16, seed=1, epoch=epoch)
    assert batches != epoch_order(LENGTHS, 16, seed=2, epoch=epoch)
    assert batches != epoch_order(LENGTHS, 16, seed=1, epoch=epoch + 1)


def test_similar_lengths_share_a_batch_and_the_longest_come_first() -> None:
    batches = epoch_order(LENGTHS, 16, seed=0, epoch=0)
    padded = sum(len(b) * LENGTHS[b].max() for b in batches)
    shuffled = np.random.default_rng(0).permutation(333)
    unsorted = sum(
        len(b) * LENGTHS[b].max() for b in (shuffled[i : i + 16] for i in range(0, 333, 16))
    )
    assert padded < 0.7 * unsorted
    costs = [len(b) * LENGTHS[b].max() for b in batches]
    assert min(costs[:2]) >= max(costs[2:])


@pytest.mark.parametrize("processes", [1, 2, 3, 20])
def test_shares_are_disjoint_and_complete(processes: int) -> None:
    for batch in evaluation_order(LENGTHS, 16):
        shares = [own_share(batch, p, processes) for p in range(processes)]
        assert sorted(itertools.chain(*shares)) == sorted(batch)


def test_collate_pads_on_the_right_and_never_beyond_the_longest(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    texts = ("goal", "goal match player", "the bank of the league market team on goal match")
    encoded = encode(Examples(("a", "b", "c"), texts, None, (0, 1, 2)), tokenizer, 9)
    assert encoded.lengths.tolist() == [3, 5, 9]
    assert encoded.truncated == 1
    batch = collate(encoded, [1, 2], tokenizer)
    assert batch.inputs["input_ids"].shape == (2, 9)  # not 16: 9 is the longest there is
    assert batch.inputs["attention_mask"].sum(1).tolist() == [5, 9]
    assert batch.inputs["input_ids"][0, 5:].tolist() == [0, 0, 0, 0]
    assert batch.tokens == 14
    assert collate(encoded, [0, 1], tokenizer).inputs["input_ids"].shape == (2, 8)


def test_pairs_say_which_text_a_token_is_from(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    pair = Examples(("a",), ("goal match",), ("bank",), (0,))
    batch = collate(encode(pair, tokenizer, 16), [0], tokenizer)
    assert batch.inputs["input_ids"].shape == (1, 6)
    assert batch.inputs.get("token_type_ids") is not None
    assert batch.inputs["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1]]


def test_tokens_are_cached_and_the_key_is_the_content(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.data import encode as room

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    examples = Examples(("a", "b"), ("goal goal team", "bank"), None, (0, 1))
    first = encode(examples, tokenizer, 12)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("tokenised again")

    monkeypatch.setattr(room, "_tokenise", lambda *a, **k: fail)
    again = encode(examples, tokenizer, 12)
    assert again.rows([0, 1]) == first.rows([0, 1])
    with pytest.raises(AssertionError, match="tokenised again"):
        encode(examples, tokenizer, 11)
    assert tokenisation_fingerprint(tokenizer, 12) != tokenisation_fingerprint(tokenizer, 11)
