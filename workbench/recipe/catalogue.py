"""The metrics a recipe may name, with their direction; the arithmetic is in ``metrics.scores``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

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


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a reader needs to know of a metric before anything is computed."""

    about: str
    kinds: frozenset[AnswerKind]
    higher_is_better: bool = True
    is_share: bool = False
    """From 0 to 1, so that differences are read in points (hundredths)."""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    needs_generation: bool = False
    """For kind text: needs generated text, which is slow, so it is measured on the test split."""
    from_likelihood: bool = False
    """Needs the likelihood of the right text and no answers."""
    exponential: bool = False
    """The exponential of a ratio of sums over examples, not the ratio itself."""


def _metric(about: str, *kinds: AnswerKind, **more: Any) -> Metric:
    return Metric(about=about, kinds=frozenset(kinds), **more)


def _share(about: str, *kinds: AnswerKind, **more: bool) -> Metric:
    return _metric(f"{about}, 0 to 1", *kinds, is_share=True, bounds=(0.0, 1.0), **more)


def _correlation(about: str, *kinds: AnswerKind) -> Metric:
    return _metric(f"{about}, -1 to 1", *kinds, bounds=(-1.0, 1.0))


def _error(about: str, *kinds: AnswerKind, **more: bool) -> Metric:
    return _metric(about, *kinds, higher_is_better=False, bounds=(0.0, math.inf), **more)


_WRITTEN = {"needs_generation": True}
_LIKELY = {"from_likelihood": True}

METRICS: dict[str, Metric] = {
    "accuracy": _share("exactly right answers, words with the right tag", SINGLE, MULTI, TAGS),
    "f1": _share("F1 of the positive class of two", SINGLE),
    "f1_macro": _share("F1 averaged over classes", SINGLE, MULTI),
    "f1_micro": _share("F1 over all decisions", SINGLE, MULTI),
    "precision_macro": _share("precision averaged over classes", SINGLE, MULTI),
    "recall_macro": _share("recall averaged over classes", SINGLE, MULTI),
    "matthews_correlation": _correlation("Matthews correlation (GLUE's CoLA)", SINGLE),
    "pearson": _correlation("Pearson correlation", REGRESSION),
    "spearman": _correlation("Spearman rank correlation", REGRESSION),
    "mean_squared_error": _error("mean squared error", REGRESSION),
    "mean_absolute_error": _error("mean absolute error", REGRESSION),
    "entity_f1": _share(
        "F1 of whole entities with their type (CoNLL's, by seqeval; null for tags without B- and "
        "I- prefixes, such as parts of speech: use accuracy)",
        TAGS,
    ),
    "entity_precision": _share("entities found that are right", TAGS),
    "entity_recall": _share("right entities that are found", TAGS),
    "answer_f1": _share(
        "F1 of the words shared with the closest right answer (SQuAD's; of scripts without spaces "
        "the characters, as MLQA's)",
        SPANS,
    ),
    "rouge1": _share(
        "words shared with the right text, F-measure; stems of English words, characters of "
        "scripts without spaces",
        TEXT,
        **_WRITTEN,
    ),
    "rouge2": _share(
        "pairs of words shared with the right text, F-measure, words as in rouge1",
        TEXT,
        **_WRITTEN,
    ),
    "rouge_l": _share(
        "longest common subsequence of words, F-measure, words as in rouge1", TEXT, **_WRITTEN
    ),
    "bleu": _metric(
        "BLEU over the whole split, 0 to 100 (sacrebleu's default; tok:zh or tok:char for scripts "
        "without spaces)",
        TEXT,
        bounds=(0.0, 100.0),
        **_WRITTEN,
    ),
    "exact_match": _share(
        "answers that are the right one (without outer space; spans as SQuAD compares them)",
        TEXT,
        SPANS,
        **_WRITTEN,
    ),
    "perplexity": _error(
        "perplexity of the right text per token: compares models with the same tokens only",
        TOKENS,
        TEXT,
        exponential=True,
        **_LIKELY,
    ),
    "word_perplexity": _error(
        "perplexity of the right text per word between spaces, whatever the tokens",
        TOKENS,
        TEXT,
        exponential=True,
        **_LIKELY,
    ),
    "bits_per_byte": _error(
        "bits that the model needs for a byte of the right text in UTF-8, whatever the tokens",
        TOKENS,
        TEXT,
        **_LIKELY,
    ),
    "masked_accuracy": _share("masked tokens that are right", MASKED_TOKENS),
    # Not the pseudo-perplexity of Salazar et al. 2020 (Masked Language Model Scoring), who mask one
    # token at a time, so that it sees all others; this is what the training asks, of other texts.
    "masked_perplexity": _error(
        "perplexity of the masked tokens, masked 15% at a time (mask_fraction), so higher than the "
        "pseudo-perplexity of Salazar et al. 2020, who mask them one by one",
        MASKED_TOKENS,
        exponential=True,
        **_LIKELY,
    ),
}


def needs_generation(metric: str) -> bool:
    """Whether a task that writes has to write before this can be computed."""
    known = METRICS.get(metric)
    return known.needs_generation if known else metric.startswith(HUB_METRIC_PREFIX)


def is_share(metric: str) -> bool:
    """Whether a metric goes from 0 to 1; a ``hub:`` metric is not known to."""
    return metric in METRICS and METRICS[metric].is_share


def bounds(metric: str) -> tuple[float, float]:
    """The lowest and the highest score that there can be."""
    return METRICS[metric].bounds if metric in METRICS else (-math.inf, math.inf)


DEFAULT_METRICS: dict[AnswerKind, tuple[str, ...]] = {
    SINGLE: ("accuracy", "f1_macro"),
    MULTI: ("f1_micro", "f1_macro", "accuracy"),
    REGRESSION: ("pearson", "spearman"),
    TAGS: ("entity_f1", "entity_precision", "entity_recall", "accuracy"),
    SPANS: ("answer_f1", "exact_match"),
    TEXT: ("perplexity", "rouge_l", "rouge1", "bleu", "exact_match"),
    TOKENS: ("perplexity", "word_perplexity"),
    MASKED_TOKENS: ("masked_accuracy", "masked_perplexity"),
}

SCORING_LIBRARIES: dict[AnswerKind, tuple[str, ...]] = {
    TAGS: ("seqeval",),
    TEXT: ("rouge-score", "sacrebleu"),
}
"""What computes the metrics of a kind besides scikit-learn: another version may score otherwise."""

MAJORITY_CLASS, MEAN = "majority class", "mean"
USUAL_TAG = "most frequent tag of each word"
ZERO_SHOT = "base model (zero-shot)"
TRIVIAL_BASELINES = (MAJORITY_CLASS, MEAN, USUAL_TAG, ZERO_SHOT)
"""Baselines that read no text, or have learned nothing: a run that beats none learned nothing."""

OF_BASELINE = "{}: {}"
"""A column of predictions.parquet that is of a baseline's answers: its name, and what it would be
called of the run's own."""

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
    """What the Hub knows a ``hub:`` metric by."""
    return metric.removeprefix(HUB_METRIC_PREFIX).removesuffix(LOWER)


def higher_is_better(metric: str) -> bool:
    """True unless the metric is an error or loss. A ``hub:`` metric is one where its name ends in
    `LOWER` or is among `HUB_ERRORS`; one of its several numbers is named ``hub:NAME/NUMBER``."""
    if metric in METRICS:
        return METRICS[metric].higher_is_better
    name = metric.removeprefix(HUB_METRIC_PREFIX).removeprefix(HUB_OWNER)
    return LOWER not in metric and name.partition("/")[0] not in HUB_ERRORS


def deciding_score(scores: Mapping[str, float | None], metric: str) -> float | None:
    """The score of the metric that states and trials are selected by; None where there is none.

    Args:
        scores: of one split, in the order of the recipe's metrics.
        metric: the first of these; a ``hub:`` metric may stand for several numbers, of which the
            first decides.
    """
    if metric in scores or metric in METRICS:
        return scores.get(metric)
    return next(iter(scores.values()), None)
