"""Short distinct names for the rows of a comparison, which say what sets them apart."""

from collections import Counter
from collections.abc import Sequence

from workbench.comparison.configuration import MOST_READ, differing
from workbench.comparison.rows import Sample, grouped

_LONGEST = 40  # characters of the values that a label names


def set_labels(samples: Sequence[Sample]) -> None:
    """Names each after its recipe and, where several share that, after the study
    (``bbc-news/lora``), the values that differ (``lora [r=16]``), the fingerprint's first digits,
    the dropout, a number."""
    for sample in samples:
        sample.label = sample.first.recipe
    _extend(samples, [f"{each.first.study}/" for each in samples], before=True)
    _extend(samples, _values(samples))
    _extend(samples, [f" [{each.first.fingerprint[:8]}]" for each in samples])
    _extend(samples, [f" [{each.first.dropout}]" for each in samples])
    repeated = Counter(each.label for each in samples)
    seen: Counter[str] = Counter()
    for sample in samples:
        label = sample.label
        if repeated[label] > 1:
            seen[label] += 1
            sample.label = f"{label} #{seen[label]}"


def _extend(samples: Sequence[Sample], parts: Sequence[str], *, before: bool = False) -> None:
    """Adds a part to those labels that several share with different parts."""
    pairs = list(zip(samples, parts, strict=True))
    for shared in grouped(pairs, lambda pair: pair[0].label).values():
        if len({part for _, part in shared}) > 1:
            for sample, part in shared:
                sample.label = part + sample.label if before else sample.label + part


def _values(samples: Sequence[Sample]) -> list[str]:
    """For each the values that set it apart from others of its label, if they are few."""
    parts = [""] * len(samples)
    numbers = range(len(samples))
    for members in grouped(numbers, lambda i: samples[i].label).values():
        if not 1 < len(members) <= MOST_READ:
            continue
        found = differing({str(i): samples[i].settings for i in members})
        for i in members:
            text = ", ".join(
                f"{key.rpartition('.')[2]}={values[str(i)]}"
                for key, values in found.items()
                if str(i) in values
            )
            parts[i] = f" [{text}]" if 0 < len(text) <= _LONGEST else ""
    return parts
