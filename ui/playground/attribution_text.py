"""What an attribution comes to, in sentences and whole words."""

import math
from collections.abc import Iterable

from playground.answer_cards import confidence
from playground.playground_client import Result

NAMED = 3
"""Words that a sentence names."""
ROUGH = 0.1
"""Share of the change that the numbers may miss: it is 0 with infinitely many steps, and with 32
0.3% of a classifier's, but more than all of it in a decoder that answers a long prompt."""


def words_of(tokens: list[Result], values: list[float]) -> list[tuple[str, float]]:
    """Whole words with the sum of their pieces; special tokens are left out."""
    words: list[tuple[str, float]] = []
    for token, value in zip(tokens, values, strict=True):
        if token["special"]:
            continue
        text = str(token["text"])
        if token["goes_on"] and words:
            before, so_far = words.pop()
            words.append((before + text, so_far + value))
        else:
            words.append((text.strip(), value))
    return [(word, value) for word, value in words if any(c.isalnum() for c in word)]


def sentences(found: Result) -> list[str]:
    """The attribution as one would tell it."""
    numbers, about = found["adapter"], found["about"]
    ranked = sorted(words_of(found["tokens"], numbers["values"]), key=lambda pair: -pair[1])
    total = sum(abs(value) for _, value in ranked) or 1.0
    pro = _first(word for word, value in ranked if value > 0.05 * total)
    contra = _first(word for word, value in reversed(ranked) if value < -0.05 * total)
    told = []
    if pro:
        verb = "supports" if len(pro) == 1 else "support"
        told.append(f"{_listed(pro)} {verb} {quoted(about)} most.")
    if contra:
        told.append(f"Against it: {_listed(contra)}.")
    if not pro and not contra:
        told.append(
            f"No single word dominates; many count a little for or against {quoted(about)}."
        )
    if found["unit"] == "score":
        told.append(f"Score: {numbers['value']:.2f}; with all words masked {numbers['empty']:.2f}.")
    else:
        now, covered = math.exp(numbers["value"]), math.exp(numbers["empty"])
        told.append(f"Probability: {confidence(now)}; with all words masked {confidence(covered)}.")
    if found["base"]:
        told.append(f"Base model (zero-shot): {confidence(math.exp(found['base']['value']))}.")
    gap = abs(numbers["gap"]) / (abs(numbers["value"] - numbers["empty"]) or 1.0)
    if gap <= ROUGH:
        told.append(f"Attributions add up to that change within {max(gap, 0.0001):.2%}.")
    else:
        told.append(f"Unreliable: attributions miss the change by {gap:.0%}.")
    return told


def quoted(about: str) -> str:
    """What is explained, in quotation marks unless it brings some: a tag names its word."""
    return about if "“" in about else f"“{about}”"


def _first(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))[:NAMED]


def _listed(words: list[str]) -> str:
    quoted = [f"“{word}”" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
