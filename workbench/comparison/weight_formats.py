"""What fewer bits for the base cost, where a recipe was run with more of them too."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from workbench.comparison.rows import Sample
from workbench.comparison.schema import Row, Verdict
from workbench.comparison.sentences import effect
from workbench.comparison.verdicts import compared
from workbench.formatting import plural
from workbench.recipe.model_spec import WEIGHT_FORMAT, ModelSpec

KEYS = tuple(f"model.{key}" for key in WEIGHT_FORMAT)


def costs_of_fewer_bits(
    rows: Sequence[Row], samples: Sequence[Sample], metric: str | None = None
) -> Iterator[str]:
    """A sentence for each pair that differs in the format of its weights alone and has the same
    seeds; such rows are not compared otherwise, as their references differ too.

    Args:
        metric: what is compared; None for the first of each row.
    """
    if len({sample.group for sample in samples}) < 2:
        return
    by_label = {row["label"]: row for row in rows}
    known = {sample.label: _format(sample.settings) for sample in samples}
    reduced = [sample for sample in samples if (spec := known[sample.label]) and spec.reduced]
    for one, other in itertools.product(reduced, samples):
        ours, theirs = known[one.label], known[other.label]
        if not (ours and theirs and _fewer(ours, theirs) and _alike(one, other)):
            continue
        pair = by_label[one.label], by_label[other.label]
        name = metric or pair[0]["primary_metric"]
        if not name or any(name not in row["metrics"] for row in pair):
            continue
        size = compared(pair, (one, other), name)
        told = effect(cast("Verdict", {"metric": name, **size}))
        if told:
            seeds = (
                f"{plural(len(one.seeds), 'seed')} each" if len(one.seeds) > 1 else "one run each"
            )
            yield (
                f"{one.label}, its base in {ours.weight_words}, and {other.label}, in "
                f"{theirs.weight_words}: {told}; {seeds}"
            )


def _format(settings: Mapping[str, Any]) -> ModelSpec | None:
    try:
        values = {key.removeprefix("model."): settings[key] for key in KEYS}
        return ModelSpec.model_validate({"source": "any", **values})
    except (KeyError, ValueError):  # a recipe that cannot be read
        return None


def _fewer(one: ModelSpec, other: ModelSpec) -> bool:
    """Whether the first is quantised and the second is not, or in bf16 and the second in fp32; a
    quantised one beside bf16 is held to bf16."""
    if one.quantization != "none":
        return other.quantization == "none" and one.loaded_in == other.loaded_in
    return one.loaded_in == "bf16" and not other.reduced


def _alike(one: Sample, other: Sample) -> bool:
    kept = (
        {key: value for key, value in sample.settings.items() if key not in KEYS}
        for sample in (one, other)
    )
    return next(kept) == next(kept) and one.seeds == other.seeds
