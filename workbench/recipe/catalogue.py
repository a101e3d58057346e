"""The metrics a recipe may name, with their direction; the arithmetic is in ``measure.quality``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
"""transformers' own words for what the labels of a classifier are."""

AnswerKind = ProblemType | Literal["tags", "spans", "text", "tokens", "masked-tokens"]
"""What a model answers with, which decides the metrics that fit."""

SINGLE: ProblemType = "single_label_classification"
MULTI: ProblemType = "multi_label_classification"
REGRESSION: ProblemType = "regression"
TAGS: AnswerKind = "tags"
"""A tag for every word."""
SPANS: AnswerKind = "spans"
"""A piece of a text that answers a question, or the empty string where there is no answer."""
TEXT: AnswerKind = "text"
"""Generated text; its likelihood is that of the right text."""
TOKENS: AnswerKind = "tokens"
"""No answer of its own: the likelihood of a text."""
MASKED_TOKENS: AnswerKind = "masked-tokens"
"""The tokens behind the masks."""


@dataclass(frozen=True)
class Metric:
    """What a reader needs to know of a metric before anything is computed."""

    about: str
    kinds: frozenset[AnswerKind]
    higher_is_better: bool = True


def _metric(about: str, *kinds: AnswerKind, higher_is_better: bool = True) -> Metric:
    return Metric(about, frozenset(kinds), higher_is_better)


_CLASSIFICATION = {
    "accuracy": _metric(
        "share of exactly right answers, of words with the right tag; 0 to 1", SINGLE, MULTI, TAGS
    ),
    "f1": _metric("F1 of the positive class of two, 0 to 1", SINGLE),
    "f1_macro": _metric("F1 averaged over classes, 0 to 1", SINGLE, MULTI),
    "f1_micro": _metric("F1 over all decisions, 0 to 1", SINGLE, MULTI),
    "precision_macro": _metric("precision averaged over classes, 0 to 1", SINGLE, MULTI),
    "recall_macro": _metric("recall averaged over classes, 0 to 1", SINGLE, MULTI),
    "matthews_correlation": _metric("Matthews correlation, -1 to 1 (GLUE's CoLA)", SINGLE),
    "pearson": _metric("Pearson correlation, -1 to 1", REGRESSION),
    "spearman": _metric("Spearman rank correlation, -1 to 1", REGRESSION),
    "mean_squared_error": _metric("mean squared error", REGRESSION, higher_is_better=False),
    "mean_absolute_error": _metric("mean absolute error", REGRESSION, higher_is_better=False),
}

_EXTRACTION = {
    "entity_f1": _metric(
        "F1 of whole entities with their type, 0 to 1 (CoNLL's, by seqeval); null for tags without "
        "B- and I- prefixes, such as parts of speech: use accuracy",
        TAGS,
    ),
    "entity_precision": _metric("share of the entities found that are right, 0 to 1", TAGS),
    "entity_recall": _metric("share of the right entities that are found, 0 to 1", TAGS),
    "answer_f1": _metric(
        "F1 of the words shared with the closest right answer, 0 to 1 (SQuAD's)", SPANS
    ),
}

_GENERATION = {
    "rouge1": _metric(
        "words shared with the right text, F-measure, 0 to 1; stems of English words", TEXT
    ),
    "rouge2": _metric(
        "pairs of words shared with the right text, F-measure, 0 to 1; stems of English words", TEXT
    ),
    "rouge_l": _metric(
        "longest common subsequence of words, F-measure, 0 to 1; stems of English words", TEXT
    ),
    "bleu": _metric("BLEU over the whole split, 0 to 100 (sacrebleu's default)", TEXT),
    "exact_match": _metric(
        "share of answers that are the right one, 0 to 1; without outer space, for spans as SQuAD "
        "compares them",
        TEXT,
        SPANS,
    ),
}

_LANGUAGE_MODELLING = {
    "perplexity": _metric(
        "perplexity of the right text per token: compares models with the same tokens only",
        TOKENS,
        TEXT,
        higher_is_better=False,
    ),
    "word_perplexity": _metric(
        "perplexity of the right text per word between spaces, whatever the tokens",
        TOKENS,
        TEXT,
        higher_is_better=False,
    ),
    "bits_per_byte": _metric(
        "bits that the model needs for a byte of the right text in UTF-8, whatever the tokens",
        TOKENS,
        TEXT,
        higher_is_better=False,
    ),
    "masked_accuracy": _metric("share of the masked tokens that are right, 0 to 1", MASKED_TOKENS),
    # Salazar et al. 2020 (Masked Language Model Scoring) mask one token at a time, so theirs sees
    # all others; ours is the training's own question, asked of held-out text.
    "pseudo_perplexity": _metric(
        "perplexity of the masked tokens, masked 15% at a time (mask_fraction) and not one by one "
        "as in Salazar et al. 2020: higher than theirs",
        MASKED_TOKENS,
        higher_is_better=False,
    ),
}

METRICS: dict[str, Metric] = _CLASSIFICATION | _EXTRACTION | _GENERATION | _LANGUAGE_MODELLING

SHARES: frozenset[str] = frozenset(
    {
        *("accuracy", "f1", "f1_macro", "f1_micro", "precision_macro", "recall_macro"),
        *("entity_f1", "entity_precision", "entity_recall", "answer_f1", "exact_match"),
        *("rouge1", "rouge2", "rouge_l", "masked_accuracy"),
    }
)
"""Metrics from 0 to 1, whose differences are read in points (hundredths)."""

GENERATED: frozenset[str] = frozenset(_GENERATION)
"""Metrics that for kind text need generated text, which is slow: measured on the test split."""

DEFAULT_METRICS: dict[AnswerKind, tuple[str, ...]] = {
    SINGLE: ("accuracy", "f1_macro"),
    MULTI: ("f1_micro", "f1_macro", "accuracy"),
    REGRESSION: ("pearson", "spearman"),
    TAGS: ("entity_f1", "entity_precision", "entity_recall", "accuracy"),
    SPANS: ("answer_f1", "exact_match"),
    TEXT: ("perplexity", "rouge_l", "rouge1", "bleu", "exact_match"),
    TOKENS: ("perplexity", "word_perplexity"),
    MASKED_TOKENS: ("masked_accuracy", "pseudo_perplexity"),
}

HUB_METRIC_PREFIX = "hub:"
LOWER = ":lower"
"""Ends the name of a ``hub:`` metric of which less is better."""
HUB_ERRORS: frozenset[str] = frozenset(
    {"brier_score", "cer", "character", "charcut_mt", "mae", "mape", "mase", "mse", "perplexity"}
    | {"smape", "ter", "wer"}
)
"""Metrics of ``evaluate`` of which less is better, whether their name says it or not."""
HUB_OWNER = "evaluate-metric/"
"""Before the names of these on the Hub."""


def hub_id(metric: str) -> str:
    """What ``evaluate.load`` knows a ``hub:`` metric by."""
    return metric.removeprefix(HUB_METRIC_PREFIX).removesuffix(LOWER)


def higher_is_better(metric: str) -> bool:
    """True unless the metric is an error or loss. A ``hub:`` metric is one where its name ends in
    `LOWER` or is among `HUB_ERRORS`; one of its several numbers is named ``hub:NAME/NUMBER``."""
    if metric in METRICS:
        return METRICS[metric].higher_is_better
    name = metric.removeprefix(HUB_METRIC_PREFIX).removeprefix(HUB_OWNER)
    return LOWER not in metric and name.partition("/")[0] not in HUB_ERRORS


def deciding_score(scores: Mapping[str, float | None], metric: str) -> float | None:
    """The score of the metric that states and trials are selected by.

    Args:
        scores: of one split, in the order of the recipe's metrics.
        metric: the first of these; a ``hub:`` metric may stand for several numbers, of which the
            first decides.
    """
    return scores[metric] if metric in scores else next(iter(scores.values()), None)
