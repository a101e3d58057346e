"""Who is in which batch: everyone once, in an order that depends on seed and epoch alone."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from workbench.data.batches import epoch_order, evaluation_order, own_share, pad
from workbench.data.encode import Encoded, encode, tokenisation_fingerprint
from workbench.data.examples import Examples
from workbench.errors import DataError
from workbench.recipe.tasks import TextClassification
from workbench.tasks import make_task

TASK = make_task(TextClassification(name="text-classification"), ("a", "b", "c"))
LENGTHS = np.random.default_rng(3).integers(4, 120, 333)


def encoded_by(tokenizer: Any, examples: Examples, length: int) -> Encoded:
    return encode(examples, TASK.encoder(tokenizer, length), tokenizer)


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


def test_padding_is_on_the_right_and_never_beyond_the_longest(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    texts = ("goal", "goal match player", "the bank of the league market team on goal match")
    encoded = encoded_by(
        tokenizer, Examples(ids=("a", "b", "c"), texts=texts, pairs=None, labels=(0, 1, 2)), 9
    )
    assert encoded.lengths.tolist() == [3, 5, 9]
    assert encoded.truncated == 1
    batch = pad(encoded.rows([1, 2]), tokenizer, int(encoded.lengths.max()))
    assert batch.inputs["input_ids"].shape == (2, 9)  # not 16: 9 is the longest there is
    assert batch.inputs["attention_mask"].sum(1).tolist() == [5, 9]
    assert batch.inputs["input_ids"][0, 5:].tolist() == [0, 0, 0, 0]
    assert batch.tokens == 14
    assert pad(encoded.rows([0, 1]), tokenizer, 9).inputs["input_ids"].shape == (2, 8)


def test_pairs_say_which_text_a_token_is_from(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    pair = Examples(ids=("a",), texts=("goal match",), pairs=("bank",), labels=(0,))
    batch = pad(encoded_by(tokenizer, pair, 16).rows([0]), tokenizer, 6)
    assert batch.inputs["input_ids"].shape == (1, 6)
    assert batch.inputs.get("token_type_ids") is not None
    assert batch.inputs["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1]]


def test_tokens_are_cached_and_the_key_is_the_content(
    tiny_bert: Path,
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    examples = Examples(ids=("a", "b"), texts=("goal goal team", "bank"), pairs=None, labels=(0, 1))
    first = encoded_by(tokenizer, examples, 12)

    def must_not_run(*_: object) -> None:
        raise AssertionError("tokenised again")

    for length in (12, 11):
        encoder = dataclasses.replace(TASK.encoder(tokenizer, length), features=must_not_run)
        if length == 12:
            assert encode(examples, encoder, tokenizer).rows([0, 1]) == first.rows([0, 1])
        else:
            with pytest.raises(AssertionError, match="tokenised again"):
                encode(examples, encoder, tokenizer)
    tokenizer.add_tokens(["team"])
    encoder = dataclasses.replace(TASK.encoder(tokenizer, 12), features=must_not_run)
    with pytest.raises(AssertionError, match="tokenised again"):
        encode(examples, encoder, tokenizer)
    assert tokenisation_fingerprint(tokenizer, 12) != tokenisation_fingerprint(tokenizer, 11)


def test_looking_at_features_does_without_pandas(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes as long to import as steps to dry_run; pyarrow asks for it where it sees lists."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    encoded_by(
        tokenizer,
        Examples(ids=("a", "b"), texts=("goal goal team", "bank"), pairs=None, labels=(0, 1)),
        12,
    )
    (kept,) = (tmp_path / "tokens").iterdir()
    script = (
        "import sys; from pathlib import Path; from workbench.data import encode;"
        f"found = encode._encoded(None, encode._read(Path({str(kept)!r})));"
        "assert len(found.rows([1, 0])) == 2 and len(found.column('input_ids')) == 2;"
        "assert 'pandas' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_kept_tokens_that_are_damaged_are_made_again(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    examples = Examples(ids=("a", "b"), texts=("goal goal team", "bank"), pairs=None, labels=(0, 1))
    first = encoded_by(tokenizer, examples, 12).rows([1, 0])
    (kept,) = (tmp_path / "tokens").iterdir()
    whole = kept.read_bytes()
    ids = whole.index(np.array(first[1]["input_ids"], np.int32).tobytes())
    flipped = whole[:ids] + bytes([whole[ids] ^ 1]) + whole[ids + 1 :]  # another token
    for damaged in (whole[: len(whole) // 2], b"", b"no arrow", flipped):
        kept.unlink()  # the old one is still mapped
        kept.write_bytes(damaged)
        assert encoded_by(tokenizer, examples, 12).rows([1, 0]) == first
        assert list((tmp_path / "tokens").iterdir()) == [kept]


def test_tokens_are_kept_for_the_inputs_that_a_tokenizer_makes(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BERT and DistilBERT share a vocabulary; only BERT reads the segment of a token."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    names = ["input_ids", "attention_mask"]
    distilbert = AutoTokenizer.from_pretrained(tiny_bert, model_input_names=names)
    bert = AutoTokenizer.from_pretrained(
        tiny_bert, model_input_names=["input_ids", "token_type_ids", "attention_mask"]
    )
    examples = Examples(ids=("a",), texts=("goal",), pairs=("bank team",), labels=(0,))
    assert "token_type_ids" not in encoded_by(distilbert, examples, 12).rows([0])[0]
    (row,) = encoded_by(bert, examples, 12).rows([0])
    assert row["token_type_ids"] == bert("goal", "bank team")["token_type_ids"] == [0] * 3 + [1] * 3


def test_tokens_are_kept_for_the_side_that_is_cut(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    examples = Examples(ids=("a",), texts=("goal bank team match",), pairs=None, labels=(0,))
    for side in ("right", "left"):
        tokenizer.truncation_side = side
        (row,) = encoded_by(tokenizer, examples, 4).rows([0])
        plain = tokenizer(examples.texts[0], truncation=True, max_length=4)["input_ids"]
        assert row["input_ids"] == plain


@pytest.mark.parametrize("cached", [True, False])
def test_examples_that_a_task_refuses_are_named(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    encoder = TASK.encoder(tokenizer, 12)

    def picky(columns: Any) -> Any:
        if any(text == "bank" for text in columns["text"]):
            raise DataError("no bank", fix="remove it")
        return encoder.features(columns)

    examples = Examples(ids=("x.csv:2", "x.csv:3"), texts=("goal", "bank"), labels=(0, 1))
    refusing = dataclasses.replace(encoder, features=picky)
    with pytest.raises(DataError, match=r"no bank, 1 of 2 rows: x.csv:3 \('bank'\)") as error:
        encode(examples, refusing, tokenizer, cached=cached)
    assert error.value.fix == "remove it"
    with pytest.raises(DataError, match="^no bank\n"):
        encode(dataclasses.replace(examples, ids=("", "")), refusing, tokenizer, cached=cached)
