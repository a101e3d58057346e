"""Scores of the probability that a model gives to text, from sums over a whole split.

Sums, not means of batches: batches differ in tokens, and the mean of their perplexities is not
the perplexity of the split.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol


class Likelihood(Protocol):
    """The probability of a text and the units it can be shared out over."""

    @property
    def nll(self) -> float:
        """Sum of the negative log-likelihoods of the scored tokens, in nats."""

    @property
    def tokens(self) -> int:
        """Tokens scored: the sum above has one term for each."""

    @property
    def words(self) -> int:
        """Words between white space in the text that these tokens spell."""

    @property
    def bytes(self) -> int:
        """Bytes of that text in UTF-8."""


def _perplexity(nll: float, units: int) -> float:
    try:
        return math.exp(nll / units)
    except OverflowError:  # an untrained or broken model: exp leaves the floats above 709 nats
        return math.inf


_SCORES: dict[str, Callable[[Likelihood], float]] = {
    "perplexity": lambda text: _perplexity(text.nll, text.tokens),
    "word_perplexity": lambda text: _perplexity(text.nll, text.words),
    "bits_per_byte": lambda text: text.nll / text.bytes / math.log(2),
    "pseudo_perplexity": lambda text: _perplexity(text.nll, text.tokens),
}

LIKELIHOOD_METRICS: frozenset[str] = frozenset(_SCORES)
"""Metrics that need the likelihood of the right text and no answers."""


def likelihood_score(name: str, likelihood: Likelihood | None) -> float | None:
    """One of `LIKELIHOOD_METRICS`; None when nothing was scored or it is too large for a float."""
    if likelihood is None:
        return None
    try:
        value = _SCORES[name](likelihood)
    except ZeroDivisionError:
        return None
    return value if math.isfinite(value) else None
