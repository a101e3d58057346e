"""Tags for words: alignment, losses and answers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_adapted import (
    METHOD_CASES,
    adapt,
    assert_padding_changes_nothing,
    byte_level,
    losses_of,
    whole_batch,
)
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerFast

from workbench.data.batches import IGNORED
from workbench.data.encode import Encoded, encode
from workbench.data.examples import Examples
from workbench.errors import DataError
from workbench.recipe.tasks import TokenClassification
from workbench.tasks.base import Predicted
from workbench.tasks.token_classification import TokenClassificationTask
from workbench.tasks.word_spacing import before_word

TAGS = ("O", "B-ORG", "I-ORG", "B-PER")
SENTENCES = (
    ("the market-firm is in profit", (0, 1, 0, 0, 0)),
    ("bank", (1,)),
    ("the star player of the-team-league and bank (firm) vote", (0, 3, 0, 0, 1, 0, 1, 2, 0)),
    ("star award", (3, 0)),
)


def task(tags: tuple[str, ...] = TAGS) -> TokenClassificationTask:
    return TokenClassificationTask(TokenClassification(name="token-classification"), tags)


def examples(sentences: Any = SENTENCES) -> Examples:
    texts = tuple(text for text, _ in sentences)
    return Examples(
        ids=tuple(map(str, range(len(texts)))),
        texts=texts,
        pairs=None,
        labels=tuple(tags for _, tags in sentences),
        parts=tuple(tuple(text.split()) for text in texts),
    )


def encoded_for(folder: Path, max_length: int = 32, sentences: Any = SENTENCES) -> Encoded:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return encode(examples(sentences), task().encoder(tokenizer, max_length), tokenizer)


def saying(encoded: Encoded, tags: dict[int, int], count: int = len(TAGS)) -> Predicted:
    """Logits that give each token a tag by its id, and O to all others."""
    values = [
        np.eye(count, dtype=np.float32)[[tags.get(i, 0) for i in ids]] * 9
        for ids in encoded.column("input_ids")
    ]
    zeros = np.zeros(len(values))
    return Predicted(zeros, zeros, values)


# --- alignment ------------------------------------------------------------------------------


def test_the_first_piece_of_each_word_has_its_tag(tiny_bert: Path) -> None:
    encoded = encoded_for(tiny_bert)
    tokens = AutoTokenizer.from_pretrained(tiny_bert).convert_ids_to_tokens
    row = encoded.rows([2])[0]
    labelled = [
        (token, label)
        for token, label in zip(tokens(row["input_ids"]), row["labels"], strict=True)
        if label != IGNORED
    ]
    assert labelled == [
        ("the", 0), ("star", 3), ("player", 0), ("of", 0), ("the", 1), ("and", 0), ("bank", 1),
        ("[UNK]", 2), ("vote", 0),
    ]  # fmt: skip
    assert row["labels"][0] == row["labels"][-1] == IGNORED  # [CLS] and [SEP]
    assert len(row["labels"]) == len(row["input_ids"]) == 17  # "the-team-league", "(firm)" are 8
    assert task().weight(row) == 9
    assert encoded.truncated == 0


def test_byte_level_tokens_are_those_of_add_prefix_space() -> None:
    """What transformers gives for a tokenizer loaded with ``add_prefix_space=True``."""
    words = [["Clubs", "in", "São", "Paulo"], ["Paulo", "in", "2026"]]
    known = (" in", " Paulo", "Paulo", "Clubs")
    tokenizer = byte_level(*known)
    definition = tokenizer.backend_tokenizer.to_str()
    rows = tuple((" ".join(w), tuple(range(len(w)))) for w in words)
    encoded = encode(examples(rows), task().encoder(tokenizer, 32), tokenizer)

    spaced = byte_level(*known, add_prefix_space=True)
    theirs = spaced(words, is_split_into_words=True)
    assert encoded.column("input_ids") == theirs["input_ids"]
    glued = tokenizer(words, is_split_into_words=True)
    assert theirs["input_ids"] != glued["input_ids"]  # the silent mistake
    for index, row in enumerate(encoded.rows([0, 1])):
        assert [label for label in row["labels"] if label != IGNORED] == [*range(len(words[index]))]
        assert row["words"] == row["labels"]  # here the tags are the words' positions
    assert tokenizer.backend_tokenizer.to_str() == definition


def marking_spaces(*known: str) -> PreTrainedTokenizerFast:
    """Spaces become a part of words in the normaliser, as Gemma has it."""
    characters = sorted({*"▁abcdefghijklmnopqrstuvwxyz0123456789", *"".join(known)})
    vocabulary = {token: i for i, token in enumerate(["<unk>", *characters])}
    merges = []
    for word in known:
        for end in range(2, len(word) + 1):
            if word[:end] not in vocabulary:
                vocabulary[word[:end]] = len(vocabulary)
                merges.append((word[: end - 1], word[end - 1]))
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")


def test_words_of_a_tokenizer_that_marks_spaces_are_those_of_the_text() -> None:
    tokenizer = marking_spaces("▁visited", "▁rome")
    encoded = encode(
        examples((("alice visited rome", (0, 0, 1)),)), task().encoder(tokenizer, 32), tokenizer
    )
    (row,) = encoded.rows([0])
    tokens = tokenizer.convert_ids_to_tokens(row["input_ids"])
    assert tokens[-2:] == tokenizer.tokenize("alice visited rome")[-2:] == ["▁visited", "▁rome"]
    assert "".join(tokens) == "▁alice▁visited▁rome"
    assert row["words"][-2:] == [1, 2] and row["labels"][-2:] == [0, 1]


def metaspace(scheme: str) -> PreTrainedTokenizerFast:
    """Llama's, T5's and XLM-RoBERTa's way: the mark is put before every word of a list."""
    vocabulary = {"<unk>": 0, "▁": 1, **{c: i + 2 for i, c in enumerate("abcdefgho123t")}}
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")


@pytest.mark.parametrize(
    ("tokenizer", "space"),
    [
        (byte_level(" in"), " "),
        (byte_level(" in", add_prefix_space=True), ""),
        (marking_spaces("▁rome"), " "),
        (metaspace("always"), ""),
        (metaspace("first"), ""),
        (metaspace("never"), " "),
    ],
)
def test_a_tokenizer_is_asked_what_stands_before_a_word(tokenizer: Any, space: str) -> None:
    assert before_word(tokenizer) == space


def test_other_tags_are_not_taken_from_the_cache(tiny_bert: Path) -> None:
    first = encoded_for(tiny_bert, sentences=(("bank vote", (1, 0)),))
    second = encoded_for(tiny_bert, sentences=(("bank vote", (2, 3)),))
    assert first.rows([0])[0]["input_ids"] == second.rows([0])[0]["input_ids"]
    assert first.rows([0])[0]["labels"] == [IGNORED, 1, 0, IGNORED]
    assert second.rows([0])[0]["labels"] == [IGNORED, 2, 3, IGNORED]


# --- losses and values ----------------------------------------------------------------------


@pytest.mark.parametrize("family", ["tiny_bert", "tiny_gpt2"])
def test_loss_is_transformers_own(family: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(family)
    encoded, this = encoded_for(folder), task()
    adapted = adapt(this, folder, "full")
    assert isinstance(adapted.model, AutoModelForTokenClassification._model_mapping[
        type(adapted.model.config)
    ])  # fmt: skip
    batch = whole_batch(adapted, this, encoded)
    width = batch.inputs["input_ids"].shape[1]
    labels = torch.tensor(
        [row["labels"] + [-100] * (width - len(row["labels"])) for row in batch.rows]
    )
    theirs = adapted.model(**batch.inputs, labels=labels).loss
    ours = losses_of(adapted, this, batch).sum() / sum(map(this.weight, batch.rows))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


@pytest.mark.parametrize("family", ["tiny_bert", "tiny_gpt2"])
def test_soft_prompt_loss_is_the_hand_shifted_one(
    family: str, request: pytest.FixtureRequest
) -> None:
    """Labels preceded by -100 for each virtual token; as they are, PEFT fails on them."""
    folder = request.getfixturevalue(family)
    encoded, this = encoded_for(folder), task()
    adapted = adapt(this, folder, "prompt")
    batch = whole_batch(adapted, this, encoded)
    width = batch.inputs["input_ids"].shape[1]
    labels = torch.tensor(
        [row["labels"] + [-100] * (width - len(row["labels"])) for row in batch.rows]
    )
    with pytest.raises(ValueError, match="batch_size"):
        adapted.model(**batch.inputs, labels=labels)
    shifted = torch.cat([torch.full((len(labels), adapted.virtual_tokens), -100), labels], dim=1)
    logits = adapted.model(**batch.inputs).logits
    assert logits.shape[1] == width + adapted.virtual_tokens
    theirs = F.cross_entropy(logits.flatten(0, 1), shifted.flatten())
    ours = losses_of(adapted, this, batch).sum() / sum(map(this.weight, batch.rows))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    ours.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapted.trainable().values())


@pytest.mark.parametrize("family", ["tiny_bert", "tiny_gpt2"])
@pytest.mark.parametrize("case", METHOD_CASES)
def test_padding_changes_nothing(case: str, family: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(family)
    this = task()
    assert_padding_changes_nothing(adapt(this, folder, case), this, encoded_for(folder))


# --- answers --------------------------------------------------------------------------------


def test_answers_are_one_tag_a_word(tiny_bert: Path) -> None:
    encoded, this = encoded_for(tiny_bert), task()
    vocabulary = AutoTokenizer.from_pretrained(tiny_bert).get_vocab()
    # "market" and "team" are first and later piece; the later one must not count.
    predicted = saying(encoded, {vocabulary["market"]: 1, vocabulary["star"]: 3,
                                 vocabulary["team"]: 2})  # fmt: skip
    answers = this.answers(encoded, predicted)
    assert answers == [
        ["O", "B-ORG", "O", "O", "O"],
        ["O"],
        ["O", "B-PER", *["O"] * 7],
        ["B-PER", "O"],
    ]
    table = this.table(encoded, predicted, answers)
    assert table["prediction"][3] == "B-PER O"
    assert table["label"][0] == "O B-ORG O O O"
    assert table["text"][1] == "bank"
    sure = math.exp(9) / (math.exp(9) + 3)
    assert table["score"] == pytest.approx([sure] * 4)
    assert this.references(encoded)[1] == ["B-ORG"]


def test_words_cut_off_are_counted_and_lie_outside(tiny_bert: Path) -> None:
    encoded, this = encoded_for(tiny_bert, max_length=6), task()
    assert encoded.truncated == 2
    vocabulary = AutoTokenizer.from_pretrained(tiny_bert).get_vocab()
    answers = this.answers(encoded, saying(encoded, {vocabulary["player"]: 2}))
    assert answers[2] == ["O", "O", "I-ORG", *["O"] * 6]
    assert this.weight(encoded.rows([2])[0]) == 4


def test_without_an_outside_tag_the_commonest_stands_in(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    this = task(("DET", "NOUN", "VERB", "ADJ"))
    encoded = encode(examples(), this.encoder(tokenizer, 6), tokenizer)
    vocabulary = tokenizer.get_vocab()
    tags = {vocabulary[word]: 1 for word in ("star", "player")} | {vocabulary["of"]: 2}
    assert this.answers(encoded, saying(encoded, tags))[2] == [
        "DET", "NOUN", "NOUN", "VERB", *["NOUN"] * 5
    ]  # fmt: skip


def test_a_text_from_outside_needs_no_tags(tiny_bert: Path) -> None:
    this = task()
    asked = this.question("  the star\nvote ", None)
    assert asked.parts == (("the", "star", "vote"),)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    encoded = encode(asked, this.encoder(tokenizer, 32), tokenizer, cached=False)
    assert set(encoded.rows([0])[0]["labels"]) == {IGNORED}
    vocabulary = tokenizer.get_vocab()
    predicted = saying(encoded, {vocabulary["star"]: 3})
    answers = this.answers(encoded, predicted)
    assert answers == [["O", "B-PER", "O"]]
    table = this.table(encoded, predicted, answers)
    assert (table["label"], table["prediction"]) == ([""], ["O B-PER O"])
    with pytest.raises(DataError, match="no words to tag"):
        this.question(" \n", None)


def test_a_text_that_leaves_no_token_is_refused() -> None:
    tokenizer = byte_level()
    empty = Examples(ids=("a.conll:1",), texts=("",), pairs=None, labels=((),), parts=((),))
    with pytest.raises(DataError, match="no words to tag"):
        encode(empty, task().encoder(tokenizer, 8), tokenizer, cached=False)


def test_the_plain_request_repeats_the_feature(tiny_bert: Path) -> None:
    encoded, this = encoded_for(tiny_bert), task()
    adapted = adapt(this, tiny_bert, "lora")
    asked = this.plain_request(encoded, 2)
    with torch.inference_mode():
        logits = adapted.model(**{name: torch.tensor([ids]) for name, ids in asked.items()}).logits
        batch = whole_batch(adapted, this, encoded)
        values = this.values(this.outputs(adapted.model, batch, 0), batch)
    assert values[2].shape == (17, 4)
    assert np.allclose(logits[0], values[2], atol=1e-5)
