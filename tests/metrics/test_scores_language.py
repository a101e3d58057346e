"""Scores of tags, spans, generated text and likelihood, against cases counted by hand and
published ones."""

from __future__ import annotations

import logging
import math
import random
import socket
from dataclasses import dataclass

import pytest

from workbench.metrics.scores import score
from workbench.recipe.catalogue import (
    DEFAULT_METRICS,
    MASKED_TOKENS,
    METRICS,
    SPANS,
    TAGS,
    TEXT,
    TOKENS,
)


@dataclass(frozen=True)
class Sums:
    nll: float
    tokens: int
    words: int = 0
    bytes: int = 0


@pytest.fixture(autouse=True)
def _no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a metric tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]):
    yield
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    out, err = capfd.readouterr()
    assert not out and not err


# --- tags ---------------------------------------------------------------------------------------


def tags(*sentences: str) -> list[list[str]]:
    return [sentence.split() for sentence in sentences]


def test_entity_scores_are_those_of_seqevals_readme() -> None:
    right = tags("O O O B-MISC I-MISC I-MISC O", "B-PER I-PER O")
    given = tags("O O B-MISC I-MISC I-MISC I-MISC O", "B-PER I-PER O")
    assert score(DEFAULT_METRICS[TAGS], TAGS, given, right) == pytest.approx(
        {"entity_f1": 0.5, "entity_precision": 0.5, "entity_recall": 0.5, "accuracy": 0.8}
    )


def test_entities_count_whole_and_over_all_types() -> None:
    # 4 right entities; 3 found, of which the first and the last are right: P 2/3, R 2/4, F1 4/7.
    right = tags("B-PER I-PER O B-LOC B-LOC", "O B-ORG")
    given = tags("B-PER I-PER O B-LOC I-LOC", "O B-ORG")
    assert score(DEFAULT_METRICS[TAGS], TAGS, given, right) == pytest.approx(
        {"entity_f1": 4 / 7, "entity_precision": 2 / 3, "entity_recall": 2 / 4, "accuracy": 6 / 7}
    )


def test_an_entity_that_begins_inside_counts_as_conlleval_counts_it() -> None:
    names = ["entity_precision", "entity_recall"]
    # An I- after O begins an entity, and so does an I- of another type (strict: neither).
    given, right = tags("O I-PER I-PER", "B-LOC I-PER"), tags("O B-PER I-PER", "B-LOC B-PER")
    assert score(names, TAGS, given, right) == {"entity_precision": 1.0, "entity_recall": 1.0}


@pytest.mark.parametrize("two", ["S-PER S-PER", "U-PER U-PER", "B-PER B-PER"])
@pytest.mark.parametrize("long", ["B-LOC I-LOC E-LOC", "B-LOC I-LOC L-LOC", "B-LOC I-LOC I-LOC"])
def test_schemes_agree_on_the_entities(two: str, long: str) -> None:
    # A model that finds the two people and half of the place: P 2/3, R 2/3.
    right, given = tags(f"{two} O {long}"), tags(f"{two} O O O {long.split()[-1]}")
    assert score(["entity_f1"], TAGS, given, right)["entity_f1"] == pytest.approx(2 / 3)


def test_parts_of_speech_have_no_entities() -> None:
    right, given = tags("DET NOUN VERB", "PRON VERB"), tags("DET NOUN NOUN", "PRON VERB")
    assert score(DEFAULT_METRICS[TAGS], TAGS, given, right) == {
        "entity_f1": None, "entity_precision": None, "entity_recall": None, "accuracy": 0.8,
    }  # fmt: skip


def test_a_stray_tag_among_prefixed_ones_is_scored_quietly() -> None:
    given = right = tags("B-PER O HEADING")
    assert score(["entity_f1"], TAGS, given, right) == {"entity_f1": 1.0}


def test_text_without_entities_scores_zero_as_conlleval_does() -> None:
    assert score(["entity_f1"], TAGS, tags("O O", "O"), tags("O O", "O")) == {"entity_f1": 0.0}
    assert score(["entity_recall"], TAGS, tags("O O"), tags("O B-PER")) == {"entity_recall": 0.0}


def test_a_word_without_a_tag_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        score(["accuracy"], TAGS, tags("O"), tags("O O"))


# --- spans --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "golds", "exact", "f1"),
    [
        # Worked through the official evaluate-v2.0.py of SQuAD, which gives these numbers.
        ("The  Eiffel Tower!", ["eiffel tower"], 1, 1),
        ("Eiffel Tower in Paris", ["the Eiffel Tower", "Paris"], 0, 2 / 3),
        ("10-20", ["1020"], 1, 1),
        ("a the an", ["", "The"], 1, 1),
        ("theatre", ["atre"], 0, 0),
        ("u.s. u.s. army", ["US Army"], 0, 4 / 5),
        ("", [], 1, 1),
        ("", ["Paris"], 0, 0),
        ("Paris", [], 0, 0),
        ("Paris", [""], 0, 0),
        ("straße", ["Straße"], 1, 1),
        ("“Paris”", ["Paris"], 0, 0),  # only ASCII punctuation goes
    ],
)
def test_answers_are_compared_as_squad_does(
    answer: str, golds: list[str], exact: float, f1: float
) -> None:
    ours = score(DEFAULT_METRICS[SPANS], SPANS, [answer], [golds])
    assert ours == pytest.approx({"answer_f1": f1, "exact_match": exact})


def test_answers_are_averaged_over_questions() -> None:
    ours = score(DEFAULT_METRICS[SPANS], SPANS, ["Paris", "", "in 1887"], [["Paris"], (), ["1887"]])
    assert ours == pytest.approx({"answer_f1": (1 + 1 + 2 / 3) / 3, "exact_match": 2 / 3})


# --- generated text -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "right", "expected"),
    [
        # rouge-score's own test cases (rouge_scorer_test.py, 0.1.2).
        ("testing", "testing one two", {"rouge1": 1 / 2}),
        ("testing one", "testing one two", {"rouge2": 2 / 3, "rouge_l": 4 / 5}),
        ("testing two", "testing one two", {"rouge_l": 4 / 5}),
        ("text first", "first text", {"rouge1": 1, "rouge2": 0, "rouge_l": 1 / 2}),
        ("", "testing one two", {"rouge1": 0, "rouge2": 0, "rouge_l": 0}),
        # Stems, case and punctuation: both are "the dog run fast".
        ("The dogs running, fast", "the dog runs fast", {"rouge1": 1, "rouge2": 1, "rouge_l": 1}),
    ],
)
def test_rouge_is_the_f_measure(text: str, right: str, expected: dict[str, float]) -> None:
    assert score(list(expected), TEXT, [text], [right]) == pytest.approx(expected)


def test_rouge_is_the_mean_over_examples() -> None:
    texts, right = ["testing", "one two three"], ["testing one two", "one two three"]
    assert score(["rouge1"], TEXT, texts, right) == pytest.approx({"rouge1": 3 / 4})


def test_bleu_is_counted_over_the_corpus() -> None:
    # sacrebleu's README system output against the first of its references. By hand, with the
    # full stops apart (tok:13a): of 6+4+7 words 6 match, 2 (It .) and 4 (The man him .); of the
    # pairs 5, none and 1 (The man); of the longer ones those of the first sentence only.
    texts = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
    right = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]
    precisions = [12 / 17, 6 / 14, 4 / 11, 3 / 8]
    brevity = 1.0  # 17 words are given, 17 are right
    expected = 100 * brevity * math.prod(precisions) ** (1 / 4)
    assert score(["bleu"], TEXT, texts, right)["bleu"] == pytest.approx(expected)
    assert score(["bleu"], TEXT, right, right) == pytest.approx({"bleu": 100.0})
    assert score(["bleu"], TEXT, ["", "", ""], right) == {"bleu": 0.0}


def test_entity_scores_are_seqevals() -> None:
    from seqeval.metrics import f1_score, precision_score, recall_score

    draw, names = random.Random(1), ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-ORG"]
    lengths = [draw.randint(1, 9) for _ in range(60)]
    right, given = ([draw.choices(names, k=n) for n in lengths] for _ in "ab")
    assert score(DEFAULT_METRICS[TAGS][:3], TAGS, given, right) == pytest.approx(
        {
            "entity_f1": f1_score(right, given),
            "entity_precision": precision_score(right, given),
            "entity_recall": recall_score(right, given),
        }
    )


def test_bleu_has_the_signature_that_is_documented() -> None:
    from sacrebleu.metrics import BLEU

    from workbench.metrics import text_scores

    metric = BLEU(force=True)
    metric.corpus_score(["a"], [["a"]])
    signature = metric.get_signature().format().rpartition("|version:")[0]
    assert signature in (text_scores.bleu.__doc__ or "")


def test_text_that_looks_tokenised_brings_no_lecture() -> None:
    texts = ["the dog bit the man ."] * 120  # sacrebleu warns from 100 such lines on
    assert score(["bleu"], TEXT, texts, texts) == pytest.approx({"bleu": 100.0})


def test_text_matches_but_for_the_space_around_it() -> None:
    texts, right = [" Paris\n", "paris", "The Paris", ""], ["Paris", "Paris", "Paris", " "]
    assert score(["exact_match"], TEXT, texts, right) == {"exact_match": 0.5}


def test_nothing_generated_is_no_score() -> None:
    names = sorted(name for name in METRICS if METRICS[name].needs_generation)
    assert score(names, TEXT, [], ["a", "b"]) == dict.fromkeys(names)


# --- likelihood ---------------------------------------------------------------------------------


def test_likelihood_is_shared_out_over_tokens_words_and_bytes() -> None:
    # 10 tokens, each with probability 1/8, that spell 5 words in 30 bytes: 30 bits in all.
    sums = Sums(nll=10 * math.log(8), tokens=10, words=5, bytes=30)
    names = ["perplexity", "word_perplexity", "bits_per_byte"]
    expected = {"perplexity": 8.0, "word_perplexity": 64.0, "bits_per_byte": 1.0}
    assert score(names, TOKENS, [], [], sums) == pytest.approx(expected)
    assert score(names, TEXT, ["a"], ["b"], sums) == pytest.approx(expected)


def test_word_perplexity_does_not_depend_on_the_tokens() -> None:
    # The same text with the same probability, in 4 and in 12 tokens.
    few, many = Sums(nll=24.0, tokens=4, words=4), Sums(nll=24.0, tokens=12, words=4)
    names = ["perplexity", "word_perplexity"]
    a, b = score(names, TOKENS, [], [], few), score(names, TOKENS, [], [], many)
    assert a["word_perplexity"] == b["word_perplexity"] == pytest.approx(math.exp(6))
    assert a["perplexity"] != b["perplexity"]


def test_masked_tokens_are_counted_one_by_one() -> None:
    answers, right = [[5, 6, 7], [8], []], [[5, 6, 9], [9], []]
    ours = score(
        DEFAULT_METRICS[MASKED_TOKENS], MASKED_TOKENS, answers, right, Sums(4 * math.log(20), 4)
    )
    assert ours == pytest.approx({"masked_accuracy": 0.5, "masked_perplexity": 20.0})
    assert score(["masked_accuracy"], MASKED_TOKENS, [[]], [[]]) == {"masked_accuracy": None}


@pytest.mark.parametrize(
    "sums",
    [None, Sums(0.0, 0), Sums(1e6, 1, 1, 0), Sums(math.nan, 1, 1, 1), Sums(math.inf, 1, 1, 1)],
)
def test_a_perplexity_that_is_no_number_is_none(sums: Sums | None) -> None:
    names = ["perplexity", "word_perplexity", "bits_per_byte", "masked_perplexity"]
    assert score(names, TOKENS, [], [], sums) == dict.fromkeys(names)
